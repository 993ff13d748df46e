"""A collection on disk: its records as the table holds them, what it takes to read them, and where to go on.

Writes and reads files, in a thread; knows no network, no streams and no clock but the one that files are dated by.
The file is never mapped: one that is truncated while it is read is refused, and kills nobody.

    preface   8 bytes of magic, the format as u16
    pieces    kind (1 byte), length (u32), CRC-32 of both and of the content (u32), content
                H  the header: what it is a snapshot of, and when it was taken
                C  the codec's state, in as many pieces as it takes
                R  whole records, as `Table.load` takes them
                E  the end: how many pieces and records, and the BLAKE2b of all bytes before this piece

All integers are little-endian. Nothing is used before the end piece was right, and nothing may follow it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO

import msgspec

from kinform._errors import SnapshotError
from kinform._store.contents import StoreContents

MAGIC = b"kinform\x00"
# Counts up with every change of this file's layout, of the table's records or of what the header says.
FORMAT = 1
PIECE_BYTES = 64 << 10  # taken or given without letting go of the interpreter: half a millisecond

_PREFACE = struct.Struct("<8sH")
_PIECE = struct.Struct("<cII")
_HEAD = struct.Struct("<cI")
_END = struct.Struct("<QQ32s")


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot is one of: all that has to be the same for it to be carried on.

    Attributes:
        cluster: The uid of the cluster; `""` where it could not be read.
        place: Where the cluster is reached, for where there is no uid to compare.
        resource: The resource.
        scope: Selectors, and whether it is metadata alone.
        namespaces: Those that were followed; None: all.
        prune: What of each object is kept.
        transform: The name of the function that replaces objects; `""` where there is none.
    """

    cluster: str
    place: str
    resource: str
    scope: tuple[str, str, bool]
    namespaces: tuple[str, ...] | None
    prune: tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, int], ...]]
    transform: str

    def differs(self, other: Origin) -> str:
        """In what another one is not the same, in words; `""` where in nothing."""
        by_uid = bool(self.cluster and other.cluster)
        if self.cluster != other.cluster if by_uid else self.place != other.place:
            return "another cluster"
        for field, what in (
            ("resource", "another resource"),
            ("scope", "another scope"),
            ("namespaces", "other namespaces"),
            ("prune", "other pruning"),
            ("transform", "another transform"),
        ):
            if getattr(self, field) != getattr(other, field):
                return what
        return ""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What stands first in a file.

    Attributes:
        origin: What it is a snapshot of.
        byteorder: That of the machine; records hold numbers as it does.
        taken: When, in seconds since 1970.
        streams: By namespace, the number that the stream's records bear, and its resourceVersion.
    """

    origin: Origin
    byteorder: str
    taken: float
    streams: dict[str, tuple[int, str]]


class Loaded(msgspec.Struct, frozen=True):
    """A snapshot that was right, as it was read."""

    contents: StoreContents
    numbers: dict[str, int]
    resource_versions: dict[str, str]


# Writing


def write(
    path: str, header: Header, state: bytes, records: Iterator[bytes], objects: int, abandon: threading.Event
) -> int:
    """Writes a file, and lets it take the place of the old one once every byte of it is on the disk.

    Args:
        path: The file.
        header: What it is.
        state: The codec's.
        records: Pieces of records; each is written before the next is asked for.
        objects: How many there are in them.
        abandon: Set by another thread: no longer wanted.

    Returns:
        Its size in bytes.

    Raises:
        OSError: It cannot be written; nothing is left of it, and the old file stays.
    """
    folder, name = os.path.split(os.path.abspath(path))
    _sweep(folder, name)
    descriptor, beside = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)  # made with mode 0600
    try:
        with open(descriptor, "wb", buffering=0) as file:
            with suppress(OSError):  # some file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            writing = _Writing(file)
            writing.piece(b"H", msgspec.json.encode(header))
            for start in range(0, len(state), PIECE_BYTES):
                writing.piece(b"C", state[start : start + PIECE_BYTES])
            for piece in records:
                if abandon.is_set():
                    raise InterruptedError(errno.EINTR, "no longer wanted")
                writing.piece(b"R", piece)
            writing.end(objects)
            os.fsync(file.fileno())
            os.replace(beside, os.path.join(folder, name))
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
    _sync_folder(folder)
    return writing.size


class _Writing:
    """A file as far as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.blake2b(digest_size=32)
        self._pieces = 0
        self.size = 0
        self._write(_PREFACE.pack(MAGIC, FORMAT))

    def piece(self, kind: bytes, content: bytes) -> None:
        head = _HEAD.pack(kind, len(content))
        check = zlib.crc32(content, zlib.crc32(head))
        self._write(_PIECE.pack(kind, len(content), check))
        self._write(content)
        self._pieces += 1

    def end(self, objects: int) -> None:
        self.piece(b"E", _END.pack(self._pieces, objects, self._digest.digest()))

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self.size += len(data)


