"""kubernetes_asyncio: its list function, then its Watch, into a dict of models.

Its Watch reconnects when a stream ends. After a 410 it tries the same version once more and raises: its users list
again, into a new dict that replaces the old one. A list calls no handler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubernetes_asyncio import client, watch
from kubernetes_asyncio.client.exceptions import ApiException

from benchmarks.peers.python.commands import Follower, run
from benchmarks.peers.python.peer import key_of

if TYPE_CHECKING:
    from benchmarks.harness.digest import Digest

LISTS = {"v1/pods": "list_pod_for_all_namespaces", "v1/namespaces": "list_namespace"}


class AsyncioClient(Follower):
    """Mode `paged` lists 500 objects a page, `whole` all in one request."""

    packages = ("kubernetes-asyncio", "aiohttp")
    modes = ("paged", "whole")
    resources = tuple(LISTS)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._store: dict[str, Any] = {}
        self._client: client.ApiClient
        self._function: Any

    async def connect(self) -> None:
        """Creates the client, and sets the configuration of its Watch."""
        configuration = client.Configuration(host=self._url)
        if self._ca:
            configuration.ssl_ca_cert = self._ca
        if self._token:
            configuration.api_key["BearerToken"] = f"Bearer {self._token}"
        client.Configuration.set_default(configuration)
        self._client = client.ApiClient()
        self._function = getattr(client.CoreV1Api(self._client), LISTS[self._resource])

    async def close(self) -> None:
        """Closes the client."""
        await self._client.close()

    async def follow(self) -> None:
        """Lists and watches. Never returns."""
        while True:
            version = await self._list()
            self.synced.set()
            try:
                async with watch.Watch() as stream:
                    async for event in stream.stream(self._function, resource_version=version):
                        self._take(event["type"], event["object"])
            except ApiException as error:
                if error.status != 410:
                    raise

    async def _list(self) -> str:
        found: dict[str, Any] = {}
        options = {"limit": 500} if self._mode == "paged" else {}
        while True:
            page = await self._function(**options)
            for item in page.items:
                found[_key_of(item.metadata)] = item
            if not page.metadata._continue:
                break
            options["_continue"] = page.metadata._continue
        self._store = found
        return str(page.metadata.resource_version)

    def _take(self, verb: str, found: Any) -> None:
        if verb == "BOOKMARK":
            return
        if verb == "DELETED":
            self._store.pop(_key_of(found.metadata), None)
        else:
            self._store[_key_of(found.metadata)] = found
        self.handle(found.metadata.resource_version)

    def add_to(self, digest: Digest, whole: bool) -> None:
        """Adds the identity of each object."""
        for key, found in self._store.items():
            metadata = found.metadata
            digest.add(key, metadata.uid, metadata.resource_version, metadata.labels)


def _key_of(metadata: Any) -> str:
    return key_of({"namespace": metadata.namespace, "name": metadata.name})


if __name__ == "__main__":
    run(AsyncioClient)
