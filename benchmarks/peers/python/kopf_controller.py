"""kopf: an operator whose handler sees each object, and changes nothing.

The handler is one for events, the lightest that kopf has: it records no progress in the objects, and is not repeated.
kopf calls it with the object, in a task for each object, and has no work queue. All settings are kopf's defaults.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

# It imports the clients that are installed, to log in as they would. Its users do not need them.
sys.modules.update({"kubernetes": None, "kubernetes_asyncio": None})  # type: ignore[dict-item]

import kopf  # noqa: E402

from benchmarks.peers.python.commands import run  # noqa: E402
from benchmarks.peers.python.peer import key_of  # noqa: E402


class KopfController:
    """The commands: each is a public method."""

    def __init__(self, *, url: str, resource: str, ca: str | None, token: str | None = None, mode: str = "") -> None:
        self._url, self._ca, self._token, self._resource = url, ca, token, resource
        self._seen: dict[str, str] = {}
        self._count = self._awaited = 0
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def versions(self) -> dict[str, str]:
        """Returns the versions of Python and of the packages."""
        import platform
        from importlib.metadata import version

        return {"python": platform.python_version(), **{name: version(name) for name in ("kopf", "aiohttp")}}

    async def connect(self) -> None:
        """Registers the handlers."""
        *group, version, plural = self._resource.split("/")

        @kopf.on.login()
        async def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(server=self._url, ca_path=self._ca, token=self._token)

        @kopf.on.event(group[0] if group else "", version, plural)
        async def event(type: str | None, body: kopf.Body, **_: Any) -> None:
            self._seen[key_of(dict(body.metadata))] = "" if type == "DELETED" else body.metadata["resourceVersion"]
            self._count += 1
            if self._count >= self._awaited:
                self._arrived.set()

    async def start(self) -> None:
        """Starts the operator."""
        self._task = asyncio.create_task(kopf.operator(standalone=True, clusterwide=True))

    async def settle(self, *, count: int) -> int:
        """Waits for a number of calls since the start, and returns their number."""
        self._awaited = count
        if self._count < count:
            self._arrived.clear()
            await self._arrived.wait()
        return self._count

    async def seen(self) -> dict[str, str]:
        """Returns the resourceVersion of each object at its last call."""
        return self._seen

    async def end(self) -> None:
        """Stops the operator."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})


if __name__ == "__main__":
    run(KopfController)
