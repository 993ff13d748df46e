"""Commands from another process, over the same port: `/_kinform/...`.

For a server in a process of its own (`python -m kinform.testing`). These requests ignore faults, the token and a
freeze, and are not recorded.

| command | effect |
|---|---|
| `POST /_kinform/generate?resource=v1/pods&count=N[&namespace=NS]` | creates objects |
| `POST /_kinform/storm?resource=v1/pods&count=N[&rate=R]` | updates objects, at most R per second |
| `POST /_kinform/compact` | drops all history: requests with an older resourceVersion get 410 |
| `POST /_kinform/disconnect` | ends the open watch streams cleanly |
| `GET /_kinform/stats` | revision, open streams, requests by verb, writes and objects by resource |
| `GET /_kinform/digest?resource=v1/pods` | the number of objects, and their `digest` |
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from aiohttp import web

from kinform.testing._objects.kinds import Object
from kinform.testing._requests import RecordedRequest

_PREFIX = "/_kinform/"
_TOUCHES_PER_SLICE = 100
_OBJECTS_PER_SLICE = 1000
"""After a slice, other tasks of the event loop run."""


class Controlled(Protocol):
    """The part of `Server` that commands use."""

    @property
    def resource_version(self) -> str: ...
    @property
    def resources(self) -> list[str]: ...
    @property
    def requests(self) -> list[RecordedRequest]: ...
    @property
    def watchers(self) -> int: ...

    def generate(self, resource: str, n: int, *, namespace: str | None = None) -> list[str]: ...
    def touch(self, resource: str, key: str) -> str: ...
    def keys(self, resource: str) -> list[str]: ...
    def get(self, resource: str, key: str) -> Object | None: ...
    def versions(self, resource: str) -> dict[str, tuple[str, str]]: ...
    def compact(self) -> None: ...
    def disconnect(self) -> int: ...


def digest(versions: Mapping[str, tuple[str, str]]) -> str:
    """Returns a digest of keys, uids and resourceVersions: equal for equal copies.

    It is the SHA-256 of the lines `key uid resourceVersion`, ordered by key, in hexadecimal digits.
    """
    lines = (f"{key} {uid} {version}\n" for key, (uid, version) in sorted(versions.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


async def answer_command(server: Controlled, exchange: web.BaseRequest) -> web.Response | None:
    """Executes a command; returns None if the request is not a command."""
    if not exchange.path.startswith(_PREFIX):
        return None
    command = exchange.path.removeprefix(_PREFIX)
    try:
        result = await _execute(server, exchange.method, command, exchange.rel_url.query)
    except (KeyError, ValueError) as error:
        return web.json_response({"error": str(error)}, status=400)
    if result is None:
        return web.json_response({"error": f"{exchange.method} {command} is not a command"}, status=404)
    return web.json_response(result)


async def _execute(server: Controlled, method: str, command: str, query: Mapping[str, str]) -> dict[str, Any] | None:
    match method, command:
        case "POST", "generate":
            await _generate(server, query["resource"], int(query["count"]), query.get("namespace"))
        case "POST", "storm":
            await _storm(server, query["resource"], int(query["count"]), float(query.get("rate", "inf")))
        case "POST", "compact":
            server.compact()
        case "POST", "disconnect":
            return {"streams": server.disconnect()}
        case "GET", "stats":
            return _stats(server)
        case "GET", "digest":
            versions = server.versions(query["resource"])
            return {
                "objects": len(versions),
                "digest": digest(versions),
                "resourceVersion": server.resource_version,
            }
        case _:
            return None
    return {"resourceVersion": server.resource_version}


async def _generate(server: Controlled, resource: str, count: int, namespace: str | None) -> None:
    for created in range(0, count, _OBJECTS_PER_SLICE):
        server.generate(resource, min(_OBJECTS_PER_SLICE, count - created), namespace=namespace)
        await asyncio.sleep(0)


async def _storm(server: Controlled, resource: str, count: int, rate: float) -> None:
    keys = server.keys(resource)
    if count and not keys:
        raise ValueError(f"{resource} has no objects to update")
    loop = asyncio.get_running_loop()
    started = loop.time()
    for number in range(count):
        key = keys[number % len(keys)]
        if server.get(resource, key) is not None:
            server.touch(resource, key)
        if number % _TOUCHES_PER_SLICE == _TOUCHES_PER_SLICE - 1:
            await asyncio.sleep(max(0.0, started + number / rate - loop.time()))


def _stats(server: Controlled) -> dict[str, Any]:
    return {
        "resourceVersion": server.resource_version,
        "watchers": server.watchers,
        "requests": dict(Counter(request.verb for request in server.requests)),
        "writes": dict(Counter(each.resource or "other" for each in server.requests if each.is_write)),
        "objects": {resource: len(server.keys(resource)) for resource in server.resources},
    }
