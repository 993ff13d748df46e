"""The writes of a soak to a real API server: a constant set of ConfigMaps.

The server is killed and frozen meanwhile, so a write can fail, or succeed without an answer. The truth is a LIST.
"""

from __future__ import annotations

import asyncio
import ssl
from random import Random
from typing import Any

import aiohttp
import msgspec

from benchmarks.corpus import Object, key_of
from benchmarks.soak.copies import Version, content_digest

CONFIGMAPS = "v1/configmaps"
NAMESPACE = "soak"
PATH = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
WRITERS = 4
TIMEOUT = 3.0
RETRY_SECONDS = 0.1
DELETIONS = 0.1
"""The share of writes that delete a ConfigMap."""
QUIET_SECONDS = 0.5
"""Seconds between two equal LISTs, after which no write is on its way any more."""
MAX_READY_SECONDS = 120.0


class NotReady(Exception):
    """The API server did not answer in time after a fault was over."""


class ConfigMapLoad:
    """Writes to ConfigMaps, by several tasks.

    Args:
        url: The API server.
        token: A token with all rights.
        tls: Trusts the server.
        objects: The number of ConfigMaps.
        random: The generator of names, values and sizes.

    Attributes:
        made: The number of writes that the server has confirmed.
    """

    def __init__(self, url: str, token: str, tls: ssl.SSLContext, objects: int, random: Random) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._tls = tls
        self._random = random
        self._values = {f"c{number:05}": "x" * random.randrange(200, 3000) for number in range(objects)}
        self._present: dict[str, bool] = dict.fromkeys(self._values, False)
        self._running = asyncio.Event()
        self._writing = 0
        self._session: aiohttp.ClientSession
        self.made = 0

    async def run(self) -> None:
        """Writes until it is cancelled, except while it is paused."""
        async with asyncio.TaskGroup() as writers:
            for number in range(WRITERS):  # each has objects of its own
                writers.create_task(self._write_forever(list(self._values)[number::WRITERS]))

    async def create(self) -> None:
        """Opens the connections, and creates the namespace and all ConfigMaps."""
        connector = aiohttp.TCPConnector(ssl=self._tls)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        self._session = aiohttp.ClientSession(self._url, headers=self._headers, connector=connector, timeout=timeout)
        await self._request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        for name in self._values:
            await self.write(name)

    async def close(self) -> None:
        """Closes the connections."""
        await self._session.close()

    async def _write_forever(self, names: list[str]) -> None:
        while True:
            while not self._running.is_set():
                await self._running.wait()
            self._writing += 1
            try:
                written = await self.write(self._random.choice(names))
            finally:
                self._writing -= 1
            if written is None:
                await asyncio.sleep(RETRY_SECONDS)

    async def write(self, name: str) -> str | None:
        """Writes a ConfigMap once.

        Returns the resourceVersion; it is None or empty if the server did not confirm a new version.
        """
        if not self._present[name]:
            body = {"metadata": {"name": name}, "data": {"value": self._values[name], "number": self._number()}}
            status, answer = await self._request("POST", PATH, body)
            self._present[name] = status in (201, 409)
        elif self._random.random() < DELETIONS:
            status, answer = await self._request("DELETE", f"{PATH}/{name}", None)
            self._present[name] = status not in (200, 404)
            answer = {}  # a Status, without a resourceVersion
        else:
            patch = {"data": {"number": self._number()}}
            status, answer = await self._request("PATCH", f"{PATH}/{name}", patch)
            self._present[name] = status != 404
        if status not in (200, 201):
            return None
        self.made += 1
        version: str = answer.get("metadata", {}).get("resourceVersion", "")
        return version

    def _number(self) -> str:
        return f"{self.made:010}"  # so that the size stays

    async def probe(self) -> str:
        """Writes until the server confirms a write; returns its resourceVersion.

        Raises:
            NotReady: The server did not confirm one for a long time.
        """
        try:
            async with asyncio.timeout(MAX_READY_SECONDS):
                while not (version := await self.write(self._random.choice(list(self._values)))):
                    await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            raise NotReady(f"no write succeeded for {MAX_READY_SECONDS:.0f} s") from None
        return version

    async def pause(self) -> None:
        """Stops the writes until `resume`; returns when all have their answers."""
        self._running.clear()
        while self._writing:
            await asyncio.sleep(RETRY_SECONDS)

    def resume(self) -> None:
        """Starts or continues the writes."""
        self._running.set()

    async def truth(self) -> dict[str, Version]:
        """Returns the ConfigMaps of all namespaces, once no more of them changes."""
        last = await self._list()
        while True:
            await asyncio.sleep(QUIET_SECONDS)
            found = await self._list()
            if found and found == last:
                return found
            last = found

    async def _list(self) -> dict[str, Version]:
        status, answer = await self._request("GET", "/api/v1/configmaps", None)
        if status != 200:
            return {}
        found: dict[str, Version] = {}
        for item in answer["items"]:
            item |= {"apiVersion": "v1", "kind": "ConfigMap"}
            metadata = item["metadata"]
            found[key_of(item)] = (metadata["uid"], metadata["resourceVersion"], content_digest(item))
        return found

    async def _request(self, method: str, path: str, body: Object | None) -> tuple[int, dict[str, Any]]:
        """Sends a request; the status is 0 without an answer."""
        form = "application/merge-patch+json" if method == "PATCH" else "application/json"
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(method, path, data=data, headers={"Content-Type": form}) as response:
                answer = await response.read()
                return response.status, msgspec.json.decode(answer) if response.status < 300 else {}
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, {}
