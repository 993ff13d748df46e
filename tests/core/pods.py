"""Pods, and a type for them, for tests of stores and their indexes."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.core.wire import obj


class Metadata(msgspec.Struct):
    name: str


class Pod(msgspec.Struct):
    metadata: Metadata
    replicas: int = 0


def pod(name: str, node: str, *images: str, rv: int = 1, app: str | None = None, **more: Any) -> dict[str, Any]:
    """Makes a pod on a node, with a container for each image."""
    found = obj(name, rv=rv, spec={"nodeName": node, "containers": [{"image": image} for image in images]}, **more)
    if app is not None:
        found["metadata"]["labels"] = {"example.com/app": app, "tier": "front"}
    return found
