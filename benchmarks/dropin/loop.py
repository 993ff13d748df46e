"""A loop over a Watch, in its own process, that ends after a CPU time or a number."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

WARM_UP = 200  # events, in which the client imports its models


class Loop:
    """The commands: each is a public method.

    Args:
        url: The URL of the server.
        ca: The CA to trust, or None.
        client: The package of the client.
        touch: The part of each event that the loop reads.
        kinform: True: the Watch of kinform. False: that of the client.
    """

    def __init__(
        self,
        *,
        url: str,
        ca: str | None,
        client: str,
        touch: str,
        kinform: bool,
    ) -> None:
        self._blocking = client == "kubernetes"
        self._package = importlib.import_module(f"{client}.client")
        ours = "kinform.sync.watch" if self._blocking else "kinform.watch"
        self._watch = importlib.import_module(ours if kinform else f"{client}.watch").Watch
        self._configuration = self._package.Configuration(host=url)
        self._configuration.ssl_ca_cert = ca
        self._read = _reader(touch, kinform)
        self._keys: set[str] = set()
        self._stream: Any

    async def connect(self) -> None:
        """Opens the stream, from the current version."""
        api_client = self._package.ApiClient(self._configuration)
        function = self._package.CoreV1Api(api_client).list_pod_for_all_namespaces
        listed = function(limit=1)
        version = (listed if self._blocking else await listed).metadata.resource_version
        self._stream = self._watch().stream(function, resource_version=version)

    async def follow(self, *, seconds: float | None = None, events: int | None = None) -> dict[str, Any]:
        """Reads events until a CPU time, or a number of events, is over.

        Returns the number of events and of different objects, and the CPU time. The first events do not count.
        """
        read, keys, process_time = self._read, self._keys, time.process_time
        number, start = 0, process_time()

        def goes_on(event: Any) -> bool:
            nonlocal number, start
            keys.add(read(event))
            number += 1
            if number == WARM_UP:
                start = process_time()
            if events is not None:
                return number < events
            return number <= WARM_UP or process_time() - start < (seconds or 0)

        if self._blocking:
            for event in self._stream:
                if not goes_on(event):
                    break
        else:
            async for event in self._stream:
                if not goes_on(event):
                    break
        return {"events": number - WARM_UP, "objects": len(keys), "cpu_seconds": process_time() - start}


def _reader(touch: str, kinform: bool) -> Callable[[Any], str]:
    """Returns the function that reads a part of an event, and returns a key."""

    def read_raw(event: Any) -> str:
        raw = event["raw_object"]
        return (
            f"{event['type']} {raw['metadata']['namespace']}/{raw['metadata']['name']} {raw['status']['phase'] and ''}"
        )

    def read_object(event: Any) -> str:
        found = event["object"]
        return f"{event['type']} {found.metadata.namespace}/{found.metadata.name} {found.status.phase and ''}"

    def read_key(event: Any) -> str:
        return f"{event['type']} {event.key}"

    if touch == "raw_object":
        return read_raw
    return read_key if touch == "type and key" and kinform else read_object


async def main() -> None:
    """Carries out commands until standard input ends."""
    loop = Loop(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(await getattr(loop, command["do"])(**command["with"])), flush=True)
    os._exit(0)  # the connection is open, and the clients take a while to close it


if __name__ == "__main__":
    asyncio.run(main())
