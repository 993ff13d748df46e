"""How one object becomes a zstandard frame and comes back: plainly, after a prefix, with a dictionary.

Every frame can be read alone. It has no magic number, checksum or dictionary id, only the size of its content: 3 or
4 bytes. A prefix is content that counts as if it stood before the object; it needs no context of its own, because
all of the process's prefixes are read through a few shared ones, unless a large one is read a lot. A dictionary adds
tables of statistics to that, makes blobs 5 to 12 % smaller and costs about 90 KB to keep open. Contexts are never
used by two threads at once: zstandard lets go of the GIL while it works. No reader ever waits for another one.
Never decides what to use; `_dictionary` and `_exemplars` do.
Source: RFC 8878.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Protocol

import zstandard

Buffer = bytes | memoryview
Encode = Callable[[Buffer], bytes]

MAGIC = zstandard.FRAME_HEADER
REPEATED = b"\x01\0\0\0\x04\0\0\0\x08\0\0\0"  # the offsets that end a trained dictionary's header: RFC 8878, 5
STORED = MAGIC + b"\xa0"  # begins a frame that tells its size in 4 bytes
BLOCK_BYTES = 128 << 10
OPEN_BYTES = 512 << 10  # of exemplars kept ready to be read with, in the whole process: see `_Ready`
OPEN_CONTENTS = 16  # dictionaries and prefixes with contexts for reading, in the whole process
LARGE_PREFIX = 32 << 10  # bytes; to copy one at each read takes 2 us and more
READ_A_LOT = 256  # objects; a context is too much for a prefix that is only tried, or hardly read
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
    try:
        writer = _writers.pop()
    except IndexError:
        writer = zstandard.ZstdCompressor(compression_params=_PLAIN)
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
    try:
        reader = _readers.pop()
    except IndexError:
        reader = zstandard.ZstdDecompressor()
    try:
        return reader.decompress(MAGIC + blob)
    finally:
        _readers.append(reader)


def _after(framed: bytes, blob: bytes) -> bytes:
    try:
        reader = _readers.pop()
    except IndexError:
        reader = zstandard.ZstdDecompressor()
    try:
        return reader.decompress_content_dict_chain([framed, MAGIC + blob])
    finally:
        _readers.append(reader)


def _stored(content: bytes) -> bytes:
    """A frame of uncompressed blocks: what zstandard takes as the first of a chain, at the cost of a copy."""
    pieces, at = [STORED, len(content).to_bytes(4, "little")], 0
    while len(content) - at > BLOCK_BYTES:
        pieces += [(BLOCK_BYTES << 3).to_bytes(3, "little"), content[at : at + BLOCK_BYTES]]
        at += BLOCK_BYTES
    return b"".join([*pieces, (len(content) - at << 3 | 1).to_bytes(3, "little"), content[at:]])


def _prefixed(content: bytes) -> Encode:
    params = _frame(zstandard.STRATEGY_LAZY, min(max(len(content).bit_length(), 14), 17), 4)
    prefix = zstandard.ZstdCompressionDict(content, zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(compression_params=params, dict_data=prefix).compress


class _Opened:
    """What is read with contexts of its own, as many as threads read at once: not for good, see `OPEN_CONTENTS`."""

    __slots__ = ("__weakref__", "_dictionary", "_idle")

    def __init__(self, dictionary: zstandard.ZstdCompressionDict) -> None:
        self._dictionary = dictionary
        self._idle: list[zstandard.ZstdDecompressor] = []

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
        if len(_opened) > OPEN_CONTENTS and (oldest := _opened.popleft()()) is not None:
            oldest._idle.clear()
        return zstandard.ZstdDecompressor(dict_data=self._dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS)

    @property
    def held_bytes(self) -> int:
        """See `Base`."""
        return len(self._dictionary) + READING_BYTES * len(self._idle)

    def content(self) -> bytes:
        """See `Base`."""
        return self._dictionary.as_bytes()


# Those that were tried and not taken must not be kept alive by it.
_opened: deque[weakref.ref[_Opened]] = deque()


class Prefix:
    """Content that counts as if it stood before each object. Costs what it holds, and a context if large and in use."""

    __slots__ = ("_held", "_left")

    def __init__(self, content: bytes) -> None:
        self._held: bytes | _Opened = _stored(content)
        self._left = READ_A_LOT if len(content) >= LARGE_PREFIX else inf

    def decode(self, blob: bytes) -> bytes:
        """See `Base`. Without a context it takes a copy of the whole prefix each time: about 1 us for 16 KiB."""
        held = self._held
        if not isinstance(held, bytes):
            return held.decode(blob)
        self._left -= 1
        if self._left <= 0:
            self._held = _Opened(zstandard.ZstdCompressionDict(self.content(), zstandard.DICT_TYPE_RAWCONTENT))
        return _after(held, blob)

    def encoder(self) -> Encode:
        """See `Base`."""
        return _prefixed(self.content())

    @property
    def held_bytes(self) -> int:
        """See `Base`."""
        return len(self._held) if isinstance(self._held, bytes) else self._held.held_bytes

    def content(self) -> bytes:
        """See `Base`."""
        held = self._held
        return decode(held[len(MAGIC) :]) if isinstance(held, bytes) else held.content()


class Dictionary(_Opened):
    """A dictionary in zstandard's own form, with tables of statistics."""

    __slots__ = ("_fast",)

    def __init__(self, content: bytes) -> None:
        super().__init__(zstandard.ZstdCompressionDict(content, zstandard.DICT_TYPE_FULLDICT))
        self._fast: zstandard.ZstdCompressor | None = None

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
        return super().held_bytes + DIGESTED_BYTES + (0 if self._fast is None else self.writing_bytes)


