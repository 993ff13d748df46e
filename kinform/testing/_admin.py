"""Orders from another process, over the same port: `/_kinform/...`.

For a server that runs by itself (`python -m kinform.testing`). These requests meet no fault, no token and no
freeze, and are not recorded.

| order | does |
|---|---|
| `POST /_kinform/generate?resource=v1/pods&count=N[&namespace=NS]` | creates objects |
| `POST /_kinform/storm?resource=v1/pods&count=N[&rate=R]` | updates objects, at most R a second |
| `POST /_kinform/compact` | forgets all history: 410 for what was given out so far |
| `POST /_kinform/disconnect` | ends the open watch streams cleanly |
| `GET /_kinform/stats` | revision, open streams, requests by verb, objects by resource |
| `GET /_kinform/digest?resource=v1/pods` | how many objects, and `digest` of them |
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from kinform.testing._server import Server

_PREFIX = "/_kinform/"
_SLICE = 100  # objects between two turns of the event loop


def digest(versions: Mapping[str, tuple[str, str]]) -> str:
    """SHA-256 over the lines `key uid resourceVersion` in the order of keys: equal for equal copies."""
    lines = (f"{key} {uid} {version}\n" for key, (uid, version) in sorted(versions.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


async def answer_order(server: Server, exchange: web.BaseRequest) -> web.Response | None:
    """Carries out an order; None where the request is none."""
    if not exchange.path.startswith(_PREFIX):
        return None
    order = exchange.path.removeprefix(_PREFIX)
    try:
        done = await _carry_out(server, exchange.method, order, exchange.rel_url.query)
    except (KeyError, ValueError) as error:
        return web.json_response({"error": str(error)}, status=400)
    if done is None:
        return web.json_response({"error": f"no order {exchange.method} {order}"}, status=404)
    return web.json_response(done)


async def _carry_out(server: Server, method: str, order: str, query: Mapping[str, str]) -> dict[str, Any] | None:
    match method, order:
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


async def _generate(server: Server, resource: str, count: int, namespace: str | None) -> None:
    for done in range(0, count, _SLICE * 10):
        server.generate(resource, min(_SLICE * 10, count - done), namespace=namespace)
        await asyncio.sleep(0)


async def _storm(server: Server, resource: str, count: int, rate: float) -> None:
    keys = server.keys(resource)
    if count and not keys:
        raise ValueError(f"{resource} has no objects to update")
    loop = asyncio.get_running_loop()
    began = loop.time()
    for turn in range(count):
        key = keys[turn % len(keys)]
        if server.get(resource, key) is not None:
            server.touch(resource, key)
        if turn % _SLICE == _SLICE - 1:
            await asyncio.sleep(max(0.0, began + turn / rate - loop.time()))


def _stats(server: Server) -> dict[str, Any]:
    return {
        "resourceVersion": server.resource_version,
        "watchers": server.watchers,
        "requests": dict(Counter(request.verb for request in server.requests)),
        "objects": {resource: len(server.keys(resource)) for resource in server.resources},
    }
