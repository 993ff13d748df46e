"""Config maps of the simulator, and the events that a Watch yields about objects."""

from __future__ import annotations

from typing import Any

from kinform.testing import Server


def put(server: Server, name: str, **fields: Any) -> str:
    """Writes a config map in the namespace `shop`; returns its resourceVersion."""
    return server.put("v1/configmaps", {"metadata": {"name": name, "namespace": "shop"}, **fields})


def names(events: list[Any]) -> list[tuple[str, str]]:
    """Returns the type of each event, and the name of its object."""
    return [(each["type"], each["raw_object"]["metadata"]["name"]) for each in events]
