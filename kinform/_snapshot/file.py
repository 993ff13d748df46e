"""The snapshot file: its format, and how it is written, verified and loaded.

It holds the objects of a collection as the table dumps them, encoded, and the resourceVersions to continue from. Runs
in a thread. The file is never mapped: a file that is truncated while it is read is refused, and cannot crash the
process. The bytes of a file are not trusted.

    preface   8 bytes of magic, format as u16
    pieces    kind (1 byte), length (u32), CRC-32 of kind, length and content (u32), content
                H  header: what the file is a snapshot of, and when it was taken
                D  items of a dump, as `Dump.read` returns them and `Loader.load` takes them
                E  end: number of pieces and of objects, and the BLAKE2b of all bytes before this piece

All integers are little-endian. The contents are used only after the end piece is verified. No data follows it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import BinaryIO

import msgspec

from kinform._snapshot.location import SNAPSHOT_MAGIC, Location
from kinform._stats import UNKNOWN_KEYS
from kinform._store.contents import StoreContents
from kinform_ext._table import Loader

# Incremented with every change of the layout of this file, of a dump, of the records of the table, or of the header.
SNAPSHOT_FORMAT = 4
PIECE_BYTES = 64 << 10  # of a dump in one piece; its last item may exceed this
SLICE_BYTES = 1 << 20  # of objects that are loaded without releasing the GIL: up to about a millisecond
MIN_RECORD_BYTES = 14  # of an object in a dump, whose name and JSON are as short as possible
MAX_HEADER_BYTES = 16 << 20  # 65,536 namespaces with long names
MAX_OBJECT_BYTES = 64 << 20  # of an object in a file, unless the reader states another bound

# `namespace/name`, or `name` of a cluster-scoped object.
_KEY = re.compile(r"(?:[a-z0-9][-a-z0-9]{0,62}/)?[^/%\x00-\x1f]{1,253}")
_PREFACE = struct.Struct("<8sH")
_PIECE = struct.Struct("<cII")
_PIECE_START = struct.Struct("<cI")
_END = struct.Struct("<QQ32s")


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Describes what a snapshot was taken of. It is loaded only for the same origin.

    Attributes:
        cluster: The uid of the cluster; `""` if it cannot be read.
        place: Digest of the URL and the CA of the server. It is compared if one of the uids is unknown.
        resource: The resource.
        scope: Label selector, field selector, and whether only metadata is requested.
        shards: The number of shards, and those of the collection; None: all objects.
        names: The names of the objects, sorted; None: all.
        namespaces: The namespaces; None: all.
        prune: The fields `drop`, `keep` and `keep_last` of the Prune, sorted.
        transform: Name of the function that replaces objects; `""` without a transform.
    """

    cluster: str
    place: str
    resource: str
    scope: tuple[str, str, bool]
    shards: tuple[int, tuple[int, ...]] | None = None
    names: tuple[str, ...] | None = None
    namespaces: tuple[str, ...] | None
    prune: tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, int], ...]]
    transform: str

    def difference(self, other: Origin) -> str:
        """Returns the first difference, such as `"another cluster"`, or `""`."""
        by_uid = bool(self.cluster and other.cluster)
        if self.cluster != other.cluster if by_uid else self.place != other.place:
            return "another cluster"
        for field, difference in (
            ("resource", "another resource"),
            ("scope", "another scope"),
            ("shards", "other shards"),
            ("names", "other names"),
            ("namespaces", "other namespaces"),
            ("prune", "other pruning"),
            ("transform", "another transform"),
        ):
            if getattr(self, field) != getattr(other, field):
                return difference
        return ""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first piece of a snapshot file.

    Attributes:
        origin: The collection that the snapshot was taken of.
        byteorder: Byte order of the machine. Numbers in records have it.
        taken: Time of the snapshot, in seconds since 1970.
        streams: By namespace: the number of the stream in its records, and its resourceVersion.
        degraded: By namespace: the keys of the objects that the stream skipped and has not received since. The last
            one is `UNKNOWN_KEYS` if there are others.
    """

    origin: Origin
    byteorder: str
    taken: float
    streams: dict[str, tuple[int, str]]
    degraded: dict[str, tuple[str, ...]] = {}


class Loaded(msgspec.Struct, frozen=True):
    """A snapshot that passed all checks.

    Attributes:
        contents: Contents filled from the file.
        numbers: By namespace, the number of the stream in `contents`.
        resource_versions: By namespace, the resourceVersion to continue from.
        degraded: By namespace, the keys of skipped objects: see `Header`.
    """

    contents: StoreContents
    numbers: dict[str, int]
    resource_versions: dict[str, str]
    degraded: dict[str, tuple[str, ...]]


# Writing


def write_snapshot(
    location: Location, header: Header, dump: Iterator[bytes], objects: int, cancelled: threading.Event
) -> int:
    """Writes a snapshot, and replaces the old file once all bytes are on the disk.

    Args:
        location: The path of the file.
        header: The header.
        dump: The dump in pieces. Each is written before the next is requested.
        objects: Number of objects in all pieces.
        cancelled: Another thread sets it to stop the write.

    Returns:
        Size of the file in bytes.

    Raises:
        SnapshotError: The file or its folder is not one that kinform may write to. It is unchanged.
        OSError: The write failed or was cancelled. The temporary file is removed, and the old file is unchanged.
    """
    with location.folder() as folder:
        file, temporary = location.create_temporary(folder)
        try:
            with file:
                writer = _FileWriter(file)
                writer.piece(b"H", msgspec.json.encode(header))
                for piece in dump:
                    if cancelled.is_set():
                        raise InterruptedError(errno.EINTR, "cancelled")
                    writer.piece(b"D", piece)
                writer.end(objects)
                os.fsync(file.fileno())
                location.replace(folder, temporary)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        _sync_folder(folder)
    return writer.size


class _FileWriter:
    """Writes preface, pieces and end to an open file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.blake2b(digest_size=32)
        self._pieces = 0
        self.size = 0
        self._write(_PREFACE.pack(SNAPSHOT_MAGIC, SNAPSHOT_FORMAT))

    def piece(self, kind: bytes, content: bytes) -> None:
        start = _PIECE_START.pack(kind, len(content))
        self._write(_PIECE.pack(kind, len(content), zlib.crc32(content, zlib.crc32(start))))
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


