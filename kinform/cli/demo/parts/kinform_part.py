"""The contestant "kinform": two informers with default options.

Only the silence timeout is longer, because the process is stopped between its turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

import kinform
from kinform.cli.demo.parts.digest import RESOURCES, Versions, digest_of, entry

TIMEOUT_SECONDS = 600.0
"""Longer than the turns of the other contestant, during which this process is stopped (SIGSTOP)."""

POLL_SECONDS = 0.02


class KinformPart:
    """Keeps copies of two collections in kinform's stores."""

    def __init__(self, *, url: str | None, kubeconfig: str | None, context: str | None) -> None:
        self._connection = kinform.connect(url or kubeconfig, context=context)
        self._transport = ExpiringTransport(self._connection)
        options = kinform.WatchOptions(silence_timeout=TIMEOUT_SECONDS)
        api = self._connection if url else self._transport
        self._informers = {resource: kinform.Informer(api, resource, options=options) for resource in RESOURCES}
        self._started: list[kinform.Informer] = []

    @property
    def objects(self) -> int:
        return sum(len(informer.store) for informer in self._informers.values())

    async def open(self) -> None:
        await self._connection.__aenter__()

    async def close(self) -> None:
        for informer in self._started:
            await informer.__aexit__(None, None, None)
        await self._connection.__aexit__(None, None, None)

    async def sync(self) -> None:
        """Starts the informers, and returns when both are synced."""
        for informer in self._informers.values():
            self._started.append(await informer.__aenter__())
        for informer in self._informers.values():
            await informer.synced(TIMEOUT_SECONDS)

    async def catch_up(self, versions: dict[str, int]) -> None:
        """Returns when the stores have reached these resourceVersions."""
        for resource, version in versions.items():
            await self._informers[resource].wait_for(str(version), TIMEOUT_SECONDS)

    async def relist(self) -> None:
        """Expires both watches, and returns when the relists are complete."""
        loop = asyncio.get_running_loop()
        while self._transport.open_watches < len(RESOURCES):  # a stream may be between two watches
            await asyncio.sleep(POLL_SECONDS)
        start = loop.time()
        self._transport.expire()
        while any(age >= loop.time() - start for age in self._sync_ages()):
            await asyncio.sleep(POLL_SECONDS)

    def _sync_ages(self) -> list[float]:
        return [
            stream.seconds_since_sync if stream.seconds_since_sync is not None else float("inf")
            for informer in self._informers.values()
            for stream in informer.stats().streams.values()
        ]

    async def versions(self) -> dict[str, Versions]:
        """Returns uid and resourceVersion of all objects, by resource and key."""
        result = {}
        for resource, informer in self._informers.items():
            metas = sorted((meta.key, meta) for key in informer.store if (meta := informer.store.meta(key)))
            result[resource] = {key: (meta.uid, meta.resource_version) for key, meta in metas}
        return result

    async def digest(self) -> dict[str, dict[str, Any]]:
        """Returns digests of the versions and the contents, by resource."""
        return {
            resource: digest_of(
                entry(key, uid, version, msgspec.json.decode(self._informers[resource].store.raw(key) or b"{}"))
                for key, (uid, version) in versions.items()
            )
            for resource, versions in (await self.versions()).items()
        }


class ExpiringTransport:
    """A connection whose open watches can be expired with 410.

    Only for a real cluster, whose history a reader cannot compact. The faults of `kinform.testing` would load an HTTP
    server into the measured process.
    """

    def __init__(self, connection: kinform.Connection) -> None:
        self._connection = connection
        self._watches: set[_ExpiringWatch] = set()

    @property
    def identity(self) -> object:
        return self._connection.identity

    @property
    def open_watches(self) -> int:
        """The number of open watches."""
        return len(self._watches)

    async def open(self, request: kinform.Request) -> kinform.Response:
        response = await self._connection.open(request)
        if not request.watch or response.status != 200:
            return response
        watch = _ExpiringWatch(response, self._watches)
        self._watches.add(watch)
        return watch

    async def refresh_credentials(self) -> bool:
        return await self._connection.refresh_credentials()

    def expire(self) -> None:
        """Ends all open watches with an ERROR event 410, as an API server does."""
        for watch in list(self._watches):
            watch.expire()


class _ExpiringWatch:
    """The response to a watch, which `expire` ends at the next boundary of two events."""

    ERROR_EVENT = (
        b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
        b'"message":"too old resource version","reason":"Expired","code":410}}\n'
    )

    def __init__(self, response: kinform.Response, open_watches: set[_ExpiringWatch]) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._open_watches = open_watches
        self._expired = False
        self._between_events = True

    def expire(self) -> None:
        self._expired = True
        if self._between_events:
            self._response.close()

    def close(self) -> None:
        self._open_watches.discard(self)
        self._response.close()

    async def head(self, limit: int) -> bytes:
        return await self._response.head(limit)

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.chunks():
                self._between_events = chunk.endswith(b"\n")
                yield chunk
                if self._expired and self._between_events:
                    break
        except kinform.TransportError:
            if not (self._expired and self._between_events):
                raise
        if self._expired and self._between_events:
            yield self.ERROR_EVENT


create_part = KinformPart
