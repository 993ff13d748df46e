"""The server of the demo: the simulator of an API server, and what is to happen on it."""

from __future__ import annotations

from typing import Any

import msgspec

from kinform.cli.demo.parts.digest import RESOURCES, Versions, digest_of, entry
from kinform.testing import Server

SLICE = 1000  # objects made between two words of progress


class Embedded:
    """An API server with objects of its own."""

    def __init__(self, *, pods: int, namespaces: int) -> None:
        self.objects = 0
        self._sizes = {"v1/pods": pods, "v1/namespaces": namespaces}
        self._server = Server()

    async def open(self) -> str:
        """Makes the objects, and listens; returns the URL."""
        for resource, size in self._sizes.items():
            for made in range(0, size, SLICE):
                self.objects += len(self._server.generate(resource, min(SLICE, size - made)))
        await self._server.start()
        return self._server.url

    async def close(self) -> None:
        await self._server.stop()

    async def storm(self, updates: int) -> dict[str, int]:
        """Updates so many objects, both collections by their size; returns up to where that goes."""
        pods, namespaces = (self._sizes[resource] for resource in RESOURCES)
        shares = {"v1/pods": updates * pods // (pods + namespaces)}
        shares["v1/namespaces"] = updates - shares["v1/pods"]
        reached = {}
        for resource, share in shares.items():
            if share:
                self._server.storm(resource, share)
                reached[resource] = int(self._server.resource_version)
        return reached

    async def expire(self, fraction: float) -> dict[str, int]:
        """Ends every stream, changes, deletes and adds objects unseen, and forgets how: only a list can tell.

        All in one step, so that no client is told of it in between. Returns up to where that goes.

        Args:
            fraction: Of the objects, that are changed; half as many are deleted, and as many again created.
        """
        server = self._server
        server.disconnect()
        for resource in RESOURCES:
            keys = server.keys(resource)
            changed = max(int(len(keys) * fraction), 1)
            deleted = keys[:: max(len(keys) // max(changed // 2, 1), 1)][: max(changed // 2, 1)]
            for key in deleted:
                server.delete(resource, key)
            server.storm(resource, changed)
            server.generate(resource, len(deleted))
        server.compact()
        return dict.fromkeys(RESOURCES, int(server.resource_version))

    async def sizes(self) -> dict[str, int]:
        """Bytes of JSON of all objects, by resource."""
        return {
            resource: sum(len(self._server.raw(resource, key) or b"") for key in self._server.keys(resource))
            for resource in RESOURCES
        }

    async def versions(self) -> dict[str, Versions]:
        """Key to uid and resourceVersion of all objects."""
        return {resource: self._server.versions(resource) for resource in RESOURCES}

    async def digest(self) -> dict[str, dict[str, Any]]:
        """What identifies the objects, and what is in them."""
        server = self._server
        return {
            resource: digest_of(
                entry(key, uid, version, msgspec.json.decode(server.raw(resource, key) or b""))
                for key, (uid, version) in server.versions(resource).items()
            )
            for resource in RESOURCES
        }


make = Embedded
