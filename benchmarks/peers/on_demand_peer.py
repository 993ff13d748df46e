"""kinform in its own process, with a read-through cache.

Reads the commands of `kinform_peer` that `benchmarks.scope` sends. `sync` reads each of the keys once, as a program
that reads a few objects.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

import msgspec

import kinform
from benchmarks.harness.commands import carry_out


class OnDemandPeer:
    """The commands: each is a public method."""

    def __init__(self, *, url: str, resource: str, ca: str | None, keys: list[str]) -> None:
        self._url, self._resource, self._ca, self._keys = url, resource, ca, keys
        self._cache: kinform.OnDemand[dict[str, Any]]
        self._stack = AsyncExitStack()

    async def connect(self) -> None:
        """Connects, and starts the cache, which requests nothing yet."""
        api = await self._stack.enter_async_context(kinform.connect(self._url, ca=self._ca))
        self._cache = await self._stack.enter_async_context(kinform.OnDemand(api, self._resource))

    async def sync(self) -> None:
        """Reads all keys at the same time."""
        await asyncio.gather(*(self._cache.get(key) for key in self._keys))

    async def digest(self) -> dict[str, Any]:
        """Returns the digest of what the cache answers."""
        from benchmarks.harness.digest import Digest

        digest = Digest()
        for key in self._keys:
            if (found := await self._cache.get(key)) is not None:
                metadata = found["metadata"]
                digest.add(key, metadata["uid"], metadata["resourceVersion"], metadata.get("labels"))
        return digest.result()

    async def stats(self) -> Any:
        """Returns the stats of the cache."""
        return msgspec.to_builtins(self._cache.stats())

    async def end(self) -> None:
        """Stops the cache."""
        await self._stack.aclose()


async def main(options: dict[str, Any]) -> None:
    """Carries out commands until standard input ends."""
    await carry_out(OnDemandPeer(**options))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
