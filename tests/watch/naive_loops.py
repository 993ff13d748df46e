"""Naive loops, the faults of a server, and the outcome of each loop.

A loop keeps a dict of ConfigMaps, by name. `run` starts a server and a loop, applies a fault, changes the objects, and
compares the dict with the server afterwards. Only one loop expects a fault: it catches a 410.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec

import kinform
from kinform import testing
from kinform.testing import Server
from tests.support.waiting import until
from tests.watch.clients import Client

CONFIG_MAPS = "v1/configmaps"
WIDGETS = "example.com/v1/widgets"
TIMEOUT_SECONDS = 2  # of the loop that begins again and again
START = 60.0  # seconds in which a loop must begin
STEP = 2.0  # seconds in which a fault begins, and in which it has ended
PATIENCE = 20.0  # seconds after the end of the fault, in which a loop must have the present state
IDLE_TIMEOUT = 1.5  # seconds of silence; less than the default, so that it ends within PATIENCE
AT_ONCE = 24  # loops
MAX_RATE = 5  # requests per second

View = dict[str, str]  # resourceVersions by name


class Program(msgspec.Struct):
    """The environment of a loop.

    Attributes:
        client: The client library.
        core: An API object of it.
        custom: The API object for custom resources.
        watch: Makes a Watch.
        view: The dict that the loop keeps.
    """

    client: Client
    core: Any
    custom: Any
    watch: Callable[[], Any]
    view: View = {}

    def apply(self, event: Any) -> None:
        """Applies an event to the dict, as all loops do."""
        metadata = event["raw_object"]["metadata"]
        if event["type"] == "DELETED":
            self.view.pop(metadata["name"], None)
        else:
            self.view[metadata["name"]] = metadata["resourceVersion"]


async def list_and_watch(program: Program) -> None:
    """Lists once and watches from there, as in most tutorials."""
    listed = await program.core.list_config_map_for_all_namespaces()
    program.view.update({item.metadata.name: item.metadata.resource_version for item in listed.items})
    async with program.watch() as watch:
        version = listed.metadata.resource_version
        async for event in watch.stream(program.core.list_config_map_for_all_namespaces, resource_version=version):
            program.apply(event)


async def watch_only(program: Program) -> None:
    """Watches without a version, since all objects come as ADDED."""
    async with program.watch() as watch:
        async for event in watch.stream(program.core.list_config_map_for_all_namespaces):
            program.apply(event)


async def begin_again(program: Program) -> None:
    """Lists and watches for a limited time, again and again."""
    while True:
        listed = await program.core.list_config_map_for_all_namespaces()
        program.view.clear()
        program.view.update({item.metadata.name: item.metadata.resource_version for item in listed.items})
        async with program.watch() as watch:
            async for event in watch.stream(
                program.core.list_config_map_for_all_namespaces,
                resource_version=listed.metadata.resource_version,
                timeout_seconds=TIMEOUT_SECONDS,
            ):
                program.apply(event)


async def catch_expired(program: Program) -> None:
    """Lists and watches; after a 410, lists again."""
    while True:
        listed = await program.core.list_config_map_for_all_namespaces()
        program.view.clear()
        program.view.update({item.metadata.name: item.metadata.resource_version for item in listed.items})
        async with program.watch() as watch:
            version = listed.metadata.resource_version
            try:
                async for event in watch.stream(
                    program.core.list_config_map_for_all_namespaces, resource_version=version
                ):
                    program.apply(event)
            except program.client.api_exception as error:
                if error.status != 410:
                    raise


async def custom_objects(program: Program) -> None:
    """Lists and watches a custom resource, whose objects are dicts."""
    function, arguments = program.custom.list_cluster_custom_object, ("example.com", "v1", "widgets")
    listed = await function(*arguments)
    program.view.update({item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in listed["items"]})
    async with program.watch() as watch:
        version = listed["metadata"]["resourceVersion"]
        async for event in watch.stream(function, *arguments, resource_version=version):
            program.apply(event)


Loop = Callable[[Program], Awaitable[None]]
LOOPS: dict[str, Loop] = {
    "list, then watch": list_and_watch,
    "watch only": watch_only,
    "begin again": begin_again,
    "catch 410": catch_expired,
    "custom objects": custom_objects,
}


class Fault(msgspec.Struct, frozen=True):
    """A fault of a server.

    Attributes:
        next: The fault of the next watches, after the open ones were ended; or None.
        times: The number of these watches, or None for all until the fault ends.
        open: The fault of the open watches, or None.
        lost: True: the history is lost.
        away: True: the server is away for a while.
    """

    next: testing.Fault | None = None
    times: int | None = 1
    open: testing.Fault | None = None
    lost: bool = False
    away: bool = False


FAULTS: dict[str, Fault] = {
    "the watch ends": Fault(open=testing.Empty()),
    "the server is away for 2 s": Fault(away=True),
    "the history is lost (410 in the stream)": Fault(next=testing.Gone(event=True), times=None, lost=True),
    "the history is lost (HTTP 410)": Fault(next=testing.Gone(), times=None, lost=True),
    "HTTP 403": Fault(next=testing.Forbidden(), times=2),
    "HTTP 500 twice": Fault(next=testing.InternalError(), times=2),
    "HTTP 429 in plain text": Fault(next=testing.TooManyRequests()),
    "hang-ups before the headers for 2 s": Fault(next=testing.Hangup(), times=None),
    "hang-up in the body": Fault(open=testing.Hangup(after=1)),
    "cut within an object": Fault(open=testing.CutMidObject(after=1)),
    "a line that is not JSON": Fault(open=testing.MalformedFrame(after=1)),
    "an object of 5 MB": Fault(open=testing.Oversized(bytes=5_000_000)),
    "silence before the headers": Fault(next=testing.Stall(headers=False)),
    "silence in the body": Fault(open=testing.Stall(after=1)),
    "empty answers for 2 s": Fault(next=testing.Empty(), times=None),
}


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of a loop.

    Attributes:
        result: `"right"`; `"hangs"`; `"wrong"` if the loop goes on with a wrong dict; `"ApiException 410"`;
            `"ClientError"` for any other error of the client or of the network; `"ProtocolError"` of kinform; or
            `"crash"` for any other exception.
        rate: The largest number of requests in a second.
    """

    result: str
    rate: int


