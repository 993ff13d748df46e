"""A client without a library: aiohttp, json.loads and a dict.

It lists, watches, and after a 410 lists again into a new dict that replaces the old one: both are in memory meanwhile.
A list calls no handler, and changes that only a relist reveals are not reported.
"""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp

from benchmarks.peers.python.commands import Follower, run
from benchmarks.peers.python.peer import add_decoded, key_of, path_of

if TYPE_CHECKING:
    from benchmarks.harness.digest import Digest


class Plain(Follower):
    """Mode `paged` lists 500 objects a page, `whole` all in one request."""

    packages = ("aiohttp",)
    modes = ("paged", "whole")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._path = path_of(self._resource)
        self._store: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        self._session: aiohttp.ClientSession

    async def connect(self) -> None:
        """Creates the session."""
        self._session = aiohttp.ClientSession(
            self._url,
            headers={"Authorization": f"Bearer {self._token}"} if self._token else {},
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self._ca) if self._ca else True),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=1 << 21,  # a line is an object, and some exceed the default limit
        )

    async def close(self) -> None:
        """Closes the session."""
        await self._session.close()

    async def follow(self) -> None:
        """Lists and watches. Never returns."""
        while True:
            version = await self._list()
            self.synced.set()
            await self._watch(version)

    async def _list(self) -> str:
        found: dict[str, dict[str, Any]] = {}
        params = {"limit": "500"} if self._mode == "paged" else {}
        while True:
            async with self._session.get(self._path, params=params) as response:
                response.raise_for_status()
                page = json.loads(await response.read())
            for item in page["items"]:
                found[key_of(item["metadata"])] = item
            if not (more := page["metadata"].get("continue")):
                break
            params["continue"] = more
        self._names = {"apiVersion": page["apiVersion"], "kind": page["kind"].removesuffix("List")}
        self._store = found
        return str(page["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> None:
        """Watches from a version. Returns when the server no longer has it."""
        while True:
            params = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
            async with self._session.get(self._path, params=params) as response:
                if response.status == 410:
                    return
                response.raise_for_status()
                async for line in response.content:
                    event = json.loads(line)
                    found = event["object"]
                    if event["type"] == "ERROR":
                        if found["code"] == 410:
                            return
                        raise RuntimeError(found["message"])
                    version = found["metadata"]["resourceVersion"]
                    self._take(event["type"], found)

    def _take(self, verb: str, found: dict[str, Any]) -> None:
        if verb == "BOOKMARK":
            return
        if verb == "DELETED":
            self._store.pop(key_of(found["metadata"]), None)
        else:
            self._store[key_of(found["metadata"])] = found
        self.handle(found["metadata"]["resourceVersion"])

    def add_to(self, digest: Digest, whole: bool) -> None:
        """Adds every value: objects are kept as sent."""
        for key, found in self._store.items():
            add_decoded(digest, whole, key, found, self._names)


if __name__ == "__main__":
    run(Plain)
