"""The embedded API server of the demo: a `kinform.testing.Server`."""

from __future__ import annotations

from typing import Any

import msgspec

from kinform.cli.demo.parts.digest import RESOURCES, Versions, digest_of, entry
from kinform.testing import Server

BATCH_SIZE = 1000  # objects generated between two reports of progress


class SimulatorPart:
    """Serves generated pods and namespaces.

    Attributes:
        server: The server.
    """

    def __init__(self, *, pods: int, namespaces: int) -> None:
        self.objects = 0
        self._sizes = {"v1/pods": pods, "v1/namespaces": namespaces}
        self.server = Server()

    async def open(self) -> str:
        """Generates the objects and starts the server. Returns its URL."""
        for resource, size in self._sizes.items():
            for start in range(0, size, BATCH_SIZE):
                self.objects += len(self.server.generate(resource, min(BATCH_SIZE, size - start)))
        await self.server.start()
        return self.server.url

    async def close(self) -> None:
        await self.server.stop()

    async def storm(self, updates: int) -> dict[str, int]:
        """Updates objects of both collections, in proportion to their sizes.

        Returns:
            The last resourceVersion of each collection with updates.
        """
        pods, namespaces = (self._sizes[resource] for resource in RESOURCES)
        shares = {"v1/pods": updates * pods // (pods + namespaces)}
        shares["v1/namespaces"] = updates - shares["v1/pods"]
        last_versions = {}
        for resource, share in shares.items():
            if share:
                self.server.storm(resource, share)
                last_versions[resource] = int(self.server.resource_version)
        return last_versions

    async def expire(self, fraction: float) -> dict[str, int]:
        """Ends all watches, changes objects, and compacts the history.

        Never awaits, so no client sees a watch event of these changes. Only a relist finds them.

        Args:
            fraction: The share of objects to update. Half that number is deleted and created anew.

        Returns:
            The last resourceVersion of each collection.
        """
        server = self.server
        server.disconnect()
        for resource in RESOURCES:
            keys = server.keys(resource)
            updated = max(int(len(keys) * fraction), 1)
            deleted = keys[:: max(len(keys) // max(updated // 2, 1), 1)][: max(updated // 2, 1)]
            for key in deleted:
                server.delete(resource, key)
            server.storm(resource, updated)
            server.generate(resource, len(deleted))
        server.compact()
        return dict.fromkeys(RESOURCES, int(server.resource_version))

    async def sizes(self) -> dict[str, int]:
        """Returns the bytes of JSON of all objects, by resource."""
        return {
            resource: sum(len(self.server.raw(resource, key) or b"") for key in self.server.keys(resource))
            for resource in RESOURCES
        }

    async def versions(self) -> dict[str, Versions]:
        """Returns uid and resourceVersion of all objects, by resource and key."""
        return {resource: self.server.versions(resource) for resource in RESOURCES}

    async def digest(self) -> dict[str, dict[str, Any]]:
        """Returns digests of the versions and the contents, by resource."""
        server = self.server
        return {
            resource: digest_of(
                entry(key, uid, version, msgspec.json.decode(server.raw(resource, key) or b""))
                for key, (uid, version) in server.versions(resource).items()
            )
            for resource in RESOURCES
        }


create_part = SimulatorPart
