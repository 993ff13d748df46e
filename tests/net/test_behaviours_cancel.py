"""A cancellation at any await leaves no task, connection or partial state.

The server is a few lines in this process. It yields to the event loop wherever a network would, so that a test can
count the iterations of the loop, and cancel an informer at each of them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

import kinform
from tests.net.informers import quick
from tests.support.recording import RecordingTransport
from tests.support.waiting import until

PODS = "v1/pods"
OBJECTS = 6


class Paper:
    """A transport without a network, which yields to the loop after each piece.

    It answers LISTs in pages, WatchLists and watches.

    Attributes:
        opening: Requests that are not answered yet.
        unclosed: Answers that were not closed.
    """

    identity: object

    def __init__(self, *, refuse: int = 0) -> None:
        self.identity = self
        self.opening = 0
        self.unclosed: set[Reply] = set()
        self._refuse = refuse  # the number of first requests to refuse

    async def open(self, request: kinform.Request) -> kinform.Response:
        self.opening += 1
        try:
            await asyncio.sleep(0)
        finally:
            self.opening -= 1
        if self._refuse:
            self._refuse -= 1
            return Reply(self, 503, [b"try later"])
        return Reply(self, 200, _body(dict(request.params)), endless=request.watch)

    async def refresh_credentials(self) -> bool:
        await asyncio.sleep(0)
        return True


class Reply:
    def __init__(self, paper: Paper, status: int, pieces: list[bytes], *, endless: bool = False) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {}
        self._paper = paper
        self._pieces = pieces
        self._endless = endless
        paper.unclosed.add(self)

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(0)
            yield piece
        if self._endless:
            await asyncio.get_running_loop().create_future()

    async def head(self, limit: int) -> bytes:
        await asyncio.sleep(0)
        self.close()
        return b"".join(self._pieces)[:limit]

    def close(self) -> None:
        self._paper.unclosed.discard(self)


def _pod(number: int) -> dict[str, Any]:
    return {"metadata": {"name": f"p{number}", "namespace": "shop", "uid": f"u{number}", "resourceVersion": "5"}}


def _body(params: dict[str, str]) -> list[bytes]:
    pods = [_pod(number) for number in range(OBJECTS)]
    if "watch" not in params:
        at, limit = int(params.get("continue", "0")), int(params["limit"])
        token = {"continue": str(at + limit)} if at + limit < OBJECTS else {}
        page = {"metadata": {"resourceVersion": "9", **token}, "items": pods[at : at + limit]}
        body = json.dumps({"kind": "PodList", "apiVersion": "v1", **page}).encode()
        return [body[:70], body[70:]]
    events: list[tuple[str, Any]] = [("ADDED", pod) for pod in pods] if "sendInitialEvents" in params else []
    end = {"resourceVersion": "9", "annotations": {"k8s.io/initial-events-end": "true"}}
    events.append(("BOOKMARK", {"metadata": end}))
    return [json.dumps({"type": verb, "object": found}).encode() + b"\n" for verb, found in events]


async def through(store: kinform.Store[Any], sizes: set[int]) -> None:
    while True:
        sizes.add(len(store))
        await asyncio.sleep(0)


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_a_reflector_cancelled_at_any_await_leaves_nothing(initial):
    before = asyncio.all_tasks()
    reached = set()
    for turns in range(60):
        paper = Paper(refuse=1)
        writer, store = kinform.store()
        backoff = kinform.Backoff(initial=1e-9, maximum=1e-9)
        stream = kinform.watcher(paper, PODS, options=quick(initial=initial, page_size=2, backoff=backoff))

        async def use(writer=writer, stream=stream) -> None:
            async for _ in kinform.reflector(writer, stream):
                pass

        task = asyncio.create_task(use())
        for _ in range(turns):
            await asyncio.sleep(0)
        reached.add((stream.state, len(store)))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(store) in (0, OBJECTS)
        assert (paper.opening, paper.unclosed) == (0, set())
        assert stream.state == ("stopped" if turns else "starting")
        with pytest.raises(KeyError):
            writer.commit("")  # raises: no started state is left
        assert asyncio.all_tasks() <= before
    assert {state for state, _ in reached} >= {"starting", "syncing", "retrying", "live"}


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_an_informer_cancelled_at_any_await_leaves_nothing(initial):
    before = asyncio.all_tasks()
    for turns in range(60):
        paper = Paper(refuse=1)
        backoff = kinform.Backoff(initial=1e-9, maximum=1e-9)
        options = quick(initial=initial, page_size=2, backoff=backoff)
        pods = kinform.Informer(paper, PODS, options=options)
        sizes: set[int] = set()

        @pods.on_add
        async def slow(pod: Any) -> None:
            await asyncio.sleep(0)

        async def use(pods=pods, sizes=sizes) -> None:
            async with pods:
                await pods.synced()
                async for _ in pods.changes():
                    sizes.add(len(pods.store))

        task = asyncio.create_task(use())
        reading = asyncio.create_task(through(pods.store, sizes))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        reading.cancel()
        assert sizes <= {0, OBJECTS}
        assert (paper.opening, paper.unclosed) == (0, set())
        await asyncio.wait([reading])
        assert asyncio.all_tasks() <= before
        with pytest.raises(KeyError):
            pods._collection.writer.commit("")  # raises: no started state is left


async def test_an_unfinished_relist_is_discarded_and_the_state_stays():
    paper = Paper()
    writer, store = kinform.store()
    async for event in kinform.reflector(writer, kinform.watcher(paper, PODS, options=quick(initial="list"))):
        if isinstance(event, kinform.InitDone):
            break
    keys = set(store)
    async with asyncio.timeout(10):
        events = kinform.reflector(writer, kinform.watcher(paper, PODS, options=quick(initial="list", page_size=2)))
        for _ in range(5):
            await anext(events)
        await events.aclose()
    assert set(store) == keys
    with pytest.raises(KeyError):
        writer.commit("")


async def test_leaving_the_iteration_closes_the_connection():
    paper = Paper()
    events = aiter(kinform.watcher(paper, PODS, options=quick(initial="stream")))
    await anext(events)
    assert len(paper.unclosed) == 1
    await events.aclose()
    assert paper.unclosed == set()


async def test_leaving_an_informer_ends_all_its_tasks():
    before = asyncio.all_tasks()
    paper = Paper()
    async with kinform.Informer(paper, PODS, options=quick()) as pods:
        pods.on_add(lambda pod: None)
        await pods.synced()
        assert len(paper.unclosed) == 1
    assert paper.unclosed == set()
    assert asyncio.all_tasks() <= before


async def test_a_second_cancellation_while_leaving_closes_everything():
    before = asyncio.all_tasks()
    for turns in range(30):
        paper = Paper()

        async def use(paper=paper) -> None:
            async with kinform.Informer(paper, PODS, options=quick(initial="list")) as pods:
                await pods.synced()

        task = asyncio.create_task(use())
        for _ in range(turns):
            await asyncio.sleep(0)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([task])
        await until(lambda paper=paper: asyncio.all_tasks() <= before and not paper.unclosed)


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_the_server_has_no_open_stream_left(cluster, initial):
    for number in range(20):
        await cluster.create(f"c{number}", data={"k": "x" * 5_000})
    before = asyncio.all_tasks()
    scope = kinform.Scope(namespaces=[cluster.namespace])
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        recording = RecordingTransport(api)
        running = asyncio.all_tasks()
        whole = None
        for turns in itertools.chain(range(0, 40), range(40, 200, 10)):
            writer, store = kinform.store()
            options = quick(initial=initial, page_size=5)

            async def use(writer=writer, options=options) -> None:
                stream = kinform.watcher(recording, cluster.resource, scope=scope, options=options)
                async for _ in kinform.reflector(writer, stream):
                    pass

            task = asyncio.create_task(use())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            whole = whole or (len(store) or None)
            assert len(store) in (0, whole)
            assert recording.open_responses == set()
            if cluster.name == "real":  # the simulator's tasks are in this loop too
                await until(lambda: asyncio.all_tasks() <= running)
        if cluster.name == "sim":
            await cluster.server.wait_for_watchers(0)
    await until(lambda: asyncio.all_tasks() <= before)


@pytest.mark.parametrize("snapshot", [False, True])
async def test_a_cancelled_exit_waits_for_handlers_that_clean_up(server, tmp_path, snapshot):
    ended: list[bool] = []
    path = tmp_path / "pods"
    server.generate("v1/pods", 1)
    async with kinform.connect(server.url) as api:
        pods = kinform.Informer(api, "v1/pods", snapshot=path if snapshot else None)
        running = asyncio.Event()

        @pods.on_add
        async def added(pod: dict[str, object]) -> None:
            running.set()
            try:
                await asyncio.sleep(60)
            finally:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.05)
                ended.append(path.exists())

        await pods.__aenter__()
        await pods.synced(timeout=10)
        await running.wait()
        before = asyncio.all_tasks()
        leaving = asyncio.create_task(pods.__aexit__(None, None, None))
        await asyncio.sleep(0.01)
        if not snapshot:
            leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert ended == [False]  # the handler ended before the snapshot was written
        assert path.exists() == snapshot
        assert not [task for task in before & asyncio.all_tasks() if task.get_name().startswith("kinform")]
        await pods.__aexit__(None, None, None)


async def test_a_cancelled_remove_namespace_removes_it(server):
    server.put("v1/pods", {"metadata": {"name": "a", "namespace": "shop"}})
    server.put("v1/pods", {"metadata": {"name": "a", "namespace": "billing"}})
    scope = kinform.Scope(namespaces=["shop", "billing"])
    async with kinform.connect(server.url) as api, kinform.Informer(api, "v1/pods", scope=scope) as pods:
        await pods.synced(timeout=10)
        removing = asyncio.create_task(pods.remove_namespace("shop"))
        await asyncio.sleep(0)
        removing.cancel()
        await asyncio.gather(removing, return_exceptions=True)
        assert list(pods.store) == ["billing/a"]
        await pods.add_namespace("shop")
        assert sorted(pods.store) == ["billing/a", "shop/a"]
        assert pods.state == "live"
