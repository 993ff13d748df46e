"""Helpers for tests of informers: options with short waits, the expected store.

A store must have the objects that the simulator has, each in the same version.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import pytest

import kinform
from kinform.testing import Server

QUICK = kinform.WatchOptions(
    backoff=kinform.Backoff(initial=0.02, maximum=0.1, refused=0.1), headers_timeout=10, silence_timeout=10
)


SLOW = kinform.Backoff(initial=30.0, maximum=30.0)  # nothing is healed during a test


def quick(**changes: Any) -> kinform.WatchOptions:
    """Returns options with a short backoff."""
    return msgspec.structs.replace(QUICK, **changes)


Runs = TypeVar("Runs", kinform.Informer, kinform.Factory)


@asynccontextmanager
async def fails(informer: Runs, error: type[Exception]) -> AsyncIterator[Runs]:
    """Runs an informer or a factory whose block must raise this error at its end."""
    left = False
    try:
        async with informer:
            yield informer
            left = True
    except error:
        assert left
    else:
        pytest.fail(f"the end of the block raised no {error.__name__}")


def fetches(server: Server) -> list[str]:
    """Returns the field selectors of the lists that were received for one object."""
    return [request.params["fieldSelector"] for request in server.requests if "metadata.name" in str(request.params)]


def versions(store: kinform.Store[Any]) -> dict[str, tuple[str, str]]:
    """Returns uid and resourceVersion of each object in a store, by key."""
    metas = {key: store.meta(key) for key in store}
    return {key: (meta.uid, meta.resource_version) for key, meta in metas.items() if meta is not None}


def in_sync(store: kinform.Store[Any], server: Server, resource: str) -> bool:
    """Returns whether the store has the server's objects, each in the same version."""
    return versions(store) == server.versions(resource)


def expected_object(server: Server, resource: str, key: str) -> Any:
    """Returns the server's object without managedFields, as the store must have it."""
    raw = server.raw(resource, key)
    assert raw is not None
    found = json.loads(raw)
    found["metadata"].pop("managedFields", None)
    return found


def requested_states(server: Server, resource: str = "v1/pods") -> int:
    """Returns how many times a complete state of a resource was requested."""
    return sum(
        request.resource == resource and (request.verb == "list" or "sendInitialEvents" in request.params)
        for request in server.requests
    )
