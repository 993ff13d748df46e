"""Schedules snapshot writes, and loads the snapshot at start.

Decides and counts; `file` knows the format, and `location` the files that kinform may replace. A fault of the disk is
logged and counted, and the informer continues without a snapshot.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec

from kinform._errors import SnapshotError
from kinform._jitter import varied
from kinform._listwatch.stream import Stream
from kinform._options import Snapshot, Transform
from kinform._sharding import ShardSet
from kinform._snapshot.file import (
    MAX_OBJECT_BYTES,
    PIECE_BYTES,
    Bounds,
    Header,
    Loaded,
    Origin,
    read_snapshot,
    write_snapshot,
)
from kinform._snapshot.location import Location
from kinform._spec import CollectionSpec
from kinform._stats import SnapshotStats
from kinform._store.writer import Writer
from kinform._transport.base import Transport
from kinform._transport.cluster_identity import cluster_uid, server_digest
from kinform_ext._table import Dump

log = logging.getLogger("kinform.snapshot")

Result = TypeVar("Result")

JITTER = 0.25  # largest random part of the interval that is added or subtracted
POLL_SECONDS = 0.05  # between two checks whether a new state is still coming in


class SnapshotKeeper:
    """The snapshot of one collection.

    Args:
        snapshot: The path, and the interval of writes.
        transport: The transport to the cluster. A snapshot of another cluster is refused.
        spec: The collection. A snapshot of another collection is refused.
        writer: Fills the store that the snapshot is taken of.
        streams: The running streams by namespace.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        transport: Transport,
        spec: CollectionSpec,
        writer: Writer,
        streams: Mapping[str, Stream],
    ) -> None:
        self._snapshot = snapshot
        self._location = Location(
            os.fspath(snapshot.path), allow_insecure_permissions=snapshot.allow_insecure_permissions
        )
        self._transport = transport
        self._writer = writer
        self._streams = streams
        # Resource versions and skipped keys in the file, by namespace.
        self._written: tuple[dict[str, str], dict[str, tuple[str, ...]]] = ({}, {})
        self._loaded = False
        self._refused: SnapshotError | None = None
        self._error: SnapshotError | None = None
        self._writes = 0
        self._failures = 0
        self._file_bytes = 0
        self._last_write: float | None = None
        self._spec = spec
        self._name = spec.name()
        self._origin = _origin(spec)
        # A transform may make objects larger than they were on the wire.
        self._object_bytes = spec.options.max_object_bytes if spec.transform is None else MAX_OBJECT_BYTES

    def stats(self) -> SnapshotStats:
        """Returns the current counts and times."""
        return SnapshotStats(
            loaded=self._loaded,
            refused=None if self._refused is None else str(self._refused),
            writes=self._writes,
            failures=self._failures,
            error=None if self._error is None else str(self._error),
            file_bytes=self._file_bytes,
            seconds_since_write=None if self._last_write is None else time.monotonic() - self._last_write,
        )

    async def load(self) -> Loaded | None:
        """Claims the path and loads the file; returns None if the file does not exist.

        A snapshot that is refused is logged with the reason, and gives None as well.

        Raises:
            SnapshotError: The folder does not exist, the path has a file that kinform must not replace, or another
                informer uses it.
        """
        try:
            with suppress(OSError):  # a failing disk stops no informer; reading or writing reports it
                await _threaded(lambda _: self._location.claim())
            return await self._load()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Releases the path for other informers."""
        self._location.release()

    async def _load(self) -> Loaded | None:
        self._origin = msgspec.structs.replace(
            self._origin,
            cluster=await cluster_uid(self._transport),
            place=server_digest(self._transport),
            shards=_shards(self._spec.shards),
        )
        fresh = self._writer.contents.empty_copy()
        bounds = Bounds(
            max_age=self._snapshot.max_age, object_bytes=self._object_bytes, held_bytes=self._writer.memory_limit
        )
        try:
            loaded = await _threaded(partial(read_snapshot, self._location, self._origin, fresh, bounds))
        except SnapshotError as error:
            self._refuse(error)
            return None
        except Exception as error:
            self._refuse(self._location.error(f"cannot be loaded: {type(error).__name__}"))
            return None
        if loaded is not None:
            self._loaded = True
            self._written = dict(loaded.resource_versions), dict(loaded.degraded)
        return loaded

    async def run(self) -> None:
        """Writes the snapshot at each interval, until cancelled."""
        while True:
            await asyncio.sleep(varied(self._snapshot.interval, JITTER))
            if not self._origin.cluster:
                self._origin = msgspec.structs.replace(self._origin, cluster=await cluster_uid(self._transport))
            while not self._writer.idle:
                await asyncio.sleep(POLL_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Writes the snapshot if the collection has changed and no list is running."""
        versions = {name: stream.resource_version for name, stream in self._streams.items() if stream.resource_version}
        # A complete state without a resourceVersion cannot be continued after a restart.
        resumable = all(name in versions or stream.last_sync is None for name, stream in self._streams.items())
        # A start from the file continues after the skipped events, and has to know of them.
        degraded = {name: keys for name in versions if (keys := self._streams[name].healing.degraded)}
        if not versions or not resumable or (versions, degraded) == self._written or not self._writer.idle:
            return
        namespaces = None if self._origin.namespaces is None else tuple(sorted(self._streams))
        shards = next((_shards(stream.shards) for stream in self._streams.values()), None)
        numbers = self._writer.numbers(versions)
        header = Header(
            origin=msgspec.structs.replace(self._origin, namespaces=namespaces, shards=shards),
            byteorder=sys.byteorder,
            taken=time.time(),
            streams={name: (numbers[name], version) for name, version in versions.items()},
            degraded=degraded,
        )
        try:
            # No await before this: records and resourceVersions must be of one moment.
            dump = Dump(self._writer.contents.table)
            try:
                self._file_bytes = await self._write(header, dump)
            finally:
                dump.close()
        except SnapshotError as error:
            self._fail(error)
        except OSError as error:
            self._fail(self._location.error(f"cannot be written: {error.strerror or type(error).__name__}"))
        except Exception as error:
            self._fail(self._location.error(f"cannot be written: {type(error).__name__}"))
        else:
            self._written, self._error = (versions, degraded), None
            self._writes += 1
            self._last_write = time.monotonic()

    async def _write(self, header: Header, dump: Dump) -> int:
        def work(cancelled: threading.Event) -> int:
            self._location.claim()  # if that failed at start
            return write_snapshot(self._location, header, _pieces(dump), len(dump), cancelled)

        return await _threaded(work)

    def _refuse(self, error: SnapshotError) -> None:
        self._refused = error
        log.warning("%s: snapshot refused, starting with a new list: %s", self._name, error)

    def _fail(self, error: SnapshotError) -> None:
        self._error = error
        self._failures += 1
        log.warning("%s: %s", self._name, error)