def _sweep(folder: str, name: str) -> None:
    """Removes what writers that were killed have left; one that still writes holds a lock."""
    for entry in os.listdir(folder):
        if entry.startswith(f".{name}.") and entry.endswith(".tmp"):
            beside = os.path.join(folder, entry)
            with suppress(OSError), open(beside, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(beside)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot
            raise
    finally:
        os.close(descriptor)


# Reading


def read(path: str, origin: Origin, fresh: StoreContents, max_age: float | None) -> Loaded | None:
    """Reads a file into a table of its own.

    Args:
        path: The file.
        origin: What it has to be a snapshot of.
        fresh: What to fill; of no use to anybody if this raises.
        max_age: Seconds after which it is too old.

    Returns:
        What was in it; None where there is no file.

    Raises:
        SnapshotError: It is not right, or not the right one.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would hold us
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(path, f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SnapshotError(path, "not a file")
    with open(descriptor, "rb", buffering=0) as file:
        try:
            return _load(_Reading(path, file), origin, fresh, max_age)
        except OSError as error:
            raise SnapshotError(path, f"cannot be read: {error.strerror}") from error


def _load(reading: _Reading, origin: Origin, fresh: StoreContents, max_age: float | None) -> Loaded:
    header = reading.header()
    if header.byteorder != sys.byteorder:
        raise reading.refused("written on a machine of another kind")
    if differs := header.origin.differs(origin):
        raise reading.refused(f"of {differs}")
    age = time.time() - header.taken
    if max_age is not None and abs(age) > max_age:  # or a clock was set
        raise reading.refused(f"{age:.0f} s old, more than max_age, {max_age:g} s")
    numbers = {namespace: number for number, namespace in enumerate(header.streams)}
    stream_of = {number: numbers[namespace] for namespace, (number, _) in header.streams.items()}
    state: list[bytes] | None = []
    objects = 0
    for kind, content in reading.pieces():
        try:
            if kind == b"C" and state is not None:
                state.append(content)
            elif kind == b"R":
                if state is not None:
                    fresh.codec.restore(b"".join(state))
                    state = None
                objects += fresh.table.load(stream_of, content)
            else:
                raise ValueError("a piece that has no place here")
        except (ValueError, KeyError):
            raise reading.refused(f"damaged before byte {reading.offset}") from None
        time.sleep(0)  # lets go of the interpreter
    if objects != reading.objects or objects != len(fresh.table):
        raise reading.refused("damaged: records are missing")
    for _ in fresh.reindex():  # no values are in the file: the indexes may be others this time
        time.sleep(0)
    versions = {namespace: version for namespace, (_, version) in header.streams.items()}
    return Loaded(fresh, numbers, versions)


class _Reading:
    """A file as far as it is read."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._digest = hashlib.blake2b(digest_size=32)
        self._pieces = 0
        self.offset = 0
        self.objects = 0
        self._size = os.fstat(file.fileno()).st_size

    def refused(self, why: str) -> SnapshotError:
        return SnapshotError(self._path, why)

    def header(self) -> Header:
        """The first piece."""
        if self._size < _PREFACE.size:
            raise self.refused("no snapshot, or cut short")
        magic, format = _PREFACE.unpack(self._read(_PREFACE.size))
        if magic != MAGIC:
            raise self.refused("no snapshot")
        if format != FORMAT:
            raise self.refused(f"of format {format}, where this version reads {FORMAT}")
        kind, content, _ = self._piece()
        try:
            if kind != b"H":
                raise ValueError
            return msgspec.json.decode(content, type=Header)
        except ValueError:
            raise self.refused("without a header") from None

    def pieces(self) -> Iterable[tuple[bytes, bytes]]:
        """All other pieces but the end, which is checked: only an exhausted iteration says that all was right."""
        while True:
            kind, content, digest = self._piece()
            if kind != b"E":
                yield kind, content
                continue
            if len(content) != _END.size or self.offset != self._size or self._file.read(1):
                raise self.refused("followed by something")
            pieces, self.objects, expected = _END.unpack(content)
            if pieces != self._pieces - 1 or expected != digest:
                raise self.refused("damaged")
            return

    def _piece(self) -> tuple[bytes, bytes, bytes]:
        """A piece's kind and content, and the digest of all before it."""
        start, digest = self.offset, self._digest.copy()
        kind, length, check = _PIECE.unpack(self._read(_PIECE.size))
        if length > self._size - self.offset:
            raise self.refused(f"cut short or damaged at byte {start}")
        content = self._read(length)
        if zlib.crc32(content, zlib.crc32(_HEAD.pack(kind, length))) != check:
            raise self.refused(f"damaged at byte {start}")
        self._pieces += 1
        return kind, content, digest.digest() if kind == b"E" else b""

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        while len(data) < size:  # a signal, or what one read gives at most
            more = self._file.read(size - len(data))
            if not more:
                raise self.refused(f"cut short at byte {self.offset + len(data)}")
            data += more
        self.offset += size
        self._digest.update(data)
        return data


def origin_prune(
    drop: Iterable[str], keep: Iterable[str], keep_last: Mapping[str, int]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, int], ...]]:
    """What of each object is kept, in whatever order it was told."""
    return tuple(sorted(set(drop))), tuple(sorted(set(keep))), tuple(sorted(keep_last.items()))
