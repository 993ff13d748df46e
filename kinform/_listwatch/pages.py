"""The pages of a LIST: the parts of their requests, and whether they have an end."""

from __future__ import annotations

import msgspec

from kinform._options import Scope
from kinform._selector_builder import escape_field
from kinform._sharding import ShardSet

MAX_UNASKED_OBJECTS = 100_000
"""Some servers ignore the limit of a page. Beyond this number of further objects, the page counts as endless."""

_METADATA_ONLY = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"


def accept_header(scope: Scope, *, watch: bool) -> str:
    """Returns the Accept header of a LIST or a WATCH."""
    return _METADATA_ONLY.format("" if watch else "List") if scope.metadata_only else "application/json"


def selector_params(scope: Scope, shards: ShardSet | None) -> list[tuple[str, str]]:
    """Returns the query parameters for selectors, and for the shards to request."""
    selectors = (
        ("labelSelector", scope.label_selector),
        ("fieldSelector", _field_selector(scope)),
        ("shardSelector", "" if shards is None else shards.selector()),
    )
    return [(name, value) for name, value in selectors if value]


def _field_selector(scope: Scope) -> str:
    """Returns the field selector to send.

    It cannot name several objects. Then the scanner drops all others.
    """
    match scope.names:
        case (str(name),):
            return name_selector(scope, name)
    return scope.field_selector


def name_selector(scope: Scope, name: str) -> str:
    """Returns the field selector of a scope for one name."""
    selector = f"metadata.name={escape_field(name)}"  # the name of a Role may have any character
    return f"{selector},{scope.field_selector}" if scope.field_selector else selector


def page_params(limit: int, token: str) -> list[tuple[str, str]]:
    """Returns the query parameters for a page.

    Args:
        limit: The most objects in the page; 0: all.
        token: The `continue` token of the page before, or `""`.
    """
    params = [("limit", str(limit))] if limit else []
    return [*params, ("continue", token)] if token else params


class Pages(msgspec.Struct):
    """The pages of one LIST so far. Notices a LIST that has no end."""

    count: int = 0
    first_key: str = ""  # of the page that comes in
    page_objects: int = 0  # of the page that comes in
    objects: int = 0  # of this page and all before it
    seen: set[int] = msgspec.field(default_factory=set)  # hashes of tokens and first keys: a token may be long

    def begin_page(self) -> None:
        """Handles that a page is requested, maybe again."""
        self.objects -= self.page_objects
        self.first_key, self.page_objects = "", 0

    def end_page(self, token: str) -> bool:
        """Adds the page that came in. Returns whether its token or first key came before."""
        found = {hash(("token", token))}
        if self.first_key:
            found.add(hash(("key", self.first_key)))
        repeated = not self.seen.isdisjoint(found)
        self.seen |= found
        self.count += 1
        self.page_objects = 0
        return repeated