class Exemplar:
    """One object that others are deltas against.

    Held compressed; those that were read with lately, ready to read.

    Attributes:
        blob: The object.
        over: What it is coded against itself.
        codec: The number of its deltas' codec.
        features: The groups that it is the exemplar of.
        framed: It, ready to be read with, or None. This and the next one are `_Ready`'s.
        used: Whether it was read with since it was last looked at.
    """

    __slots__ = ("__weakref__", "blob", "codec", "features", "framed", "over", "used")

    def __init__(self, blob: bytes, over: Base | None, codec: int, features: tuple[int, ...]) -> None:
        self.blob = _tight(blob)
        self.over = over
        self.codec = codec
        self.features = features
        self.framed: bytes | None = None
        self.used = False

    def decode(self, blob: bytes) -> bytes:
        """See `Base`."""
        framed = self.framed
        if framed is None:
            framed = _stored(self.content())
            _ready.add(self, framed)
        else:
            self.used = True
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


class _Ready:
    """The exemplars that are ready to be read with, in the whole process: within `OPEN_BYTES`, what is used stays.

    They come up in turn when there is no room, and what was used since the last time is passed over. That finds as
    many ready as an order by last use, and costs a read no more than a flag. It holds none of them alive.

    Of 5,000 pods with 207 exemplars, read in random order, 73 % find theirs ready, of 20,000 with 358 64 %; within
    256 KiB it were 53 and 44 %, within 1 MiB 97 and 86 %. One that is not ready costs 4.5 us. So the second 256 KiB
    save 0.6 us a read and were 0.1 MiB of RSS; half a MiB more would save 0.7 us, and be 0.5 MiB.

    Attributes:
        held_bytes: What they take; one that is gone or was forgotten counts until its turn.
    """

    def __init__(self) -> None:
        self.held_bytes = 0
        self._round: deque[tuple[weakref.ref[Exemplar], int]] = deque()
        self._lock = threading.Lock()

    def add(self, exemplar: Exemplar, framed: bytes) -> None:
        """Keeps it ready, unless it is large, or another thread is at it: nobody waits, be it in a signal's handler."""
        if len(framed) > OPEN_BYTES // 4 or not self._lock.acquire(blocking=False):
            return
        try:
            if exemplar.framed is None:
                exemplar.framed = framed
                self.held_bytes += len(framed)
                self._round.append((weakref.ref(exemplar), len(framed)))
            while self.held_bytes > OPEN_BYTES:
                self._next()
        finally:
            self._lock.release()

    def _next(self) -> None:
        found, size = self._round.popleft()
        exemplar = found()
        if exemplar is not None and exemplar.used:
            exemplar.used = False
            self._round.append((found, size))
            return
        self.held_bytes -= size
        if exemplar is not None:
            exemplar.framed = None

    def clear(self) -> None:
        """Leaves none ready."""
        with self._lock:
            for found, _ in self._round:
                if (exemplar := found()) is not None:
                    exemplar.framed = None
            self._round.clear()
            self.held_bytes = 0


_ready = _Ready()
