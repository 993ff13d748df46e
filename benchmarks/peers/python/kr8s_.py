"""kr8s: get and watch of its asynchronous API, into a dict of its objects.

Its get does not return the resourceVersion of the list, so a watch cannot start there. The watch starts without one,
and the server sends the whole state again, which calls the handler for every object. Objects that were deleted in
between stay in the dict. After an ERROR event of code 410 the watch asks for the same version again and again, without
a delay: it does not recover, and raises no error. If the server refuses with a status it raises. Then, and when a
stream ends, which ends the watch, its users start again. Creating the client asks the server for its version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kr8s
import kr8s.asyncio

from benchmarks.peers.python.commands import Follower, run
from benchmarks.peers.python.peer import key_of

if TYPE_CHECKING:
    from benchmarks.harness.digest import Digest


class Kr8s(Follower):
    """Mode `watch` lists 100 objects a page; kr8s has no other mode."""

    packages = ("kr8s", "httpx", "python-box")
    modes = ("watch",)
    resources = ("v1/pods", "v1/namespaces")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._store: dict[str, Any] = {}
        self._kind = self._resource.rpartition("/")[2]
        self._api: Any

    async def connect(self) -> None:
        """Creates the client."""
        cluster = {"server": self._url} | ({"certificate-authority": self._ca} if self._ca else {})
        kubeconfig: Any = {  # a path, by its type, but it accepts the content
            "clusters": [{"name": "server", "cluster": cluster}],
            "users": [{"name": "server", "user": {"token": self._token}}],
            "contexts": [{"name": "server", "context": {"cluster": "server", "user": "server"}}],
            "current-context": "server",
        }
        self._api = await kr8s.asyncio.api(kubeconfig=kubeconfig)

    async def follow(self) -> None:
        """Lists and watches. Never returns."""
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

    def add_to(self, digest: Digest, whole: bool) -> None:
        """Adds the identity of each object."""
        for key, found in self._store.items():
            metadata = found.metadata
            digest.add(key, metadata.uid, metadata.resourceVersion, metadata.get("labels"))


if __name__ == "__main__":
    run(Kr8s)
