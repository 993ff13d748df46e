"""lightkube: list and watch of its asynchronous client, into a dict of its models.

Its watch reconnects when a stream ends, but raises after a 410. With its retry option, it would drop the version and
continue, without a list of the objects that were deleted meanwhile. So its users list again, into a new dict that
replaces the old one. A list calls no handler. It passes bookmarks on as objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from httpx2 import HTTPStatusError
from lightkube import ALL_NS, ApiError, AsyncClient, KubeConfig
from lightkube.config.models import Cluster, User
from lightkube.resources.core_v1 import Namespace, Pod

from benchmarks.peers.python.commands import Follower, run
from benchmarks.peers.python.peer import key_of

if TYPE_CHECKING:
    from benchmarks.harness.digest import Digest

KINDS: dict[str, tuple[Any, dict[str, str]]] = {
    "v1/pods": (Pod, {"namespace": ALL_NS}),
    "v1/namespaces": (Namespace, {}),
}


class Lightkube(Follower):
    """Mode `watch` lists all objects in one request, lightkube's default."""

    packages = ("lightkube", "lightkube-models", "httpx2", "msgspec")
    modes = ("watch",)
    resources = tuple(KINDS)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._store: dict[str, Any] = {}
        self._kind, self._where = KINDS[self._resource]
        self._client: Any

    async def connect(self) -> None:
        """Creates the client."""
        cluster = Cluster(server=self._url, certificate_auth=self._ca)
        configuration = KubeConfig.from_one(cluster=cluster, user=User(token=self._token))
        self._client = AsyncClient(config=configuration)

    async def close(self) -> None:
        """Closes the client."""
        await self._client.close()

    async def follow(self) -> None:
        """Lists and watches. Never returns."""
        while True:
            version = await self._list()
            self.synced.set()
            try:
                async for verb, found in self._client.watch(self._kind, **self._where, resource_version=version):
                    self._take(verb, found)
            except HTTPStatusError as error:
                if (error.status.code if isinstance(error, ApiError) else error.response.status_code) != 410:
                    raise

    async def _list(self) -> str:
        found: dict[str, Any] = {}
        listed = self._client.list(self._kind, **self._where)
        async for item in listed:
            found[_key_of(item.metadata)] = item
        self._store = found
        return str(listed.resourceVersion)

    def _take(self, verb: str, found: Any) -> None:
        if verb == "BOOKMARK":
            return
        if verb == "DELETED":
            self._store.pop(_key_of(found.metadata), None)
        else:
            self._store[_key_of(found.metadata)] = found
        self.handle(found.metadata.resourceVersion)

    def add_to(self, digest: Digest, whole: bool) -> None:
        """Adds the identity of each object."""
        for key, found in self._store.items():
            metadata = found.metadata
            digest.add(key, metadata.uid, metadata.resourceVersion, metadata.labels)


def _key_of(metadata: Any) -> str:
    return key_of({"namespace": metadata.namespace, "name": metadata.name})


if __name__ == "__main__":
    run(Lightkube)
