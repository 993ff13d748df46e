"""The kinform side: two informers with nothing set but what a demo on one machine asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

import kinform
from kinform.cli.demo.parts.digest import RESOURCES, Versions, digest_of, entry

PATIENCE = 600.0
"""Seconds. Each side is stopped (SIGSTOP) while another has its turn, and that is no silence of the server."""

GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}


class Ours:
    """Copies of two collections, in kinform's stores."""

    def __init__(self, *, url: str | None, kubeconfig: str | None, context: str | None) -> None:
        self._connection = kinform.connect(url or kubeconfig, context=context)
        self._expiring = Expiring(self._connection)
        options = kinform.WatchOptions(silence_timeout=PATIENCE)
        # A real server's history cannot be made to expire by a reader: then the answer 410 is made up here.
        api = self._connection if url else self._expiring
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

    # Orders

    async def sync(self) -> None:
        """Starts, and returns when both collections are there."""
        for informer in self._informers.values():
            self._started.append(await informer.__aenter__())
        for informer in self._informers.values():
            await informer.synced(PATIENCE)

    async def catch_up(self, versions: dict[str, int]) -> None:
        """Returns when the changes up to these resourceVersions are in the stores."""
        for resource, version in versions.items():
            await self._informers[resource].wait_for(str(version), PATIENCE)

    async def relist(self) -> None:
        """Makes each watch end and the next be answered 410, and returns when the new state is there."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self._expiring.expire()
        while any(since >= loop.time() - begun for since in self._since_sync()):
            await asyncio.sleep(0.02)

    def _since_sync(self) -> list[float]:
        return [
            stream.seconds_since_sync if stream.seconds_since_sync is not None else float("inf")
            for informer in self._informers.values()
            for stream in informer.stats().streams.values()
        ]

    async def versions(self) -> dict[str, Versions]:
        """Key to uid and resourceVersion of all that it holds."""
        found = {}
        for resource, informer in self._informers.items():
            metas = sorted((meta.key, meta) for key in informer.store if (meta := informer.store.meta(key)))
            found[resource] = {key: (meta.uid, meta.resource_version) for key, meta in metas}
        return found

    async def digest(self) -> dict[str, dict[str, Any]]:
        """What identifies the objects it holds, and what is in them."""
        return {
            resource: digest_of(
                entry(key, uid, version, msgspec.json.decode(self._informers[resource].store.raw(key) or b"{}"))
                for key, (uid, version) in versions.items()
            )
            for resource, versions in (await self.versions()).items()
        }


class Expiring:
    """A connection whose watches can be made to expire."""

    def __init__(self, connection: kinform.Connection) -> None:
        self._connection = connection
        self._open: set[_Ending] = set()
        self._gone: set[str] = set()

    @property
    def identity(self) -> object:
        return self._connection.identity

    async def open(self, request: kinform.Request) -> kinform.Response:
        if request.watch and request.path in self._gone:
            self._gone.discard(request.path)
            return _Answered(410, msgspec.json.encode(GONE))
        response = await self._connection.open(request)
        if not request.watch:
            return response
        ending = _Ending(request.path, response, self._open)
        self._open.add(ending)
        return ending

    async def refresh_credentials(self) -> bool:
        return await self._connection.refresh_credentials()

    def expire(self) -> None:
        """Ends the watches that are open; the next for each collection is answered 410."""
        for ending in list(self._open):
            self._gone.add(ending.path)
            ending.end()


class _Ending:
    """A response that can be made to end as if the server had ended it."""

    def __init__(self, path: str, response: kinform.Response, those_open: set[_Ending]) -> None:
        self.path = path
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._those_open = those_open
        self._ended = False

    def end(self) -> None:
        self._ended = True
        self.close()

    def close(self) -> None:
        self._those_open.discard(self)
        self._response.close()

    async def head(self, limit: int) -> bytes:
        return await self._response.head(limit)

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.chunks():
                yield chunk
        except kinform.TransportError:
            if not self._ended:
                raise


class _Answered:
    """A response that no server sent."""

    headers: Mapping[str, str] = {}

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def head(self, limit: int) -> bytes:
        return self._body[:limit]

    def close(self) -> None:
        pass


make = Ours
