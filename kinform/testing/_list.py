"""LIST: the requested state, a page of it, and its bytes.

A page is a slice of the collection at the revision of the first page. Items are sent as the stored bytes, in large
writes; a LIST is never encoded as a whole.
Source: the resourceVersion table of the Kubernetes API concepts page, GetList of apiserver 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from aiohttp import web

from kinform.testing import _status
from kinform.testing._corruption import MALFORMED_SEPARATOR, corrupted
from kinform.testing._encoding import indent, list_envelope
from kinform.testing._faults import (
    CutMidObject,
    Fault,
    Hangup,
    MalformedFrame,
    MalformedObject,
    Oversized,
    ShortPage,
    Stall,
)
from kinform.testing._query import ListOptions, Position, decode_token, encode_token, revision_of
from kinform.testing._representation import Representation
from kinform.testing._resources import ServedResource
from kinform.testing._response import MIN_GZIP, Responder, gzipped, write_joined
from kinform.testing._shards import format_shards
from kinform.testing._storage import Compacted, Record, Storage, StoredCollection, start_at

_JSON = "application/json"


class Page(msgspec.Struct, frozen=True):
    """Objects of a collection at one revision, and how to continue."""

    records: list[Record]
    revision: int
    continue_: str = ""
    remaining: int | None = None


def select_page(
    storage: Storage, collection: StoredCollection, options: ListOptions, max_items: int | None = None
) -> Page:
    """Returns the requested page; raises Refusal.

    `max_items` makes it shorter than its limit, which a server is free to do.
    """
    revision, start = _requested_state(storage, options)
    namespace = options.selection.namespace
    try:
        state = collection.at(revision)
    except Compacted:
        if options.continue_:
            message = "The continue parameter is too old; the token of this answer lists the inconsistent rest."
            raise _status.expired(message, encode_token(Position(-1, start))) from None
        raise _status.expired("The resourceVersion for the provided list is too old.") from None
    begin = start_at(state, f"{namespace}/{start}" if namespace else start)
    end = start_at(state, f"{namespace}0") if namespace else len(state)  # "0" follows "/"
    limit = 0 if options.version == "0" else max(options.limit, 0)
    if max_items is not None:
        limit = min(limit, max_items) if limit else max_items
    if not limit and max_items is None:
        return Page([record for record in state[begin:end] if options.selection.matches(record)], revision)
    selected: list[Record] = []
    at = begin
    while at < end and len(selected) < limit:
        if options.selection.matches(state[at]):
            selected.append(state[at])
        at += 1
    if at >= end:
        return Page(selected, revision)
    following = f"{state[at - 1].key}\0" if at > begin else state[at].key
    token = encode_token(Position(revision, following.removeprefix(f"{namespace}/") if namespace else following))
    return Page(selected, revision, token, None if options.selection.has_selector else end - at)


def _requested_state(storage: Storage, options: ListOptions) -> tuple[int, str]:
    """Returns a revision and the first key."""
    current = storage.revision
    if options.continue_:
        position = decode_token(options.continue_)
        if options.version not in ("", "0"):
            raise _status.bad_request("specifying resource version is not allowed when using continue")
        requested, start, exact = position.revision, position.start, position.revision > 0
    else:
        try:
            requested = revision_of(options.version)
        except ValueError as error:
            raise _status.bad_request(f"invalid resource version: resourceVersion: {error}") from None
        # A limit with a resourceVersion and without a match is exact, for compatibility with older clients.
        exact = options.match == "Exact" or (not options.match and options.limit > 0 and requested > 0)
        start = ""
    if requested > current:
        raise _status.too_large(requested, current)
    return (requested if exact else current), start


async def answer_list(
    responder: Responder,
    storage: Storage,
    collection: StoredCollection,
    options: ListOptions,
    representation: Representation,
    fault: Fault | None,
) -> web.StreamResponse:
    """Sends a LIST, or raises Refusal before it sends anything."""
    resource = collection.resource
    page = select_page(storage, collection, options, fault.items if isinstance(fault, ShortPage) else None)
    head, tail = list_envelope(
        resource,
        page.revision,
        page.continue_,
        page.remaining,
        metadata_only=representation.metadata_only,
        shard_selector=format_shards(options.selection.shards),
    )
    if isinstance(fault, (Stall, Hangup, CutMidObject, MalformedFrame, MalformedObject, Oversized)):
        return await _answer_with_break(responder, resource, page, head, tail, representation, fault)
    items = [representation.item(record) for record in page.records]
    parts: Iterable[bytes] = _parts(head, items, tail)
    if representation.pretty:
        parts = [indent(b"".join(parts))]
    size = len(head) + len(tail) + sum(map(len, items)) + max(len(items) - 1, 0)
    if representation.gzip and size > MIN_GZIP:
        await responder.begin(200, _JSON, {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
        parts = gzipped(parts)
    else:
        await responder.begin(200, _JSON)
    await write_joined(responder, parts)
    return await responder.end()


def _parts(head: bytes, items: list[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    separator = b""
    for item in items:
        yield separator
        yield item
        separator = b","
    yield tail


async def _answer_with_break(
    responder: Responder,
    resource: ServedResource,
    page: Page,
    head: bytes,
    tail: bytes,
    representation: Representation,
    fault: Stall | Hangup | CutMidObject | MalformedFrame | MalformedObject | Oversized,
) -> web.StreamResponse:
    records = list(page.records)
    at = min(fault.after or 0, len(records))
    if isinstance(fault, (MalformedObject, Oversized)) and at < len(records):
        records[at] = corrupted(resource, records[at], fault)
    # The metadata of a corrupted object cannot be extracted: it is sent in full.
    items = [
        representation.item(record) if record is original else record.body
        for record, original in zip(records, page.records, strict=True)
    ]
    before = [head, b",".join(items[:at])]
    following = (b"," if at else b"") + items[at] if at < len(items) else b""
    await responder.begin(200, _JSON)
    match fault:
        case Stall():
            await write_joined(responder, [*before, following[: fault.bytes]])
            await responder.stall()
        case Hangup():
            await write_joined(responder, before)
            await responder.close_connection()
        case CutMidObject():
            await write_joined(responder, [*before, following[: len(following) // 2]])
            await responder.close_connection()
        case MalformedFrame():
            item = following.removeprefix(b",")
            rest = (b"," + item for item in items[at + 1 :])
            await write_joined(responder, [*before, MALFORMED_SEPARATOR, item, *rest, tail])
        case _:
            await write_joined(responder, _parts(head, items, tail))
    return await responder.end()
