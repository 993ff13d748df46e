"""Makes dumps, by a table or by hand, and loads tables from them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kinform_ext._table import Dump, Loader, Table

MAX_OBJECT_BYTES = 1 << 20


def items(table: Table) -> list[bytes]:
    """Returns the items of a dump, one by one."""
    return list(pieces(Dump(table), 1))


def pieces(dump: Dump, size: int) -> Iterator[bytes]:
    return iter(lambda: dump.read(size), b"")


def load(
    pieces: Iterable[bytes],
    *,
    streams: Mapping[int, int] | None = None,
    most: int = MAX_OBJECT_BYTES,
    step: int = 1 << 30,
    objects: int = 0,
) -> Table:
    """Loads a dump into a new table."""
    table = Table()
    loader = Loader(table, {0: 0} if streams is None else streams, most, objects)
    for piece in pieces:
        done = 0
        while done < len(piece):
            done = loader.load(piece, done, step)
    loader.finish()
    return table


def raws(table: Table) -> dict[str, bytes]:
    return {table.key_of(id): table.raw_of(id) for id in table.ids()}


# Items made by hand, as _table_dump.pxi and records/record.h describe them.

TABLE, BASE, FULL = b"\0", b"\3", b"\7"
FRAME, TEMPLATE, UID_TEXT, RV_TEXT = 64, 128, 16, 7


def varint(n: int) -> bytes:
    made = bytearray()
    while n > 127:
        made.append(n & 127 | 128)
        n >>= 7
    return bytes([*made, n])


def text(value: bytes) -> bytes:
    return varint(len(value)) + value


def literal(value: bytes) -> bytes:
    return b"\1" + text(value)


def record(
    name: bytes = b"p",
    raw: bytes = b'{"a":1}',
    *,
    codec: int = 0,
    number: int = 0,
    raw_len: int | None = None,
    blob: bytes | None = None,
    form: int = 0,
    identity: bytes = b"",
) -> bytes:
    """Makes a record; by default its blob is the JSON, and its identity is empty."""
    blob = raw if blob is None else blob
    return b"".join(
        (
            bytes([0, 0, 0, 0, form | (TEMPLATE if number else 0)]),
            varint(0),
            text(name),
            varint(codec),
            varint(number) if number else b"",
            varint(len(raw) if raw_len is None else raw_len),
            varint(len(blob)),
            identity,
            blob,
        )
    )


def put(record: bytes, *, flags: int = 0, stream: int = 0, namespace: bytes = b"shop", head: bytes = b"") -> bytes:
    """Makes an item of a record."""
    return bytes([2 | flags]) + head + varint(stream) + text(namespace) + record


def template(
    record: bytes, *, flags: int = 0, joins: int = 0, table: int = 0, lists: Sequence[bytes] = (), **where: Any
) -> bytes:
    """Makes an item of a template; `joins`: bytes that it adds to the last base."""
    head = varint(joins) if joins else b""
    head += varint(table) + varint(3) + struct.pack("=f", 10.0) + varint(len(lists)) + b"".join(lists)
    return put(record, flags=flags | 4 | (32 if joins else 0), head=head, **where)


def frame(content: bytes) -> bytes:
    """Returns a frame of zstandard with one block as it is, without its magic number."""
    return b"\xa0" + len(content).to_bytes(4, "little") + (len(content) << 3 | 1).to_bytes(3, "little") + content


def member(name: bytes, raw: bytes, number: int, *, base: int = 1, joins: int | None = None) -> bytes:
    """Makes an item of a member of a base."""
    made = record(name, raw, number=number, codec=base, form=FRAME, blob=frame(raw))
    return template(made, joins=len(raw) if joins is None else joins)


def slots(*words: int) -> bytes:
    return varint(len(words)) + struct.pack(f"={len(words)}H", *words)