def _pieces(dump: Dump) -> Iterator[bytes]:
    while piece := dump.read(PIECE_BYTES):
        yield piece


async def _threaded(work: Callable[[threading.Event], Result]) -> Result:
    """Runs work in a thread; a cancellation stops the work and waits for its end."""
    cancelled = threading.Event()
    try:
        future = asyncio.get_running_loop().run_in_executor(None, work, cancelled)
    except RuntimeError:  # at the end of a program, when no thread can start
        return work(cancelled)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        cancelled.set()
        while not future.done():  # however often it is cancelled: the thread uses the path
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # or asyncio logs that it was never retrieved
        raise


def _origin(spec: CollectionSpec) -> Origin:
    """Returns the identity of the collection, without that of its cluster."""
    scope, prune = spec.scope, spec.prune
    return Origin(
        cluster="",
        place="",
        resource=str(spec.resource),
        scope=(scope.label_selector, scope.field_selector, scope.metadata_only),
        shards=_shards(spec.shards),
        names=None if scope.names is None else tuple(scope.names),
        namespaces=None if scope.fixed_namespaces is None else tuple(sorted(scope.fixed_namespaces)),
        prune=(tuple(prune.drop), tuple(prune.keep), tuple(sorted(prune.keep_last.items()))),
        transform=_qualified(spec.transform),
    )


def _shards(shards: ShardSet | None) -> tuple[int, tuple[int, ...]] | None:
    return None if shards is None else (shards.count, tuple(sorted(shards.indices)))


def _qualified(transform: Transform | None) -> str:
    if transform is None:
        return ""
    owner = transform if hasattr(transform, "__qualname__") else type(transform)
    return f"{owner.__module__}.{owner.__qualname__}"