def _sync_folder(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not supported by this file system
            raise


# Reading


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a snapshot that is loaded.

    Attributes:
        max_age: Age in seconds; None: no limit.
        object_bytes: Bytes of the JSON of one object.
        held_bytes: Largest `held_bytes` of the contents; None: no limit.
    """

    max_age: float | None = None
    object_bytes: int = MAX_OBJECT_BYTES
    held_bytes: int | None = None


def read_snapshot(
    location: Location, origin: Origin, contents: StoreContents, bounds: Bounds, cancelled: threading.Event
) -> Loaded | None:
    """Loads a snapshot into empty contents.

    In addition to the contents, it allocates less than three times `bounds.object_bytes`, and less than twice the size
    of the file.

    Args:
        location: The path of the file.
        origin: The origin that the snapshot must have.
        contents: The contents to fill. Discard them if this raises.
        bounds: The bounds. The memory of the contents is checked after each slice.
        cancelled: Another thread sets it to stop the load.

    Returns:
        The snapshot; None if there is no file.

    Raises:
        SnapshotError: The file cannot be read, is damaged, is out of bounds, or has another origin; kinform did not
            write it; or the load was cancelled.
    """
    try:
        with location.folder() as folder, location.open(folder) as file:
            return _load(_FileReader(location, file, bounds), origin, contents, bounds, cancelled)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise location.error(f"cannot be read: {error.strerror}") from error


def _load(
    reader: _FileReader, origin: Origin, contents: StoreContents, bounds: Bounds, cancelled: threading.Event
) -> Loaded:
    header = reader.header()
    _check_header(reader, header, origin, bounds)
    numbers = {namespace: number for number, namespace in enumerate(header.streams)}
    try:
        loader = Loader(
            contents.table,
            {number: numbers[namespace] for namespace, (number, _) in header.streams.items()},
            bounds.object_bytes,
            reader.expected(),
        )
        for piece in reader.pieces():
            done = 0
            while done < len(piece):
                if cancelled.is_set():
                    raise reader.error("cancelled")
                done = loader.load(piece, done, SLICE_BYTES)
                _check_memory(reader, contents, bounds)
                time.sleep(0)  # releases the GIL
        loader.finish()
    except ValueError:
        raise reader.error(f"damaged before byte {reader.offset}") from None
    if reader.objects != len(contents.table):
        raise reader.error("damaged: the number of objects is wrong")
    versions = {namespace: version for namespace, (_, version) in header.streams.items()}
    return Loaded(contents, numbers, versions, header.degraded)


def _check_header(reader: _FileReader, header: Header, origin: Origin, bounds: Bounds) -> None:
    if header.byteorder != sys.byteorder:
        raise reader.error("written on a machine with another byte order")
    if difference := header.origin.difference(origin):
        raise reader.error(f"written for {difference}")
    if not header.streams.keys() <= set(("",) if origin.namespaces is None else origin.namespaces):
        raise reader.error("damaged: it has a stream of another namespace")
    if len({number for number, _ in header.streams.values()}) < len(header.streams):
        raise reader.error("damaged: two streams have the same number")
    for namespace, keys in header.degraded.items():
        # A namespace becomes a part of the path of a request.
        if namespace not in header.streams or not all(_may_have(namespace, key) for key in keys):
            raise reader.error("damaged: it has a skipped key that its stream cannot have")
    age = time.time() - header.taken
    if bounds.max_age is not None and abs(age) > bounds.max_age:  # negative if the clock was changed
        raise reader.error(f"{age:.0f} s old; max_age is {bounds.max_age:g} s")


def _may_have(namespace: str, key: str) -> bool:
    """Returns whether the stream of a namespace may skip an object of this key."""
    return key == UNKNOWN_KEYS or (_KEY.fullmatch(key) is not None and key.startswith(namespace and f"{namespace}/"))


def _check_memory(reader: _FileReader, contents: StoreContents, bounds: Bounds) -> None:
    if bounds.held_bytes is not None and contents.memory_usage().held_bytes > bounds.held_bytes:
        raise reader.error(f"its objects take more than memory_limit, {bounds.held_bytes} bytes")


class _FileReader:
    """Reads and verifies the pieces of an open file.

    Attributes:
        offset: Number of bytes read so far.
        objects: Number of objects according to the end piece.
    """

    def __init__(self, location: Location, file: BinaryIO, bounds: Bounds) -> None:
        self.error = location.error
        self._file = file
        self._max_piece = PIECE_BYTES + 2 * bounds.object_bytes  # the last item of a piece: a name and an object
        self._digest = hashlib.blake2b(digest_size=32)
        self._pieces = 0
        self.offset = 0
        self.objects = 0
        self._size = os.fstat(file.fileno()).st_size

    def header(self) -> Header:
        """Reads the preface and the first piece."""
        if self._size < _PREFACE.size:
            raise self.error("not a snapshot, or truncated")
        _, format = _PREFACE.unpack(self._read(_PREFACE.size))
        if format != SNAPSHOT_FORMAT:
            raise self.error(f"has format {format}; this version of kinform reads format {SNAPSHOT_FORMAT}")
        kind, content, _ = self._piece(MAX_HEADER_BYTES)
        try:
            if kind != b"H":
                raise ValueError
            return msgspec.json.decode(content, type=Header)
        except ValueError:
            raise self.error("the header is missing or not valid") from None

    def expected(self) -> int:
        """Returns how many objects the end piece states, which is not verified yet.

        No more than fit in the file.
        """
        end = os.pread(self._file.fileno(), _END.size, max(0, self._size - _END.size))
        return min(_END.unpack(end)[1], self._size // MIN_RECORD_BYTES) if len(end) == _END.size else 0

    def pieces(self) -> Iterable[bytes]:
        """Yields the pieces of the dump and verifies the end piece.

        The file as a whole is not verified before the iteration has ended.
        """
        while True:
            kind, content, digest = self._piece(self._max_piece)
            if kind == b"D":
                yield content
                continue
            if kind != b"E":
                raise self.error("damaged: it has an unknown piece")
            if len(content) != _END.size or self.offset != self._size or self._file.read(1):
                raise self.error("data after the end")
            pieces, self.objects, expected = _END.unpack(content)
            if pieces != self._pieces - 1 or expected != digest:
                raise self.error("damaged")
            return

    def _piece(self, most: int) -> tuple[bytes, bytes, bytes]:
        """Reads kind and content of a piece, and for an end piece the digest before it.

        A piece of more than `most` bytes is refused before memory is allocated for it.
        """
        start, digest = self.offset, self._digest.copy()
        kind, length, check = _PIECE.unpack(self._read(_PIECE.size))
        if length > min(most, self._size - self.offset):
            raise self.error(f"truncated or damaged at byte {start}")
        content = self._read(length)
        if zlib.crc32(content, zlib.crc32(_PIECE_START.pack(kind, length))) != check:
            raise self.error(f"damaged at byte {start}")
        self._pieces += 1
        return kind, content, digest.digest() if kind == b"E" else b""

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        while len(data) < size:  # a read may return fewer bytes, as after a signal
            more = self._file.read(size - len(data))
            if not more:
                raise self.error(f"truncated at byte {self.offset + len(data)}")
            data += more
        self.offset += size
        self._digest.update(data)
        return data
