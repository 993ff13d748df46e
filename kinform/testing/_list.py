"""LIST: which state, which page of it, and its bytes.

A page is a slice of the collection as it was at the first page's revision. Items go out as the bytes that
are kept, joined into large pieces; no LIST is ever encoded as a whole. Source: the resourceVersion table
of the Kubernetes API concepts page, GetList of apiserver 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from aiohttp import web

from kinform.testing import _status
from kinform.testing._damage import BROKEN_SEPARATOR, damaged
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
from kinform.testing._query import ListOptions, Place, decode_token, encode_token, revision_of
from kinform.testing._resources import Resource
from kinform.testing._shape import Shape
from kinform.testing._storage import Collection, Compacted, Record, Storage, start_at
from kinform.testing._wire import GZIP_FROM, Wire, gzipped, write_joined

_JSON = "application/json"


class Page(msgspec.Struct, frozen=True):
    """Some of the objects of a collection at one revision."""

    records: list[Record]
    revision: int
    continue_: str = ""
    remaining: int | None = None


def select_page(storage: Storage, collection: Collection, options: ListOptions, short: int | None = None) -> Page:
    """The page that the parameters ask for; raises Refusal.

    `short` caps the page below its limit, as a server is free to do.
    """
    revision, start = _state_asked_for(storage, options)
    namespace = options.selection.namespace
    try:
        state = collection.at(revision)
    except Compacted:
        if options.continue_:
            message = "The continue parameter is too old; the token of this answer lists the inconsistent rest."
            raise _status.expired(message, encode_token(Place(-1, start))) from None
        raise _status.expired("The resourceVersion for the provided list is too old.") from None
    begin = start_at(state, f"{namespace}/{start}" if namespace else start)
    end = start_at(state, f"{namespace}0") if namespace else len(state)  # "0" follows "/"
    limit = 0 if options.version == "0" else max(options.limit, 0)
    if short is not None:
        limit = min(limit, short) if limit else short
    if not limit and short is None:
        return Page([record for record in state[begin:end] if options.selection.takes(record)], revision)
    chosen: list[Record] = []
    at = begin
    while at < end and len(chosen) < limit:
        if options.selection.takes(state[at]):
            chosen.append(state[at])
        at += 1
    if at >= end:
        return Page(chosen, revision)
    following = f"{state[at - 1].key}\0" if at > begin else state[at].key
    token = encode_token(Place(revision, following.removeprefix(f"{namespace}/") if namespace else following))
    return Page(chosen, revision, token, None if options.selection.filters else end - at)


def _state_asked_for(storage: Storage, options: ListOptions) -> tuple[int, str]:
    current = storage.revision
    if options.continue_:
        place = decode_token(options.continue_)
        if options.version not in ("", "0"):
            raise _status.bad_request("specifying resource version is not allowed when using continue")
        asked, start, exact = place.revision, place.start, place.revision > 0
    else:
        try:
            asked = revision_of(options.version)
        except ValueError as error:
            raise _status.bad_request(f"invalid resource version: resourceVersion: {error}") from None
        # A limit with a resourceVersion and no match meant "exactly" before there was a match.
        exact = options.match == "Exact" or (not options.match and options.limit > 0 and asked > 0)
        start = ""
    if asked > current:
        raise _status.too_large(asked, current)
    return (asked if exact else current), start


async def answer_list(
    wire: Wire,
    storage: Storage,
    collection: Collection,
    options: ListOptions,
    shape: Shape,
    fault: Fault | None,
) -> web.StreamResponse:
    """Sends a LIST, spoilt by the fault where there is one; raises Refusal before anything is sent."""
    resource = collection.resource
    page = select_page(storage, collection, options, fault.items if isinstance(fault, ShortPage) else None)
    head, tail = list_envelope(
        resource, page.revision, page.continue_, page.remaining, metadata_only=shape.metadata_only
    )
    if isinstance(fault, (Stall, Hangup, CutMidObject, MalformedFrame, MalformedObject, Oversized)):
        return await _answer_spoilt(wire, resource, page, head, tail, shape, fault)
    items = [shape.item(record) for record in page.records]
    if shape.pretty:
        items_or_whole: Iterable[bytes] = [indent(b"".join(_parts(head, items, tail)))]
    else:
        items_or_whole = _parts(head, items, tail)
    size = len(head) + len(tail) + sum(map(len, items)) + max(len(items) - 1, 0)
    if shape.gzip and size > GZIP_FROM:
        await wire.begin(200, _JSON, {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
        items_or_whole = gzipped(items_or_whole)
    else:
        await wire.begin(200, _JSON)
    await write_joined(wire, items_or_whole)
    return await wire.end()


def _parts(head: bytes, items: list[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    separator = b""
    for item in items:
        yield separator
        yield item
        separator = b","
    yield tail


async def _answer_spoilt(
    wire: Wire,
    resource: Resource,
    page: Page,
    head: bytes,
    tail: bytes,
    shape: Shape,
    fault: Stall | Hangup | CutMidObject | MalformedFrame | MalformedObject | Oversized,
) -> web.StreamResponse:
    records = list(page.records)
    at = min(fault.after or 0, len(records))
    if isinstance(fault, (MalformedObject, Oversized)) and at < len(records):
        records[at] = damaged(resource, records[at], fault)
    items = [
        shape.item(record) if record is kept else record.body
        for record, kept in zip(records, page.records, strict=True)
    ]
    before = [head, b",".join(items[:at])]
    following = (b"," if at else b"") + items[at] if at < len(items) else b""
    await wire.begin(200, _JSON)
    match fault:
        case Stall():
            await write_joined(wire, [*before, following[: fault.bytes]])
            await wire.hang()
        case Hangup():
            await write_joined(wire, before)
            await wire.hang_up()
        case CutMidObject():
            await write_joined(wire, [*before, following[: len(following) // 2]])
            await wire.hang_up()
        case MalformedFrame():
            rest = following.removeprefix(b",")
            await write_joined(
                wire, [*before, BROKEN_SEPARATOR, rest, *(b"," + item for item in items[at + 1 :]), tail]
            )
        case _:
            await write_joined(wire, _parts(head, items, tail))
    return await wire.end()
