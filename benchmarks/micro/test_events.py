"""The way from the bytes of a watch to the call of a handler, without a network.

Every pod changes once a round. The rivals are naive loops: they decode each line into a dict, store it and call.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest

import kinform
from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES
from benchmarks.micro.pods import Decoded, Pods, Small, State, chunks
from benchmarks.micro.replay import Replay

NO_TIMEOUT = kinform.WatchOptions(silence_timeout=86400.0)


class Handler:
    """Counts its calls, and keeps their arguments if `calls` is a list."""

    def __init__(self) -> None:
        self.calls: list[Any] | None = None
        self._awaited = 0
        self._reached = asyncio.Event()

    async def called(self, times: int) -> None:
        """Waits for this number of calls from now on."""
        self._awaited = times
        self._reached.clear()
        await self._reached.wait()

    def key(self, key: str) -> None:
        """Handles a change by its key."""
        self._take(key)

    def update(self, old: Any, new: Any) -> None:
        """Handles an update with both versions of the object."""
        self._take(new)

    def _take(self, argument: Any) -> None:
        if self.calls is not None:
            self.calls.append(argument)
        self._awaited -= 1
        if not self._awaited:
            self._reached.set()


class Follower(NamedTuple):
    """A program that follows the replayed watch and calls a handler.

    Attributes:
        follow: Runs the program, from the initial events on.
        expected: Returns the arguments of the calls when the pods change to a state.
    """

    follow: Callable[[Replay, Handler], AbstractAsyncContextManager[None]]
    expected: Callable[[State], list[Any]]


def _informer(
    type: type, register: Callable[[kinform.Informer, Handler], object], expected: Callable[[State], list[Any]]
) -> Follower:
    @asynccontextmanager
    async def follow(replay: Replay, handler: Handler) -> AsyncIterator[None]:
        informer = kinform.Informer(replay, "v1/pods", type=type, options=NO_TIMEOUT)
        register(informer, handler)
        async with informer:
            await informer.synced()
            while informer.stats().queue_depth:
                await asyncio.sleep(0)
            yield

    return Follower(follow, expected)


def _task(
    run: Callable[[Replay, Handler], Coroutine[Any, Any, None]], expected: Callable[[State], list[Any]]
) -> Follower:
    @asynccontextmanager
    async def follow(replay: Replay, handler: Handler) -> AsyncIterator[None]:
        task = asyncio.create_task(run(replay, handler))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return Follower(follow, expected)


async def _watch(replay: Replay, handler: Handler) -> None:
    async for event in kinform.watcher(replay, "v1/pods", options=NO_TIMEOUT):
        if isinstance(event, kinform.Apply):
            handler.key(event.object.key)


def _loop(loads: Callable[[bytes], Any]) -> Follower:
    async def loop(replay: Replay, handler: Handler) -> None:
        store: dict[str, Decoded] = {}
        rest = b""
        async for chunk in replay.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = loads(line)
                if event["type"] == "BOOKMARK":
                    continue
                found = event["object"]
                metadata = found["metadata"]
                key = f"{metadata['namespace']}/{metadata['name']}"
                old, store[key] = store.get(key), found
                if old is not None:
                    handler.update(old, found)

    return _task(loop, lambda state: list(state.whole.values()))


FOLLOWERS = {
    "kinform, on_change: a key": _informer(
        dict, lambda informer, handler: informer.on_change(handler.key), lambda state: list(state.objects)
    ),
    "kinform, on_update: two small structs": _informer(
        Small,
        lambda informer, handler: informer.on_update(handler.update),
        lambda state: [msgspec.convert(found, Small) for found in state.objects.values()],
    ),
    "kinform, on_update: two dicts": _informer(
        dict, lambda informer, handler: informer.on_update(handler.update), lambda state: list(state.objects.values())
    ),
    "kinform, watcher: no store": _task(_watch, lambda state: list(state.objects)),
    **{f"naive loop, {name}": _loop(module.loads) for name, module in MODULES.items()},
}


@pytest.mark.benchmark(group="event to handler")
@pytest.mark.parametrize("name", FOLLOWERS)
def test_event_to_handler(timed: Timed, pods: Pods, name: str) -> None:
    replay, handler, (follow, expected) = Replay(), Handler(), FOLLOWERS[name]
    replay.send(chunks(b"".join([*pods.before.lines, pods.end])))
    back = b"".join(line.replace(b'"ADDED"', b'"MODIFIED"', 1) for line in pods.before.lines)
    states = itertools.cycle((chunks(b"".join(pods.after.lines)), chunks(back)))

    async def change() -> None:
        replay.send(next(states))
        await handler.called(len(pods.keys))

    with asyncio.Runner() as runner:
        following = follow(replay, handler)
        runner.run(following.__aenter__())
        try:
            for state in (pods.after, pods.before):
                handler.calls = []
                runner.run(change())
                assert handler.calls == expected(state)
            handler.calls = None
            loop = runner.get_loop()
            timed(
                lambda: loop.run_until_complete(change()),
                objects=len(pods.keys),
                size=(pods.before.wire_bytes + pods.after.wire_bytes) // 2,
            )
        finally:
            runner.run(following.__aexit__(None, None, None))
