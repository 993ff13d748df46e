"""LIST and WATCH as a program of twenty lines does them, over kinform's transport: the same socket for every mode.

Holds no object once it is handed out, drops nothing, retries nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

import kinform

Object = dict[str, Any]


async def answer(api: kinform.Transport, resource: kinform.Resource, **params: str) -> Object:
    """One LIST, or one page of it: read to its end, then decoded whole."""
    response = await api.open(kinform.Request(path=resource.path(), params=tuple(params.items())))
    try:
        _check(response)
        body = b"".join([chunk async for chunk in response.chunks()])
    finally:
        response.close()
    found: Object = msgspec.json.decode(body)
    return found


async def events(api: kinform.Transport, resource: kinform.Resource, version: str) -> AsyncIterator[Object]:
    """The events of one WATCH, decoded, up to the one of type ERROR, which is not among them, or to its end."""
    params = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
    response = await api.open(kinform.Request(path=resource.path(), params=tuple(params.items()), watch=True))
    try:
        _check(response)
        rest = b""
        async for chunk in response.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event: Object = msgspec.json.decode(line)
                if event["type"] == "ERROR":
                    return
                yield event
    finally:
        response.close()


def key_of(found: Object) -> str:
    """`"namespace/name"`, or `"name"`."""
    metadata = found["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def cleared(found: Object) -> Object:
    """The object itself, without its managedFields."""
    found["metadata"].pop("managedFields", None)
    return found


def _check(response: kinform.Response) -> None:
    if response.status != 200:
        raise ConnectionError(f"the server answers {response.status}")
