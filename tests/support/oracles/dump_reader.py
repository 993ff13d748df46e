"""The oracle of dumps: the items of a dump in, the objects of the table out.

Written from the comments in kinform_ext/_table_dump.pxi, records/record.h, records/placeholders.h and coder/*.h; it
shares no code with the table. `zstandard` decompresses frames. Trusts its input, like `blob_reader`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import zstandard

from tests.support.oracles.blob_reader import Bytes, Reading, read_blob, unpack_uuid
from tests.support.oracles.template import Identity, Template

MIN_PLACEHOLDER = 2  # bytes of a value that a placeholder stands for
FRAME_MAGIC = b"\x28\xb5\x2f\xfd"

TABLE, LITERAL, RECORD, BASE = range(4)
KINDS = 3  # a mask
IS_FULL = 4  # a flag of a base
IS_TEMPLATE, IS_STALE, IS_HIDDEN, IS_MEMBER = 4, 8, 16, 32  # flags of a record
RV_SIZES, RV_TEXT = (0, 1, 2, 3, 4, 5, 8), 7
UID_PACKED, UID_TEXT = 8, 16
PLACEHOLDERS, FRAME, TEMPLATE = 32, 64, 128

_PLACEHOLDER = re.compile(rb"[\x01-\x05]")


class Record(NamedTuple):
    """A record of a dump.

    Attributes:
        identity: Namespace, name, uid and resourceVersion.
        stream: The stream that it belongs to.
        is_stale: Whether its version is known to be old.
        is_hidden: Whether it is a template that is not in the collection.
        codec: The template that the blob refers to, or the base of a frame, by its position from 1; 0: none.
        number: Its own position as a template; 0: it is not a template.
        size: Bytes of the object.
        blob: The encoded object.
        is_frame: Whether the blob is a frame.
        prefix: The bytes that precede the frame: the base, or the members before this one.
        has_placeholders: Whether the bytes in the blob have placeholders.
        overhead: Bytes of the record in addition to its blob.
    """

    identity: Identity
    stream: int
    is_stale: bool
    is_hidden: bool
    codec: int
    number: int
    size: int
    blob: bytes
    is_frame: bool
    prefix: bytes
    has_placeholders: bool
    overhead: int


@dataclass
class DumpContents:
    """A dump that was read.

    Attributes:
        tables: The tables of literals.
        bases: The content of the bases, by number less 1.
        templates: The templates, by number less 1.
        records: All records. Those of the templates come first, in the same order.
    """

    tables: list[list[bytes]]
    bases: list[bytes]
    templates: list[Template]
    records: list[Record]

    def read(self, record: Record) -> bytes:
        """Returns the object of a record."""
        is_sibling = record.codec and not record.is_frame
        raw = self.reading(record).raw if is_sibling else _restore(record, _content(record))
        if len(raw) != record.size:
            raise ValueError("an object has another size than its record says")
        return raw

    def reading(self, record: Record) -> Reading:
        """Returns how the blob of a record is read, which refers to a template."""
        return read_blob(record.blob, self.templates[record.codec - 1], record.identity)


def read_dump(data: bytes) -> DumpContents:
    """Reads all items of a dump."""
    source, contents = Bytes(data), DumpContents([], [], [], [])
    while source.at < len(data):
        item = source.take(1)[0]
        kind = item & KINDS
        if kind == TABLE:
            contents.tables.append([])
        elif kind == LITERAL:
            contents.tables[-1].append(source.take(source.varint()))
        elif kind == BASE and not item & IS_FULL:
            contents.bases.append(b"")
        elif kind == RECORD and item & IS_TEMPLATE:
            _read_template(source, item, contents)
        elif kind == RECORD:
            contents.records.append(_record(source, item, contents.bases))
    return contents


def _read_template(source: Bytes, item: int, contents: DumpContents) -> None:
    joins = source.varint() if item & IS_MEMBER else 0
    literals = contents.tables[source.varint()]
    source.varint()  # siblings
    source.take(4)  # the mean of their estimates
    lists = [_slots(source) for _ in range(source.varint())]
    record = _record(source, item, contents.bases)
    contents.records.append(record)
    contents.templates.append(Template(contents.read(record), record.identity, literals, lists))
    if record.number != len(contents.templates):
        raise ValueError("a template is not at its position")
    if item & IS_MEMBER:
        content = _content(record)
        if record.codec != len(contents.bases) or len(content) != joins:
            raise ValueError("a member is not where its base is")
        contents.bases[-1] += content


def _slots(source: Bytes) -> list[int]:
    return [int.from_bytes(source.take(2), "little") for _ in range(source.varint())]


def _record(source: Bytes, item: int, bases: list[bytes]) -> Record:
    stream = source.varint()
    namespace = source.take(source.varint())
    start = source.at
    source.take(4)  # the word, which a dump does not need
    form = source.take(1)[0]
    source.varint()  # the partition, which is stated by stream and namespace
    name = source.take(source.varint())
    codec = source.varint()
    number = source.varint() if form & TEMPLATE else 0
    size, blob_size = source.varint(), source.varint()
    resource_version = _resource_version(source, form & 7)
    uid = b""
    if form & UID_PACKED:
        uid = unpack_uuid(source.take(16))
    elif form & UID_TEXT:
        uid = source.take(source.varint())
    overhead = source.at - start
    return Record(
        Identity(namespace, name, uid, resource_version),
        stream,
        bool(item & IS_STALE),
        bool(item & IS_HIDDEN),
        codec,
        number,
        size,
        source.take(blob_size),
        bool(form & FRAME),
        bases[codec - 1] if codec and form & FRAME else b"",
        bool(form & PLACEHOLDERS),
        overhead,
    )


def _resource_version(source: Bytes, form: int) -> bytes:
    if form == RV_TEXT:
        return source.take(source.varint())
    return b"%d" % int.from_bytes(source.take(RV_SIZES[form]), "little") if form else b""


def _content(record: Record) -> bytes:
    """Returns the bytes in a frame, or in a record that is stored as it is."""
    if not record.is_frame:
        return record.blob
    prefix = zstandard.ZstdCompressionDict(record.prefix, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdDecompressor(dict_data=prefix if record.prefix else None).decompress(FRAME_MAGIC + record.blob)


def _restore(record: Record, content: bytes) -> bytes:
    """Puts the values of a record in place of the placeholders."""
    if not record.has_placeholders:
        return content
    values = _values(record.identity)
    return _PLACEHOLDER.sub(lambda found: values[found[0][0] - 1], content)


def _values(identity: Identity) -> list[bytes]:
    """Returns what the placeholders 1 to 5 stand for; an empty one has no placeholder."""
    values = [value if len(value) >= MIN_PLACEHOLDER else b"" for value in identity]
    return [*values, identity.name.rpartition(b".")[0]]
