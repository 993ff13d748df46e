"""Zstandard frames of single objects: plain, after a prefix, or with a dictionary.

Every frame can be read alone. It has no magic number, checksum or dictionary id, only the size of its content: 3 or 4
bytes. A prefix is content that is treated as if it preceded the object. It needs no context of its own: the process
reads all prefixes through a few shared contexts, except large ones that are read often. A dictionary adds tables of
statistics. They make blobs 5 to 12 % smaller and cost about 90 KB for reading. Only one thread at a time uses a
context, because zstandard releases the GIL while it works. No reader waits for another reader.
`training` and `exemplars` decide what to use.
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

FRAME_MAGIC = zstandard.FRAME_HEADER
REPEATED_OFFSETS = b"\x01\0\0\0\x04\0\0\0\x08\0\0\0"  # end of the header of a trained dictionary: RFC 8878, 5
UNCOMPRESSED_START = FRAME_MAGIC + b"\xa0"  # of a frame with its size in 4 bytes
BLOCK_BYTES = 128 << 10
READY_BYTES = 512 << 10  # of exemplars that are ready for reading, in the whole process: see `_ReadyExemplars`
MAX_OPEN_BASES = 16  # dictionaries and prefixes with contexts for reading, in the whole process
LARGE_PREFIX = 32 << 10  # bytes; copying one at each read takes 2 us and more
READS_BEFORE_CONTEXT = 256  # of a large prefix; a context is too expensive for one that is rarely read
OVERHEAD_BYTES = 700  # of an exemplar in addition to its blob: Python objects and entries in maps
DIGESTED_BYTES = 28 << 10  # tables of a dictionary for reading
WRITING_BYTES = 344 << 10  # of a context for writing
WRITING_BITS = 15  # of its tables; the default of level 3 is twice as large or more, without a gain
READING_BYTES = 62 << 10  # of a context for reading: the touched part of 94 KiB


class Base(Protocol):
    """Content that objects are compressed against."""

    def decode(self, blob: bytes) -> bytes:
        """Decompresses a blob. Safe from any thread.

        Raises:
            zstandard.ZstdError, ValueError: The blob was not made with this base.
        """

    def encoder(self) -> Encode:
        """Makes a context for background work: slow, with small blobs. For one thread."""

    @property
    def held_bytes(self) -> int:
        """Memory in bytes, contexts included."""

    def content(self) -> bytes:
        """Returns the bytes from which the base can be made again."""


def _parameters(strategy: int, bits: int, search_log: int) -> zstandard.ZstdCompressionParameters:
    """Returns parameters. Tables have 2^bits entries, fewer for small objects."""
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

# A context is removed while it is in use. No lock is needed, because pop and append of a list are atomic.
_writers: list[zstandard.ZstdCompressor] = []
_readers: list[zstandard.ZstdDecompressor] = []


def compress(data: Buffer) -> bytes:
    """Compresses an object plainly and fast. Safe from any thread."""
    try:
        writer = _writers.pop()
    except IndexError:
        writer = zstandard.ZstdCompressor(compression_params=_PLAIN)
    try:
        return writer.compress(data)
    finally:
        _writers.append(writer)


def plain_encoder() -> Encode:
    """Makes a context for background work without a base. For one thread."""
    return zstandard.ZstdCompressor(compression_params=_parameters(zstandard.STRATEGY_LAZY, 15, 4)).compress


def decompress(blob: bytes) -> bytes:
    """Decompresses a plain blob. Safe from any thread.

    Raises:
        zstandard.ZstdError: The blob is not valid.
    """
    try:
        reader = _readers.pop()
    except IndexError:
        reader = zstandard.ZstdDecompressor()
    try:
        return reader.decompress(FRAME_MAGIC + blob)
    finally:
        _readers.append(reader)


def _decompress_after(framed: bytes, blob: bytes) -> bytes:
    try:
        reader = _readers.pop()
    except IndexError:
        reader = zstandard.ZstdDecompressor()
    try:
        return reader.decompress_content_dict_chain([framed, FRAME_MAGIC + blob])
    finally:
        _readers.append(reader)


def _uncompressed_frame(content: bytes) -> bytes:
    """Returns a frame of uncompressed blocks, for the start of a chain."""
    pieces, at = [UNCOMPRESSED_START, len(content).to_bytes(4, "little")], 0
    while len(content) - at > BLOCK_BYTES:
        pieces += [(BLOCK_BYTES << 3).to_bytes(3, "little"), content[at : at + BLOCK_BYTES]]
        at += BLOCK_BYTES
    return b"".join([*pieces, (len(content) - at << 3 | 1).to_bytes(3, "little"), content[at:]])


def _prefix_encoder(content: bytes) -> Encode:
    params = _parameters(zstandard.STRATEGY_LAZY, min(max(len(content).bit_length(), 14), 17), 4)
    prefix = zstandard.ZstdCompressionDict(content, zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(compression_params=params, dict_data=prefix).compress


class _Pooled:
    """A base with a context for each concurrent reader: see `MAX_OPEN_BASES`."""

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
            with suppress(ValueError):  # another thread removed it
                _opened.remove(found)
        _opened.append(weakref.ref(self))
        if len(_opened) > MAX_OPEN_BASES and (oldest := _opened.popleft()()) is not None:
            oldest._idle.clear()
        return zstandard.ZstdDecompressor(dict_data=self._dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS)

    @property
    def held_bytes(self) -> int:
        """See `Base`."""
        return len(self._dictionary) + READING_BYTES * len(self._idle)

    def content(self) -> bytes:
        """See `Base`."""
        return self._dictionary.as_bytes()


# Weak, so that bases which were tried and rejected are released.
_opened: deque[weakref.ref[_Pooled]] = deque()


class Prefix:
    """A prefix. It has a context of its own only if it is large and read often."""

    __slots__ = ("_held", "_reads_left")

    def __init__(self, content: bytes) -> None:
        self._held: bytes | _Pooled = _uncompressed_frame(content)
        self._reads_left = READS_BEFORE_CONTEXT if len(content) >= LARGE_PREFIX else inf

    def decode(self, blob: bytes) -> bytes:
        """See `Base`. Without a context each read copies the prefix: 1 us for 16 KiB."""
        held = self._held
        if not isinstance(held, bytes):
            return held.decode(blob)
        self._reads_left -= 1
        if self._reads_left <= 0:
            self._held = _Pooled(zstandard.ZstdCompressionDict(self.content(), zstandard.DICT_TYPE_RAWCONTENT))
        return _decompress_after(held, blob)

    def encoder(self) -> Encode:
        """See `Base`."""
        return _prefix_encoder(self.content())

    @property
    def held_bytes(self) -> int:
        """See `Base`."""
        return len(self._held) if isinstance(self._held, bytes) else self._held.held_bytes

    def content(self) -> bytes:
        """See `Base`."""
        held = self._held
        return decompress(held[len(FRAME_MAGIC) :]) if isinstance(held, bytes) else held.content()


class Dictionary(_Pooled):
    """A zstandard dictionary: content, and tables of statistics."""

    __slots__ = ("_fast",)

    def __init__(self, content: bytes) -> None:
        super().__init__(zstandard.ZstdCompressionDict(content, zstandard.DICT_TYPE_FULLDICT))
        self._fast: zstandard.ZstdCompressor | None = None

    def encoder(self) -> Encode:
        """See `Base`."""
        params = _parameters(zstandard.STRATEGY_LAZY, 16, 4)
        dictionary = zstandard.ZstdCompressionDict(self.content(), zstandard.DICT_TYPE_FULLDICT)
        dictionary.precompute_compress(compression_params=params)
        return zstandard.ZstdCompressor(compression_params=_PLAIN, dict_data=dictionary).compress

    def fast_encoder(self) -> Encode:
        """Returns the context that compresses objects on arrival, at the speed of level 3."""
        if self._fast is None:
            params = _parameters(zstandard.STRATEGY_DFAST, WRITING_BITS, 2)
            self._dictionary.precompute_compress(compression_params=params)
            self._fast = zstandard.ZstdCompressor(compression_params=_PLAIN, dict_data=self._dictionary)
        return self._fast.compress

    def stop_writing(self) -> None:
        """Releases the context of `fast_encoder` and its tables."""
        if self._fast is not None:
            self._fast, self._idle = None, []
            self._dictionary = zstandard.ZstdCompressionDict(self.content(), zstandard.DICT_TYPE_FULLDICT)

    @property
    def writing_bytes(self) -> int:
        """Memory of `fast_encoder` in bytes: a context and two tables."""
        return WRITING_BYTES + (6 << WRITING_BITS)  # 4 bytes an entry; the second table has half as many

    @property
    def held_bytes(self) -> int:
        """See `Base`."""
        return super().held_bytes + DIGESTED_BYTES + (0 if self._fast is None else self.writing_bytes)


class Exemplar:
    """An object that other objects are deltas against.

    It is held compressed. Recently used exemplars are also held ready for reading.

    Attributes:
        blob: The object, compressed.
        base: The base of `blob`; None: plain.
        codec: Codec number of its deltas.
        features: The groups whose exemplar it is.
        framed: The object as the first frame of a chain, or None. `_ReadyExemplars` sets it and `used`.
        used: True if a delta was read since the last check.
    """

    __slots__ = ("__weakref__", "base", "blob", "codec", "features", "framed", "used")

    def __init__(self, blob: bytes, base: Base | None, codec: int, features: tuple[int, ...]) -> None:
        self.blob = _trimmed(blob)
        self.base = base
        self.codec = codec
        self.features = features
        self.framed: bytes | None = None
        self.used = False

    def decode(self, blob: bytes) -> bytes:
        """See `Base`."""
        framed = self.framed
        if framed is None:
            framed = _uncompressed_frame(self.content())
            _ready.add(self, framed)
        else:
            self.used = True
        return _decompress_after(framed, blob)

    def encoder(self) -> Encode:
        """See `Base`."""
        return _prefix_encoder(self.content())

    @property
    def held_bytes(self) -> int:
        """See `Base`. `framed` is not counted: it is bounded for the whole process."""
        return len(self.blob) + OVERHEAD_BYTES

    def content(self) -> bytes:
        """See `Base`."""
        return decompress(self.blob) if self.base is None else self.base.decode(self.blob)

    def rebase(self, base: Base | None, compress: Encode) -> None:
        """Compresses its blob against another base. Its deltas do not change."""
        self.blob, self.base = _trimmed(compress(self.content())), base


def _trimmed(blob: bytes) -> bytes:
    """Copies the bytes without the room that zstandard leaves behind them."""
    return bytes(memoryview(blob))


class _ReadyExemplars:
    """The exemplars of the process that are ready for reading, within `READY_BYTES`.

    If there is no room, exemplars are evicted in the order in which they were added, and those used since the last
    check get another round (the CLOCK algorithm). That hits as often as LRU, and a read only sets a flag. Exemplars are
    referenced weakly.

    With 5,000 pods and 207 exemplars, read in random order, 73 % hit; of 20,000 with 358 exemplars 64 %. Within 256 KiB
    53 and 44 % hit, with 1 MiB 97 and 86 %. A miss costs 4.5 us. So the second 256 KiB save 0.6 us a read for
    0.1 MiB of RSS; another 512 KiB would save 0.7 us for 0.5 MiB.

    Attributes:
        held_bytes: Memory of the frames. Those of released exemplars count until their turn.
    """

    def __init__(self) -> None:
        self.held_bytes = 0
        self._queue: deque[tuple[weakref.ref[Exemplar], int]] = deque()
        self._lock = threading.Lock()

    def add(self, exemplar: Exemplar, framed: bytes) -> None:
        """Adds an exemplar unless it is large, or the lock is taken. Never waits."""
        # A signal handler may read while this thread holds the lock.
        if len(framed) > READY_BYTES // 4 or not self._lock.acquire(blocking=False):
            return
        try:
            if exemplar.framed is None:
                exemplar.framed = framed
                self.held_bytes += len(framed)
                self._queue.append((weakref.ref(exemplar), len(framed)))
            while self.held_bytes > READY_BYTES:
                self._evict()
        finally:
            self._lock.release()

    def _evict(self) -> None:
        found, size = self._queue.popleft()
        exemplar = found()
        if exemplar is not None and exemplar.used:
            exemplar.used = False
            self._queue.append((found, size))
            return
        self.held_bytes -= size
        if exemplar is not None:
            exemplar.framed = None

    def clear(self) -> None:
        """Evicts all exemplars; for tests and benchmarks."""
        with self._lock:
            for found, _ in self._queue:
                if (exemplar := found()) is not None:
                    exemplar.framed = None
            self._queue.clear()
            self.held_bytes = 0


_ready = _ReadyExemplars()
