"""Waits and checks for tests of controllers: idle queues, numbers of writes.

Knows a controller only by its work queue, and imports no other part of kinform.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from kinform.testing._requests import RecordedRequest
from kinform.testing._server import Server

_READS = {"list", "watch", "get", "other"}
_POLL_SECONDS = 0.01
_SHOWN_REQUESTS = 3


class _QueueStats(Protocol):
    @property
    def depth(self) -> int: ...
    @property
    def processing(self) -> int: ...
    @property
    def adds(self) -> int: ...


class _Queue(Protocol):
    def stats(self) -> _QueueStats: ...


class _Controller(Protocol):
    @property
    def queue(self) -> Any: ...


async def settled(server: Server, *controllers: _Controller, timeout: float = 10.0, quiet: float = 0.1) -> None:
    """Waits until controllers have nothing to do.

    Then no key waits or is reconciled, the server has sent all events, and for `quiet` seconds there was no new key and
    no request. Keys that wait for the end of a delay do not count: neither those of `Requeue(after=...)`, nor those of
    a failed reconcile. So a test of a failure waits for its effect instead.

    A hot loop never settles, so it fails the test here.

    Args:
        server: The server that the controllers talk to.
        controllers: Each has a `queue` with `stats()`, as `kinform.controllers.Controller` has.
        timeout: Seconds to wait.
        quiet: Seconds without anything new.

    Raises:
        TimeoutError: They were still busy. The error has the depths of the queues and the most frequent requests.
    """
    loop = asyncio.get_running_loop()
    first, deadline = len(server.requests), loop.time() + timeout
    seen, since = None, loop.time()
    while True:
        await server.wait_until_sent(timeout=timeout)
        stats = [controller.queue.stats() for controller in controllers]
        now = len(server.requests), [each.adds for each in stats]
        if now != seen or any(each.depth or each.processing for each in stats) or _open(server.requests):
            seen, since = now, loop.time()
        elif loop.time() - since >= quiet:
            return
        if loop.time() > deadline:
            depths = ", ".join(f"{each.depth} waiting and {each.processing} processed" for each in stats)
            raise TimeoutError(f"not idle after {timeout:g} s: {depths} keys; {_summary(server.requests[first:])}")
        await asyncio.sleep(_POLL_SECONDS)


def writes(server: Server) -> list[RecordedRequest]:
    """Returns the requests that were writes, in their order."""
    return [request for request in server.requests if request.verb not in _READS]


@contextmanager
def at_most(server: Server, number: int) -> Iterator[None]:
    """Checks the number of writes that reach the server during a block.

    At the end of the block the controllers should have settled: `await settled(server, controller)`.

    Raises:
        AssertionError: There were more. The error has the most frequent ones.
    """
    before = len(writes(server))
    yield
    found = writes(server)[before:]
    if len(found) > number:
        raise AssertionError(f"expected at most {number} writes: {_summary(found)}")


def _open(requests: list[RecordedRequest]) -> bool:
    """Returns whether a request, except a watch, has no answer yet."""
    return any(not request.ended and request.verb != "watch" for request in requests[-1_000:])


def _summary(requests: list[RecordedRequest]) -> str:
    counts = Counter(f"{each.verb} {each.path}" for each in requests if each.verb != "watch")
    frequent = ", ".join(f"{text} ({number})" for text, number in counts.most_common(_SHOWN_REQUESTS))
    return f"{len(requests)} requests" + (f", most of them {frequent}" if frequent else "")
