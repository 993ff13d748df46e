"""How one object becomes a zstandard frame and comes back: plainly, after a prefix, with a dictionary.

Every frame can be read alone. It has no magic number, checksum or dictionary id, only the size of its content: 3 or
4 bytes. A prefix is content that counts as if it stood before the object; it needs no context of its own, because
all of the process's prefixes are read through a few shared ones. A dictionary adds tables of statistics to that,
makes blobs 5 to 12 % smaller and costs about 90 KB to keep open. Contexts are never used by two threads at once:
zstandard lets go of the GIL while it works.
Never decides what to use; `_dictionary` and `_exemplars` do.
Source: RFC 8878.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import zstandard

Buffer = bytes | memoryview
Encode = Callable[[Buffer], bytes]

MAGIC = zstandard.FRAME_HEADER
REPEATED = b"\x01\0\0\0\x04\0\0\0\x08\0\0\0"  # the offsets that end a trained dictionary's header: RFC 8878, 5
BLOCK_BYTES = 128 << 10
OPEN_BYTES = 256 << 10  # of exemplars kept ready to be read with, in the whole process
OPEN_DICTIONARIES = 16  # kept ready to be read with, in the whole process
OVERHEAD_BYTES = 700  # of an exemplar, beside its blob: objects of Python and their places in maps
DIGESTED_BYTES = 28 << 10  # a dictionary's tables for reading
WRITING_BYTES = 344 << 10  # of a context for writing
WRITING_BITS = 15  # of its tables: level 3 itself would take ones of twice the size or more, for nothing
READING_BYTES = 62 << 10  # of a context for reading, what is touched of 94 KiB


class Base(Protocol):
    """What objects are coded against."""

    def decode(self, blob: bytes) -> bytes:
        """The object of a blob. From any thread.

        Raises:
            zstandard.ZstdError, ValueError: It was not made with this base.
        """

    def encoder(self) -> Encode:
        """A new context that spends time on small blobs; for one thread at a time."""

    @property
    def held_bytes(self) -> int:
        """What keeping it costs, its contexts included."""

    def content(self) -> bytes:
        """What it can be made from again."""


def _frame(strategy: int, bits: int, search_log: int) -> zstandard.ZstdCompressionParameters:
    """Parameters for tables of so many bits; contexts are made smaller by themselves for smaller objects."""
    return zstandard.ZstdCompressionParameters(
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        compression_level=3,
        strategy=strategy,
        window_log=20,
        hash_log=bits,
        chain_log=bits - 1,
        search_log=search_log,
        min_match=5,
        write_content_size=True,
        write_checksum=False,
        write_dict_id=False,
    )


_PLAIN = zstandard.ZstdCompressionParameters(
    format=zstandard.FORMAT_ZSTD1_MAGICLESS,
    compression_level=3,
    write_content_size=True,
    write_checksum=False,
    write_dict_id=False,
)

# Taken out while in use and put back after: a list's pop and append are atomic, so no lock is needed.
_writers: list[zstandard.ZstdCompressor] = []
_readers: list[zstandard.ZstdDecompressor] = []


def encode(data: Buffer) -> bytes:
    """A blob that needs nothing else to be read, in little time. From any thread."""
    writer = _writers.pop() if _writers else zstandard.ZstdCompressor(compression_params=_PLAIN)
    try:
        return writer.compress(data)
    finally:
        _writers.append(writer)


def plain_encoder() -> Encode:
    """A new context that spends time on small blobs that need nothing else to be read; for one thread at a time."""
    return zstandard.ZstdCompressor(compression_params=_frame(zstandard.STRATEGY_LAZY, 15, 4)).compress


def decode(blob: bytes) -> bytes:
    """The object of a blob that needs nothing else. From any thread.

    Raises:
        zstandard.ZstdError: It is none.
    """
    reader = _reader()
    try:
        return reader.decompress(MAGIC + blob)
    finally:
        _readers.append(reader)


def _reader() -> zstandard.ZstdDecompressor:
    try:
        return _readers.pop()
    except IndexError:
        return zstandard.ZstdDecompressor()


def _after(framed: bytes, blob: bytes) -> bytes:
    reader = _reader()
    try:
        return reader.decompress_content_dict_chain([framed, MAGIC + blob])
    finally:
        _readers.append(reader)


def _stored(content: bytes) -> bytes:
    """A frame of uncompressed blocks: what zstandard takes as the first of a chain, at the cost of a copy."""
    pieces = [MAGIC, b"\xa0", len(content).to_bytes(4, "little")]
    for at in range(0, len(content), BLOCK_BYTES):
        piece = content[at : at + BLOCK_BYTES]
        last = at + BLOCK_BYTES >= len(content)
        pieces += [(len(piece) << 3 | last).to_bytes(3, "little"), piece]
    return b"".join(pieces)


def _prefixed(content: bytes) -> Encode:
    params = _frame(zstandard.STRATEGY_LAZY, min(max(len(content).bit_length(), 14), 17), 4)
    prefix = zstandard.ZstdCompressionDict(content, zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(compression_params=params, dict_data=prefix).compress


class Prefix:
    """Content that counts as if it stood before each object. Costs what it holds, and nothing beside it."""

    __slots__ = ("_framed",)

    def __init__(self, content: bytes) -> None:
        self._framed = _stored(content)

    def decode(self, blob: bytes) -> bytes:
        """See `Base`. Takes a copy of the whole prefix each time: about 1 us for 16 KiB."""
        return _after(self._framed, blob)

    def encoder(self) -> Encode:
        """See `Base`."""
        return _prefixed(self.content())

    @property
    def held_bytes(self) -> int:
        """See `Base`."""
        return len(self._framed)

    def content(self) -> bytes:
        """See `Base`."""
        return decode(self._framed[len(MAGIC) :])


class Dictionary:
    """A dictionary in zstandard's own form, with tables of statistics. Read with contexts kept open for it."""

    __slots__ = ("__weakref__", "_dictionary", "_fast", "_idle")

    def __init__(self, content: bytes) -> None:
        self._dictionary = zstandard.ZstdCompressionDict(content, zstandard.DICT_TYPE_FULLDICT)
        self._idle: list[zstandard.ZstdDecompressor] = []
        self._fast: zstandard.ZstdCompressor | None = None

    def decode(self, blob: bytes) -> bytes:
        """See `Base`."""
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = self._open()
        try:
            return reader.decompress(blob)
        finally:
            self._idle.append(reader)

    def _open(self) -> zstandard.ZstdDecompressor:
        for found in [found for found in list(_opened) if found() is None]:
            with suppress(ValueError):  # another thread was faster
                _opened.remove(found)
        _opened.append(weakref.ref(self))
        if len(_opened) > OPEN_DICTIONARIES and (oldest := _opened.popleft()()) is not None:
            oldest._idle.clear()
        return zstandard.ZstdDecompressor(dict_data=self._dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS)

    def encoder(self) -> Encode:
        """See `Base`."""
        params = _frame(zstandard.STRATEGY_LAZY, 16, 4)
        own = zstandard.ZstdCompressionDict(self.content(), zstandard.DICT_TYPE_FULLDICT)
        own.precompute_compress(compression_params=params)
        return zstandard.ZstdCompressor(compression_params=_PLAIN, dict_data=own).compress

    def fast_encoder(self) -> Encode:
        """The one context that is kept to write objects as they come, at the speed of level 3."""
        if self._fast is None:
            params = _frame(zstandard.STRATEGY_DFAST, WRITING_BITS, 2)
            self._dictionary.precompute_compress(compression_params=params)
            self._fast = zstandard.ZstdCompressor(compression_params=_PLAIN, dict_data=self._dictionary)
        return self._fast.compress

    def stop_writing(self) -> None:
        """Gives `fast_encoder` back, with its tables."""
        if self._fast is not None:
            self._fast, self._idle = None, []
            self._dictionary = zstandard.ZstdCompressionDict(self.content(), zstandard.DICT_TYPE_FULLDICT)

    @property
    def writing_bytes(self) -> int:
        """What `fast_encoder` costs: a context, and two tables of 4 bytes an entry, the second half as long."""
        return WRITING_BYTES + (6 << WRITING_BITS)

    @property
    def held_bytes(self) -> int:
        """See `Base`."""
        held = len(self._dictionary) + DIGESTED_BYTES + READING_BYTES * len(self._idle)
        if self._fast is not None:
            held += self.writing_bytes
        return held

    def content(self) -> bytes:
        """See `Base`."""
        return self._dictionary.as_bytes()


