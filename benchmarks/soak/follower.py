"""kinform in its own process: an informer, handlers, and the copy that they build.

Reads the commands of `benchmarks.harness.process`. One informer runs at a time, each over a new connection. The process
counts the requests that it sends, also those that never reach a server.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

import msgspec

import kinform
from benchmarks.harness.commands import carry_out
from benchmarks.soak.copies import content_digest
from benchmarks.soak.order import Followed, HandlerCopy

SLICE = 50
"""Objects that are read before the event loop gets control."""
TICK = 0.002


class CountingTransport:
    """A connection whose requests are counted.

    Attributes:
        requests: Requests so far.
    """

    def __init__(self, inner: kinform.Transport) -> None:
        self._inner = inner
        self.requests = 0

    @property
    def identity(self) -> object:
        """The identity of the connection."""
        return self._inner.identity

    async def open(self, request: kinform.Request) -> kinform.Response:
        """Counts and sends a request."""
        self.requests += 1
        return await self._inner.open(request)

    async def refresh_credentials(self) -> bool:
        """Reads the credentials again."""
        return await self._inner.refresh_credentials()


class FollowerProgram:
    """The commands: each is a public method."""

    def __init__(self, *, url: str, resource: str, ca: str | None = None, token: str | None = None) -> None:
        self._access = {"ca": ca, "token": token}
        self._url = url
        self._resource = resource
        self._stack = AsyncExitStack()
        self._copy = HandlerCopy()
        self._informer: kinform.Informer
        self._transport: CountingTransport

    async def open(self, *, initial: str, page_size: int, snapshot: str | None = None) -> None:
        """Connects and starts an informer, without waiting for its first state."""
        connection = await self._stack.enter_async_context(kinform.connect(self._url, **self._access))  # type: ignore[arg-type]
        self._transport = CountingTransport(connection)
        options = msgspec.structs.replace(OPTIONS, initial=initial, page_size=page_size)
        self._informer = kinform.Informer(
            self._transport, self._resource, type=Followed, options=options, snapshot=snapshot
        )
        self._copy = HandlerCopy()
        self._informer.on_add(self._copy.add)
        self._informer.on_update(self._copy.update)
        self._informer.on_delete(self._copy.delete)
        await self._stack.enter_async_context(self._informer)

    async def reach(self, *, version: str, within: float) -> float | None:
        """Waits until the store is synced and has reached a version.

        Returns:
            The time of `time.monotonic` at which it has, which all processes of the machine share. None if it has not
            `within` this number of seconds.
        """
        try:
            async with asyncio.timeout(within):
                await self._informer.synced(wait=True)
                await self._informer.wait_for(version)
        except TimeoutError:
            return None
        return time.monotonic()

    async def copies(self, *, content: bool) -> dict[str, dict[str, list[str]]]:
        """Returns the store and the copy of the handlers.

        Waits until the handlers were called for all events. With `content`, the store has digests of its objects.
        """
        informer = self._informer
        while informer.stats().queue_depth:
            await asyncio.sleep(TICK)
        store: dict[str, list[str]] = {}
        for number, key in enumerate(informer.store.keys()):
            if (meta := informer.store.meta(key)) is None:
                continue
            store[key] = [meta.uid, meta.resource_version]
            if content:
                store[key].append(content_digest(msgspec.json.decode(informer.store.raw(key) or b"{}")))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return {"store": store, "handlers": {key: list(version) for key, version in self._copy.objects.items()}}

    async def report(self) -> dict[str, Any]:
        """Returns the state, the number of requests, and what handlers got."""
        stats, copy = self._informer.stats(), self._copy
        return {
            "state": stats.state,
            "degraded": stats.degraded,
            "errors": sum(stream.errors for stream in stats.streams.values()),
            "error": [stream.error for stream in stats.streams.values()],
            "requests": self._transport.requests,
            "calls": copy.calls,
            "without_old": copy.without_old,
            "handler_errors": stats.handler_errors,
            "violations": copy.violations,
            "examples": copy.examples,
            "snapshot_loaded": stats.snapshot is not None and stats.snapshot.loaded,
        }

    async def end(self) -> None:
        """Stops the informer, which writes its snapshot, and closes the connection."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()


OPTIONS = kinform.WatchOptions(
    backoff=kinform.Backoff(initial=0.1, maximum=2.0, refused=1.0),
    headers_timeout=3.0,
    silence_timeout=3.0,
    watch_timeout=10.0,
    max_object_bytes=1 << 20,
)
"""Shorter waits than the default ones, so that a run has more faults. The page of the results lists them."""


async def main(options: dict[str, Any]) -> None:
    """Carries out commands until standard input ends."""
    logging.getLogger("kinform").setLevel(logging.CRITICAL)  # the faults are intended
    await carry_out(FollowerProgram(**options))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
