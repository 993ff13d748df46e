"""Response bodies as an API server sends them, for tests without a server."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from kinform_ext._scan import Batch, Scanner


def obj(
    name: str, *, namespace: str = "shop", uid: str | None = None, rv: int | str = 1, **fields: Any
) -> dict[str, Any]:
    """Makes an object. By default its uid follows from its name."""
    metadata = {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "uid": f"uid-{name}" if uid is None else uid,
        "resourceVersion": str(rv),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, **fields}


def watch_body(events: Iterable[tuple[str, dict[str, Any]]]) -> bytes:
    """Makes a WATCH body: one frame a line."""
    return b"".join(json.dumps({"type": verb, "object": found}).encode() + b"\n" for verb, found in events)


def batch(*objects: dict[str, Any], verb: str = "ADDED") -> Batch:
    """Makes the batch of a scanner for these objects in one chunk."""
    return events((verb, found) for found in objects)


def events(pairs: Iterable[tuple[str, dict[str, Any]]]) -> Batch:
    """Makes the batch of a scanner for these events in one chunk."""
    (found,) = Scanner("watch").feed(watch_body(pairs))
    assert isinstance(found, Batch)
    return found
