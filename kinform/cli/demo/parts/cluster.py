"""A reader of a real cluster, page by page, as plain JSON. Never writes.

The copies of the contestants are compared with its result.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

import kinform
from kinform.cli.demo.parts.digest import RESOURCES, Versions, digest_of, entry

PAGE_SIZE = 500


class ListRefused(kinform.KinformError):
    """The cluster answered a LIST with another status than 200."""

    def __init__(self, path: str, status: int) -> None:
        super().__init__(f"list {path}: the server answered {status}")
        self.status = status


class ClusterPart:
    """Reads a real cluster, without a cache and without kinform's scanner."""

    def __init__(self, *, kubeconfig: str | None, context: str | None) -> None:
        self._connection = kinform.connect(kubeconfig, context=context)
        self.objects = 0

    async def open(self) -> None:
        """Connects, and lists one object per collection to check the permissions early."""
        await self._connection.__aenter__()
        for resource in RESOURCES:
            await self._page(resource, 1, "")

    async def close(self) -> None:
        await self._connection.__aexit__(None, None, None)

    async def _page(self, resource: str, limit: int, token: str) -> dict[str, Any]:
        params = [("limit", str(limit))] + ([("continue", token)] if token else [])
        path = kinform.Resource.of(resource).path()
        request = kinform.Request(path=path, params=tuple(params), accept="application/json")
        response = await self._connection.open(request)
        try:
            if response.status != 200:
                raise ListRefused(path, response.status)
            page: dict[str, Any] = msgspec.json.decode(b"".join([chunk async for chunk in response.chunks()]))
        finally:
            response.close()
        return page

    async def _all(self, resource: str) -> AsyncIterator[tuple[str, str, str, dict[str, Any]]]:
        token, self.objects = "", 0
        while True:
            page = await self._page(resource, PAGE_SIZE, token)
            for obj in page["items"]:
                metadata = obj["metadata"]
                namespace = metadata.get("namespace")
                key = f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
                obj["kind"], obj["apiVersion"] = page["kind"].removesuffix("List"), page["apiVersion"]
                self.objects += 1
                yield key, metadata["uid"], metadata["resourceVersion"], obj
            token = page["metadata"].get("continue") or ""
            if not token:
                return

    async def sizes(self) -> dict[str, int]:
        """Returns the bytes of JSON of all objects, by resource."""
        return {
            resource: sum([len(msgspec.json.encode(obj)) async for *_, obj in self._all(resource)])
            for resource in RESOURCES
        }

    async def versions(self) -> dict[str, Versions]:
        """Returns uid and resourceVersion of all objects, by resource and key."""
        return {
            resource: {key: (uid, version) async for key, uid, version, _ in self._all(resource)}
            for resource in RESOURCES
        }

    async def digest(self) -> dict[str, dict[str, Any]]:
        """Returns digests of the versions and the contents, by resource."""
        return {resource: digest_of([entry(*listed) async for listed in self._all(resource)]) for resource in RESOURCES}


create_part = ClusterPart
