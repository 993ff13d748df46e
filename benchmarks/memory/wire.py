"""LIST and WATCH over kinform's transport, as in a short program.

So every mode uses the same socket. Keeps no object that it has returned, drops nothing, retries nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

import kinform

Object = dict[str, Any]


async def list_page(api: kinform.Transport, resource: kinform.Resource, **params: str) -> Object:
    """Returns a LIST, or one page of it: read to its end, then decoded as a whole."""
    response = await api.open(kinform.Request(path=resource.path(), params=tuple(params.items())))
    try:
        _check(response)
        body = b"".join([chunk async for chunk in response.chunks()])
    finally:
        response.close()
    found: Object = msgspec.json.decode(body)
    return found


async def events(api: kinform.Transport, resource: kinform.Resource, version: str) -> AsyncIterator[Object]:
    """Yields the decoded events of a WATCH until an ERROR event or its end."""
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
    """Returns `"namespace/name"`, or `"name"`."""
    metadata = found["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def without_managed_fields(found: Object) -> Object:
    """Removes managedFields from an object, and returns it."""
    found["metadata"].pop("managedFields", None)
    return found


def _check(response: kinform.Response) -> None:
    if response.status != 200:
        raise ConnectionError(f"the server responded with status {response.status}")
