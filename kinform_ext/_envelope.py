"""The envelope of a LIST: the members around its items.

In plain Python, as it is read once a body.
Source: the ListMeta of the Kubernetes API; KEP-5866 for `shardInfo`.
"""

from __future__ import annotations

from typing import Final

import msgspec

READ: Final = frozenset({"kind", "apiVersion", "metadata", "items"})
"""The members that are read; all others are skipped."""


class Envelope:
    """The members read so far.

    If a member is repeated, the last one counts. `items` must not be repeated.

    Attributes:
        kind, api_version: The type of the list itself; `""` until read.
        metadata: resourceVersion, continue, remainingItemCount or None, shardInfo.selector; an absent text is `""`.
        has_items: Whether `items` was read.
    """

    def __init__(self) -> None:
        self.kind = ""
        self.api_version = ""
        self.metadata: tuple[str, str, int | None, str] = ("", "", None, "")
        self.has_items = False

    @property
    def item_kind(self) -> str:
        """The kind of the items: that of the list without `List`, `""` if it lacks that."""
        return self.kind.removesuffix("List") if self.kind.endswith("List") else ""

    def read(self, name: str, text: bytes) -> None:
        """Reads one member.

        Raises:
            ValueError: The value is not valid for this member. The text does not show it.
        """
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
    """Decodes a JSON value.

    Raises:
        ValueError: It is malformed or nested too deep.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("malformed, or nested too deep") from None


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
