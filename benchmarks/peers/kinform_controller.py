"""kinform: a controller whose reconcile looks its object up, and changes nothing.

Reads the commands of `benchmarks.controllers`. The informer decodes the two fields that the reconcile reads.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextlib import AsyncExitStack

import msgspec

import kinform
from benchmarks.harness.commands import carry_out
from kinform.controllers import Controller

WORKERS = 4


class Meta(msgspec.Struct, gc=False):
    """The metadata that the reconcile reads."""

    resourceVersion: str


class Item(msgspec.Struct, gc=False):
    """The object that the reconcile reads."""

    metadata: Meta


class KinformController:
    """The commands: each is a public method."""

    def __init__(self, *, url: str, resource: str, ca: str | None, token: str | None = None, mode: str = "") -> None:
        self._url, self._ca, self._token, self._resource = url, ca, token, resource
        self._seen: dict[str, str] = {}
        self._count = self._awaited = 0
        self._arrived = asyncio.Event()
        self._stack = AsyncExitStack()
        self._informer: kinform.Informer[Item]
        self._controller: Controller
        self._task: asyncio.Task[None] | None = None

    async def versions(self) -> dict[str, str]:
        """Returns the versions of Python and of the packages."""
        import platform

        from benchmarks.harness.machine import versions

        return {"python": platform.python_version()} | versions()

    async def connect(self) -> None:
        """Connects, and creates the informer and the controller, which do nothing yet."""
        api = await self._stack.enter_async_context(kinform.connect(self._url, ca=self._ca, token=self._token))
        self._informer = kinform.Informer(
            api, self._resource, type=Item, prune=kinform.Prune(drop=["metadata.managedFields"])
        )
        self._controller = Controller(self._informer, self._reconcile, workers=WORKERS)

    async def _reconcile(self, key: str) -> None:
        found = self._informer.store.get(key)
        self._seen[key] = "" if found is None else found.metadata.resourceVersion
        self._count += 1
        if self._count >= self._awaited:
            self._arrived.set()

    async def start(self) -> None:
        """Starts the informer and the controller."""
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self._informer:
            await self._controller.run()

    async def settle(self, *, count: int) -> int:
        """Waits for a number of reconciles since the start, and returns their number."""
        self._awaited = count
        if self._count < count:
            self._arrived.clear()
            await self._arrived.wait()
        return self._count

    async def requeue(self) -> None:
        """Adds the keys of all objects."""
        for key in self._informer.store:
            self._controller.queue.add(key)

    async def seen(self) -> dict[str, str]:
        """Returns the resourceVersion of each object at its last reconcile."""
        return self._seen

    async def end(self) -> None:
        """Stops everything that was started."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._stack.aclose()


async def main() -> None:
    """Carries out commands until standard input ends."""
    logging.getLogger("kinform").setLevel(logging.ERROR)
    await carry_out(KinformController(**json.loads(sys.argv[1])))


if __name__ == "__main__":
    asyncio.run(main())
