"""Waits and checks for tests of controllers: idle queues, numbers of writes.

Knows a controller only by its public attributes, and imports no other part of kinform.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from kinform.testing._requests import RecordedRequest
from kinform.testing._server import Server

_POLL_SECONDS = 0.01
_SHOWN_REQUESTS = 3


class _QueueStats(Protocol):
    @property
    def depth(self) -> int: ...
    @property
    def processing(self) -> int: ...
    @property
    def adds(self) -> int: ...
    @property
    def failing(self) -> int: ...


class _Queue(Protocol):
    def stats(self) -> _QueueStats: ...


class _Controller(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def started(self) -> bool: ...
    @property
    def queue(self) -> _Queue: ...
    @property
    def last_failure(self) -> str | None: ...


async def settled(server: Server, *controllers: _Controller, timeout: float = 10.0, quiet: float = 0.1) -> None:
    """Waits until controllers have nothing to do.

    Then all of them run, no key waits or is reconciled, the server has sent all events, and for `quiet` seconds there
    was no new key and no request. Keys that wait for the end of a delay do not count: neither those of
    `Requeue(after=...)`, nor those of a failed reconcile. So a test of a failure waits for its effect instead.

    A hot loop never settles, so it fails the test here.

    Args:
        server: The server that the controllers talk to.
        controllers: Those to wait for, such as a `kinform.controllers.Controller`.
        timeout: Seconds to wait.
        quiet: Seconds without anything new.

    Raises:
        TimeoutError: They were still busy, or were not started. The error has the depths of the queues, the number of
            keys with retries, the last failure, and the most frequent requests.
    """
    loop = asyncio.get_running_loop()
    first, deadline = len(server.requests), loop.time() + timeout
    seen, since = None, loop.time()
    while True:
        await server.wait_until_sent(timeout=timeout)
        stats = [controller.queue.stats() for controller in controllers]
        now = len(server.requests), [each.adds for each in stats]
        busy = any(each.depth or each.processing for each in stats) or not all(each.started for each in controllers)
        if now != seen or busy or _open(server.requests):
            seen, since = now, loop.time()
        elif loop.time() - since >= quiet:
            return
        if loop.time() > deadline:
            work = "; ".join(_work(each) for each in controllers)
            raise TimeoutError(f"not idle after {timeout:g} s: {work}; {_summary(server.requests[first:])}")
        await asyncio.sleep(_POLL_SECONDS)


def writes(server: Server) -> list[RecordedRequest]:
    """Returns the requests that were writes, in their order."""
    return [request for request in server.requests if request.is_write]


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


def _work(controller: _Controller) -> str:
    """Describes what a controller has to do."""
    if not controller.started:
        return f"{controller.name} was not started: nothing has called its run()"
    stats = controller.queue.stats()
    keys = f"{stats.depth} waiting and {stats.processing} processed keys"
    failing = f", {stats.failing} with retries (the last failure: {controller.last_failure})" if stats.failing else ""
    return f"{controller.name} has {keys}{failing}"


def _open(requests: list[RecordedRequest]) -> bool:
    """Returns whether a request, except a watch, has no answer yet."""
    return any(not request.ended and request.verb != "watch" for request in requests[-1_000:])


def _summary(requests: list[RecordedRequest]) -> str:
    counts = Counter(f"{each.verb} {each.path}" for each in requests if each.verb != "watch")
    frequent = ", ".join(f"{text} ({number})" for text, number in counts.most_common(_SHOWN_REQUESTS))
    return f"{len(requests)} requests" + (f", most of them {frequent}" if frequent else "")
