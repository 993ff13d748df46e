"""What tests of informers share: quick options, and comparing a store with the server it copies."""

from __future__ import annotations

import json
from typing import Any

import msgspec

import kinform
from kinform.testing import Server

QUICK = kinform.WatchOptions(
    backoff=kinform.Backoff(initial=0.02, maximum=0.1, refused=0.1), headers_timeout=10, silence_timeout=10
)


def quick(**changes: Any) -> kinform.WatchOptions:
    """Options that wait little between tries."""
    return msgspec.structs.replace(QUICK, **changes)


def versions(store: kinform.Store[Any]) -> dict[str, tuple[str, str]]:
    """uid and resourceVersion of all that a store holds, by key."""
    metas = {key: store.meta(key) for key in store}
    return {key: (meta.uid, meta.resource_version) for key, meta in metas.items() if meta is not None}


def same(store: kinform.Store[Any], server: Server, resource: str) -> bool:
    """Whether the store holds what the server holds, each object in its version."""
    return versions(store) == server.versions(resource)


def contents(server: Server, resource: str, key: str) -> Any:
    """An object as it should read: as the server has it, without managedFields."""
    raw = server.raw(resource, key)
    assert raw is not None
    found = json.loads(raw)
    found["metadata"].pop("managedFields", None)
    return found
