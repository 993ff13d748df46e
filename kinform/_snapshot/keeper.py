"""When a collection is written to disk, and what becomes of the file at the next start.

Decides and counts; how a file is made up is `_snapshot`'s. Whatever the disk does, it is logged and counted, and the
informer goes on as it would without.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

import msgspec

from kinform._errors import SnapshotError
from kinform._listwatch.stream import Stream
from kinform._options import Prune, Resource, Scope, Snapshot, Transform
from kinform._snapshot.file import PIECE_BYTES, Header, Loaded, Origin, origin_prune, read, write
from kinform._stats import SnapshotStats
from kinform._store.writer import Writer
from kinform._transport.base import Transport
from kinform._transport.cluster_identity import cluster_uid, server_digest
from kinform_ext._table import Ids

log = logging.getLogger("kinform.snapshot")

T = TypeVar("T")

JITTER = 0.25  # of the interval, more or less
CALM_SECONDS = 0.05  # between two looks whether a new state is still coming in


class SnapshotKeeper:
    """One informer's snapshot.

    Args:
        snapshot: Where, and how often.
        transport: Leads to the cluster that it has to be of.
        resource, scope, prune, transform: What else it has to be of.
        writer: Fills the store that is kept.
        streams: The informer's, by namespace, as they come and go.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        transport: Transport,
        resource: Resource,
        scope: Scope,
        prune: Prune,
        transform: Transform | None,
        writer: Writer,
        streams: Mapping[str, Stream],
    ) -> None:
        self._snapshot = snapshot
        self._path = os.fspath(snapshot.path)
        self._transport = transport
        self._writer = writer
        self._streams = streams
        self._written: dict[str, str] = {}  # resourceVersions that are in the file
        self._loaded = False
        self._refused: SnapshotError | None = None
        self._error: SnapshotError | None = None
        self._writes = 0
        self._failures = 0
        self._file_bytes = 0
        self._last_write: float | None = None
        self._origin = Origin(
            cluster="",
            place="",
            resource=str(resource),
            scope=(scope.label_selector, scope.field_selector, scope.metadata_only),
            namespaces=None if scope.namespaces is None else tuple(sorted(scope.namespaces)),
            prune=origin_prune(prune.drop, prune.keep, prune.keep_last),
            transform=_qualified(transform),
        )

    def stats(self) -> SnapshotStats:
        """How it is now."""
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
        """What the file holds, if it is right; else None, and a warning where there was a file."""
        self._origin = msgspec.structs.replace(
            self._origin, cluster=await cluster_uid(self._transport), place=server_digest(self._transport)
        )
        fresh = self._writer.contents.fresh()
        try:
            loaded = await _threaded(lambda _: read(self._path, self._origin, fresh, self._snapshot.max_age))
            limit = self._writer.memory_limit
            if limit is not None and fresh.held().held_bytes > limit:
                raise SnapshotError(self._path, "takes more than memory_limit")
        except SnapshotError as error:
            self._refuse(error)
            return None
        except Exception as error:
            self._refuse(SnapshotError(self._path, f"cannot be taken up: {type(error).__name__}"))
            return None
        if loaded is not None:
            self._loaded = True
            self._written = dict(loaded.resource_versions)
        return loaded

    async def run(self) -> None:
        """Writes it from time to time, until cancelled."""
        while True:
            await asyncio.sleep(self._snapshot.interval * random.uniform(1 - JITTER, 1 + JITTER))
            if not self._origin.cluster:
                self._origin = msgspec.structs.replace(self._origin, cluster=await cluster_uid(self._transport))
            while not self._writer.idle:
                await asyncio.sleep(CALM_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Writes it, if it would be another than the one that is there. Not while a new state is coming in."""
        versions = {name: stream.resource_version for name, stream in self._streams.items() if stream.resource_version}
        # A stream that is complete and has no resourceVersion cannot be carried on.
        whole = all(name in versions or stream.last_sync is None for name, stream in self._streams.items())
        if not versions or not whole or versions == self._written or not self._writer.idle:
            return
        namespaces = None if self._origin.namespaces is None else tuple(sorted(self._streams))
        numbers = self._writer.numbers(versions)
        header = Header(
            origin=msgspec.structs.replace(self._origin, namespaces=namespaces),
            byteorder=sys.byteorder,
            taken=time.time(),
            streams={name: (numbers[name], version) for name, version in versions.items()},
        )
        try:
            with self._writer.recoding_paused() as contents:
                # From here to the first await is one moment: records, codecs and resourceVersions belong together.
                state, ids = contents.codec.state(), contents.table.ids()
                try:
                    self._file_bytes = await self._write(header, state, ids)
                finally:
                    ids.close()
        except OSError as error:
            self._fail(SnapshotError(self._path, f"cannot be written: {error.strerror or type(error).__name__}"))
        except Exception as error:
            self._fail(SnapshotError(self._path, f"cannot be written: {type(error).__name__}"))
        else:
            self._written, self._error = versions, None
            self._writes += 1
            self._last_write = time.monotonic()

    async def _write(self, header: Header, state: bytes, ids: Ids) -> int:
        work = partial(write, self._path, header, state, _pieces(ids), len(ids))
        return await _threaded(work)

    def _refuse(self, error: SnapshotError) -> None:
        self._refused = error
        log.warning("%s: refused, and listed afresh: %s", self._origin.resource, error)

    def _fail(self, error: SnapshotError) -> None:
        self._error = error
        self._failures += 1
        log.warning("%s: %s", self._origin.resource, error)


def _pieces(ids: Ids) -> Iterator[bytes]:
    while piece := ids.dump(PIECE_BYTES):
        yield piece


async def _threaded(work: Callable[[threading.Event], T]) -> T:
    """Does it in a thread; where this is cancelled, tells the thread so and waits until it has given up."""
    abandon = threading.Event()
    future = asyncio.get_running_loop().run_in_executor(None, work, abandon)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        abandon.set()
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # is nobody's any more
        raise


def _qualified(transform: Transform | None) -> str:
    if transform is None:
        return ""
    owner = transform if hasattr(transform, "__qualname__") else type(transform)
    return f"{owner.__module__}.{owner.__qualname__}"
