"""kopf: an operator in this process, with a handler for the events of all objects that keeps them in a dict.

It lists again by itself after a 410, and calls the handler for every object there is; but what was deleted meanwhile
stays in the dict for ever, as it compares no list with another. A watch that is refused by a status 410 ends the
operator. Objects are handled side by side, each in a task of its own: their events come in no common order. It tells
nobody when the first list is complete: the objects are counted beforehand. It has indexes, which would be kept by
itself; but as each object that is indexed at first wakes all the others, the time that takes grows as the square of
their number: measured, 250 in 1.5 s, 500 in 4.4, 1,000 in 19.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import aiohttp

# It imports those that there are, to log in as they would. Its users need not have them.
sys.modules.update({"kubernetes": None, "kubernetes_asyncio": None})  # type: ignore[dict-item]

import kopf  # noqa: E402

from benchmarks.peers.python.orders import Follower, obey  # noqa: E402
from benchmarks.peers.python.peer import gather_decoded, key_of, path_of  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.harness.digest import Digest


class Kopf(Follower):
    """Mode `index`, which lists all at once, as is its default."""

    packages = ("kopf", "aiohttp")
    modes = ("index",)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._store: dict[str, dict[str, Any]] = {}
        self._expected = 0

    async def connect(self) -> None:
        """Registers the handlers."""
        *group, version, plural = self._resource.split("/")

        @kopf.on.login()
        async def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(server=self._url)

        @kopf.on.event(group[0] if group else "", version, plural)
        async def event(type: str | None, body: kopf.Body, **_: Any) -> None:
            self._take(type, dict(body))

    async def follow(self) -> None:
        """Runs the operator, for ever."""
        self._expected = await self._count()
        if not self._expected:
            self.synced.set()
        await kopf.operator(standalone=True, clusterwide=True)

    async def _count(self) -> int:
        """How many objects there are."""
        async with (
            aiohttp.ClientSession(self._url) as session,
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

    def gather(self, digest: Digest, whole: bool) -> None:
        """Every value: objects are kept as sent, and told their kind."""
        for key, found in self._store.items():
            gather_decoded(digest, whole, key, found, {})


if __name__ == "__main__":
    obey(Kopf)