async def run(client: Client, watch: Callable[[], Any], loop: Loop, fault: Fault) -> Outcome:
    """Runs a loop against a server with a fault."""
    resource = WIDGETS if loop is custom_objects else CONFIG_MAPS
    async with Server() as server, client.connect(server.url) as api_client:
        server.register(WIDGETS, kind="Widget")
        for name in ("changed", "deleted", "kept"):
            _put(server, resource, name)
        program = Program(
            client, client.client.CoreV1Api(api_client), client.client.CustomObjectsApi(api_client), watch
        )
        task = asyncio.ensure_future(loop(program))
        await server.wait_for_watchers(1, timeout=START)
        await until(lambda: set(program.view) == {"changed", "deleted", "kept"}, within=START)
        _put(server, resource, "kept")  # the initial state is complete
        await until(lambda: _is_right(server, resource, program), within=START)
        await _apply(server, resource, fault)
        result = await _result(server, resource, program, task)
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
        return Outcome(result, _rate(request.at for request in server.requests))


def _put(server: Server, resource: str, name: str) -> None:
    server.put(resource, {"metadata": {"name": name, "namespace": "shop"}})


async def _apply(server: Server, resource: str, fault: Fault) -> None:
    """Begins a fault, changes the objects, and ends the fault."""
    if fault.next is not None:
        server.fault(fault.next, on="watch", times=fault.times)
    if fault.away:
        await server.stop()
    elif fault.open is not None:
        server.interrupt(fault.open, resource)
    else:
        server.disconnect(resource)
    _put(server, resource, "changed")
    server.delete(resource, "shop/deleted")
    _put(server, resource, "new")
    if fault.lost:
        server.compact()
    if fault.next is not None:
        await until(lambda: any(request.fault is fault.next for request in server.requests), within=START)
    await asyncio.sleep(STEP)
    server.heal()
    if fault.away:
        await server.start()


async def _result(server: Server, resource: str, program: Program, task: asyncio.Future[None]) -> str:
    with suppress(TimeoutError):
        await until(lambda: _is_right(server, resource, program) or task.done(), within=PATIENCE)
    if not task.done() and _is_right(server, resource, program):
        _put(server, resource, "kept")
        with suppress(TimeoutError):
            await until(lambda: _is_right(server, resource, program) or task.done(), within=PATIENCE)
            if not task.done():
                return "right"
    if task.done():
        return _name(task.exception(), program.client)
    _put(server, resource, "probe")
    with suppress(TimeoutError):
        await until(lambda: "probe" in program.view or task.done(), within=5)
        return "wrong"
    return "hangs"


def _name(error: BaseException | None, client: Client) -> str:
    if isinstance(error, client.api_exception):
        return f"ApiException {error.status}"  # type: ignore[attr-defined]
    if isinstance(error, aiohttp.ClientError | OSError):
        return "ClientError"
    return "ProtocolError" if isinstance(error, kinform.ProtocolError) else "crash"


def _is_right(server: Server, resource: str, program: Program) -> bool:
    wanted = {key.split("/")[1]: version for key, (_, version) in server.versions(resource).items()}
    return program.view == wanted


def _rate(times: Iterable[float]) -> int:
    """Returns the largest number of times within a second."""
    sorted_times = sorted(times)
    start = largest = 0
    for end, time in enumerate(sorted_times):
        while sorted_times[start] < time - 1:
            start += 1
        largest = max(largest, end - start + 1)
    return largest


async def run_all(client: Client, *watches: Callable[[], Any]) -> list[dict[tuple[str, str], Outcome]]:
    """Runs each loop with each fault and each Watch.

    Returns the outcomes of each Watch, by fault and loop. Takes a minute, since some loops hang. The last faults come
    first, because most loops hang with these.
    """
    free = asyncio.Semaphore(AT_ONCE)

    async def run_cell(watch: Callable[[], Any], fault: str, loop: str) -> Outcome:
        async with free:
            return await run(client, watch, LOOPS[loop], FAULTS[fault])

    cells = list(itertools.product(FAULTS, LOOPS))
    runs = [asyncio.ensure_future(run_cell(watch, *cell)) for cell in reversed(cells) for watch in watches]
    outcomes = (await asyncio.gather(*runs))[::-1]
    columns = [outcomes[number :: len(watches)] for number in reversed(range(len(watches)))]
    return [dict(zip(cells, column, strict=True)) for column in columns]