# Those that were tried and not taken must not be kept alive by it.
_opened: deque[weakref.ref[Dictionary]] = deque()


class Exemplar:
    """One object that others are deltas against. Held compressed; the last few that were read with, ready to read."""

    __slots__ = ("blob", "codec", "features", "over")

    def __init__(self, blob: bytes, over: Base | None, codec: int, features: tuple[int, ...]) -> None:
        self.blob = _tight(blob)
        self.over = over  # what the exemplar itself is coded against
        self.codec = codec
        self.features = features

    def decode(self, blob: bytes) -> bytes:
        """See `Base`."""
        framed = _ready.get(self)
        if framed is None:
            framed = _stored(self.content())
            _make_ready(self, framed)
        return _after(framed, blob)

    def encoder(self) -> Encode:
        """See `Base`."""
        return _prefixed(self.content())

    @property
    def held_bytes(self) -> int:
        """See `Base`. What the process keeps ready counts nowhere: it is bounded for all together."""
        return len(self.blob) + OVERHEAD_BYTES

    def content(self) -> bytes:
        """See `Base`."""
        return decode(self.blob) if self.over is None else self.over.decode(self.blob)

    def move(self, over: Base | None, compress: Encode) -> None:
        """Codes itself against something else; its deltas stay as they are."""
        self.blob, self.over = _tight(compress(self.content())), over


def _tight(blob: bytes) -> bytes:
    """The same bytes in no more memory: behind what zstandard returns stays room for the worst case."""
    return bytes(memoryview(blob))


_ready: dict[Exemplar, bytes] = {}


def _make_ready(exemplar: Exemplar, framed: bytes) -> None:
    if len(framed) > OPEN_BYTES // 4:
        return
    _ready[exemplar] = framed
    spent = sum(map(len, list(_ready.values())))
    while spent > OPEN_BYTES and (oldest := next(iter(list(_ready)), None)) is not None:
        spent -= len(_ready.pop(oldest, b""))


def forget(exemplar: Exemplar) -> None:
    """Nothing is left that needs it."""
    _ready.pop(exemplar, None)
