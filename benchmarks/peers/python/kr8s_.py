"""kr8s: its asynchronous API's get and watch, into a dict of its objects.

Its get tells no resourceVersion of the list, so no watch can start from there: it starts without one, and the server
sends the whole state first once more, which calls the handler for every object. What was deleted between the two is
kept for ever. At an ERROR event of code 410 the watch asks for the same version again, without a pause and without
end: it does not recover, and tells nobody. Only where the server refuses by a status it raises; then, and where a
stream ends, which ends the watch, what uses it begins anew. To make the client asks the server for its version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kr8s
import kr8s.asyncio

from benchmarks.peers.python.orders import Follower, obey
from benchmarks.peers.python.peer import key_of

if TYPE_CHECKING:
    from benchmarks.harness.digest import Digest


class Kr8s(Follower):
    """Mode `watch` lists 100 at a time, as it does always."""

    packages = ("kr8s", "httpx", "python-box")
    modes = ("watch",)
    resources = ("v1/pods", "v1/namespaces")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._store: dict[str, Any] = {}
        self._kind = self._resource.rpartition("/")[2]
        self._api: Any

    async def connect(self) -> None:
        """Makes the client."""
        self._api = await kr8s.asyncio.api(url=self._url)

    async def follow(self) -> None:
        """Lists and watches for ever."""
        while True:
            await self._list()
            self.synced.set()
            try:
                async for verb, found in self._api.watch(self._kind, namespace=kr8s.ALL):
                    self._take(verb, found)
            except kr8s.ServerError as error:
                if error.response is None or error.response.status_code != 410:
                    raise

    async def _list(self) -> None:
        found = {}
        async for item in self._api.get(self._kind, namespace=kr8s.ALL):
            found[key_of(item.metadata)] = item
        self._store = found

    def _take(self, verb: str, found: Any) -> None:
        if verb == "BOOKMARK":
            return
        if verb == "DELETED":
            self._store.pop(key_of(found.metadata), None)
        else:
            self._store[key_of(found.metadata)] = found
        self.handle(found.metadata.resourceVersion)

    def gather(self, digest: Digest, whole: bool) -> None:
        """Who each object is."""
        for key, found in self._store.items():
            metadata = found.metadata
            digest.add(key, metadata.uid, metadata.resourceVersion, metadata.get("labels"))


if __name__ == "__main__":
    obey(Kr8s)
