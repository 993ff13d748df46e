"""A program whose memory is measured before and after it uses a part of kinform.

Each command returns when the part is in use.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

import msgspec

import kinform
from benchmarks.harness.commands import carry_out

ROUNDS = 50
"""How often each kind of write is sent."""


class Metadata(msgspec.Struct):
    """The metadata of an object."""

    name: str
    labels: dict[str, str] = {}


class Typed(msgspec.Struct):
    """An object of a handle with a type of its own."""

    metadata: Metadata


class Program:
    """The commands: each is a public method."""

    def __init__(self, *, url: str) -> None:
        self._url = url
        self._stack = AsyncExitStack()
        self._used: list[object] = []
        self._api: kinform.Connection
        self._factory: kinform.Factory

    async def load(self, *, module: str) -> None:
        """Imports a module."""
        self._used.append(importlib.import_module(module))

    async def follow(self, *, resource: str) -> int:
        """Follows a collection with one informer. Returns the number of objects."""
        self._api = await self._stack.enter_async_context(kinform.connect(self._url))
        informer = await self._stack.enter_async_context(kinform.Informer(self._api, resource))
        await informer.synced(timeout=60)
        return len(informer.store)

    async def share(self, *, resource: str, handles: int) -> list[int]:
        """Adds informers that share one stream.

        Returns the number of objects of each informer of all calls.
        """
        if not self._used:
            api = await self._stack.enter_async_context(kinform.connect(self._url))
            self._factory = await self._stack.enter_async_context(kinform.Factory(api))
        for number in range(handles):
            informer = self._factory.informer(resource, type=Typed if number % 2 else dict)
            informer.on_add(_ignore)
            self._used.append(informer)
        await self._factory.synced(timeout=60)
        if self._factory.stats().streams != 1:
            raise SystemExit("the informers do not share their stream")
        return [len(informer.store) for informer in self._factory.informers]

    async def write(self) -> int:
        """Writes with the connection of `follow`. Returns the number of requests."""
        for number in range(ROUNDS):
            await self._api.create("v1/configmaps", _config_map(number))
            await self._api.apply("v1/configmaps", _config_map(number), field_manager="writer", force=True)
            await self._api.patch("v1/configmaps", "shop/c", {"data": {"patched": "1"}})
            found = await self._api.get("v1/configmaps", "shop/c")
            await self._api.replace("v1/configmaps", found)
            await self._api.delete("v1/configmaps", "shop/c")
        return 6 * ROUNDS

    async def queue(self, *, keys: int, delay: float) -> int:
        """Adds keys to a work queue. Returns the number of keys that wait."""
        from kinform.controllers import WorkQueue

        queue = WorkQueue()
        self._used.append(queue)
        for number in range(keys):
            key = f"namespace-{number % 40}/web-7d9f-{number:06d}"
            if delay:
                queue.add_after(key, delay + number / 1000)
            else:
                queue.add(key)
        stats = queue.stats()
        return stats.delayed if delay else stats.depth

    async def end(self) -> None:
        """Stops all informers."""
        await self._stack.aclose()


def _ignore(obj: object) -> None: ...


def _config_map(number: int) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "c"}, "data": {"number": str(number)}}


async def main(options: dict[str, Any]) -> None:
    """Carries out commands until standard input ends."""
    await carry_out(Program(**options))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
