"""What a LIST says of itself around its items: a few members, read once a body, so in plain Python.

Source: the ListMeta of the Kubernetes API; KEP-5866 for `shardInfo`.
"""

from __future__ import annotations

import json
from typing import Final

READ: Final = frozenset({"kind", "apiVersion", "metadata", "items"})
"""The members that mean something here; of all others only the end matters."""


class Envelope:
    """The members read so far; of one that comes twice the last, but for `items`, which may come once.

    Attributes:
        kind, api_version: Of the list itself, `""` until read.
        metadata: resourceVersion, continue, remainingItemCount or None, shardInfo.selector; texts `""` where absent.
        has_items: Whether `items` has come.
    """

    def __init__(self) -> None:
        self.kind = ""
        self.api_version = ""
        self.metadata: tuple[str, str, int | None, str] = ("", "", None, "")
        self.has_items = False

    @property
    def item_kind(self) -> str:
        """The kind of the items, as the list's own tells it; `""` where it does not."""
        return self.kind.removesuffix("List") if self.kind.endswith("List") else ""

    def read(self, name: str, text: bytes) -> None:
        """Takes one member; raises ValueError where it cannot be what a list has there. Never quotes it."""
        try:
            value = decode(text)
        except ValueError:
            raise ValueError("malformed member of the list") from None
        if name == "metadata":
            self.metadata = _metadata({} if value is None else value)
        elif name == "items":
            if value is not None or self.has_items:
                raise ValueError("malformed member of the list")
            self.has_items = True
        elif name == "kind":
            self.kind = _text(value)
        elif name == "apiVersion":
            self.api_version = _text(value)


def decode(text: bytes) -> object:
    """Any JSON value; raises ValueError."""
    try:
        return json.loads(text.decode())
    except RecursionError:
        raise ValueError("nested too deep") from None


def _metadata(value: object) -> tuple[str, str, int | None, str]:
    shard = value.get("shardInfo") if isinstance(value, dict) else None
    shard = {} if shard is None else shard
    remaining = value.get("remainingItemCount") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(shard, dict) or type(remaining) not in (int, type(None)):
        raise ValueError("malformed member of the list")
    return (
        _text(value.get("resourceVersion")),
        _text(value.get("continue")),
        remaining,
        _text(shard.get("selector")),
    )


def _text(value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise ValueError("malformed member of the list")
    return value or ""
