"""kopf: an operator in this process.

Its handler for the events of all objects keeps them in a dict.

It lists again after a 410, and calls the handler for every object. It does not compare lists: what was deleted
meanwhile stays in the dict. A watch that is refused with status 410 ends the operator. It handles objects concurrently,
one task each, so events of different objects have no order. It has no notification for the end of the first list: this
program counts the objects in advance. kopf's own indexes would keep the objects too, but each object that is indexed
wakes all others at first: the time grows with the square of the number of objects.
"""

from __future__ import annotations

import ssl
import sys
from typing import TYPE_CHECKING, Any

import aiohttp

# It imports the clients that are installed, to log in as they would. Its users do not need them.
sys.modules.update({"kubernetes": None, "kubernetes_asyncio": None})  # type: ignore[dict-item]

import kopf  # noqa: E402

from benchmarks.peers.python.commands import Follower, run  # noqa: E402
from benchmarks.peers.python.peer import add_decoded, key_of, path_of  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.harness.digest import Digest


class Kopf(Follower):
    """Mode `events` lists all objects in one request, kopf's default."""

    packages = ("kopf", "aiohttp")
    modes = ("events",)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._store: dict[str, dict[str, Any]] = {}
        self._expected = 0

    async def connect(self) -> None:
        """Registers the handlers."""
        *group, version, plural = self._resource.split("/")

        @kopf.on.login()
        async def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(server=self._url, ca_path=self._ca, token=self._token)

        @kopf.on.event(group[0] if group else "", version, plural)
        async def event(type: str | None, body: kopf.Body, **_: Any) -> None:
            self._take(type, dict(body))

    async def follow(self) -> None:
        """Runs the operator. Never returns."""
        self._expected = await self._count()
        if not self._expected:
            self.synced.set()
        await kopf.operator(standalone=True, clusterwide=True)

    async def _count(self) -> int:
        """Returns the number of objects on the server."""
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self._ca) if self._ca else True)
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        async with (
            aiohttp.ClientSession(self._url, connector=connector, headers=headers) as session,
            session.get(path_of(self._resource), params={"limit": "1"}) as response,
        ):
            page = await response.json()
        return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))

    def _take(self, verb: str | None, found: dict[str, Any]) -> None:
        if verb == "DELETED":
            self._store.pop(key_of(found["metadata"]), None)
        else:
            self._store[key_of(found["metadata"])] = found
        self.handle(found["metadata"]["resourceVersion"])
        if not self.synced.is_set() and len(self._store) >= self._expected:
            self.synced.set()

    def add_to(self, digest: Digest, whole: bool) -> None:
        """Adds every value: objects are kept as sent, with their kind."""
        for key, found in self._store.items():
            add_decoded(digest, whole, key, found, {})


if __name__ == "__main__":
    run(Kopf)
