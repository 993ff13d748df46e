"""Threads that read a table while one writes see complete states."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kinform_ext._table import Dump, Table, Version
from tests.core.wire import batch
from tests.ext.resembling import Resembling
from tests.ext.tables import indexed, load
from tests.support.switching import switching_after

SEED = int(os.environ.get("KINFORM_SEED", "23"))
SECONDS = 8.0
NAMES = [f"web-{number}" for number in range(60)]


class Shared:
    """A table that one thread writes, and what the others have found wrong.

    A resourceVersion is used once, so a reader can look up the bytes that were written with it.
    """

    def __init__(self) -> None:
        self.table: Table = indexed()
        self.ends = time.monotonic() + SECONDS
        self.wrong: list[str] = []
        self.reads = 0
        self.written: dict[str, bytes] = {}  # by resourceVersion; added before the write
        self.versions: list[Version] = []  # of the writer's changes

    @property
    def runs(self) -> bool:
        return time.monotonic() < self.ends and not self.wrong

    def check(self, raw: bytes, what: str, meta: tuple[str, str, str, str] | None = None) -> None:
        self.reads += 1
        metadata = json.loads(raw)["metadata"]
        if raw != self.written[metadata["resourceVersion"]]:
            self.wrong.append(f"{what}: not what was written")
        found = metadata["namespace"], metadata["name"], metadata["uid"], metadata["resourceVersion"]
        if meta is not None and meta != found:
            self.wrong.append(f"{what}: metadata of another version")


def read_keys(shared: Shared, rng: random.Random) -> None:
    key = f"shop/{rng.choice(NAMES)}"
    raw = shared.table.raw(key)
    if raw is not None:
        shared.check(raw, "raw")
        assert json.loads(raw)["metadata"]["name"] == key.removeprefix("shop/")
    meta = shared.table.meta(key)
    assert meta is None or f"{meta[0]}/{meta[1]}" == key


def read_ids(shared: Shared, rng: random.Random) -> None:
    table = shared.table
    ids = table.ids(rng.choice([None, "shop"])) if rng.random() < 0.7 else table.index_ids(0, f"n{rng.randrange(4)}")
    left = len(ids)
    for id in ids:
        meta = table.meta_of(id)
        shared.check(table.raw_of(id), "raw_of", meta)
        assert table.key_of(id) == f"{meta[0]}/{meta[1]}"
        left -= 1
        if rng.random() < 0.02:
            return
    assert left == 0


def read_versions(shared: Shared, rng: random.Random) -> None:
    versions = [shared.table.version_of(id) for id in shared.table.ids()]
    versions += shared.versions[-50:]
    for version in rng.sample(versions, len(versions)):
        meta = version.namespace, version.name, version.uid, version.resource_version
        shared.check(version.raw(), "version", meta)
        assert version.key == f"{meta[0]}/{meta[1]}"


def read_stats(shared: Shared, rng: random.Random) -> None:
    stats = shared.table.stats()
    assert stats["objects"] <= len(NAMES)
    assert stats["hidden_records"] <= stats["limbo_records"]
    assert stats["hidden_bytes"] <= stats["limbo_bytes"] <= stats["record_bytes"]
    assert stats["blob_bytes"] + stats["limbo_bytes"] <= stats["record_bytes"] <= stats["mapped_bytes"]
    assert stats["cached_bytes"] <= 2 << 20
    shared.reads += 1
    values = shared.table.index_values(0)
    assert len(values) == len(set(values)) <= 4


def read_dump(shared: Shared, rng: random.Random) -> None:
    dump = Dump(shared.table)
    count = len(dump)
    loaded = load(dump, Table(), piece=rng.choice([1, 3000, 1 << 20]))
    assert len(loaded) == count
    for id in loaded.ids():
        shared.check(loaded.raw_of(id), "dump", loaded.meta_of(id))


def write(shared: Shared, rng: random.Random) -> None:
    """Writes live events, relists, aborts and drops, until the time is over."""
    table, objects, rv = shared.table, Resembling(SEED, rng), 0

    def drawn(count: int) -> list[dict[str, Any]]:
        nonlocal rv
        found = []
        for name in rng.sample(NAMES, count):
            rv += 1
            found.append(objects.draw(name, namespace="shop", uid=f"uid-{rng.randrange(2)}", rv=rv))
            shared.written[str(rv)] = batch(found[-1]).raw(0)
        return found

    while shared.runs:
        dice = rng.random()
        if dice < 0.8:
            given = batch(*drawn(rng.choice([1, 5])), verb=rng.choice(["ADDED", "MODIFIED", "MODIFIED", "DELETED"]))
            changes = table.apply(0, given, False, True) or []
            shared.versions = [each for change in changes for each in (change.new, change.old) if each is not None]
        elif dice < 0.85:
            table.delete(0, f"shop/{rng.choice(NAMES)}", True)
        elif dice < 0.9:
            objects.rollout()
            table.compact(1 << 16)
        elif dice < 0.99:
            table.begin(0)
            for _ in range(3):
                table.apply(0, batch(*drawn(10)), True, False)
            if rng.random() < 0.3:
                table.abort(0)
                continue
            table.commit(0)
            while table.sweep(0, 5, False)[1]:
                pass
        else:
            while table.drop(0, 10, True)[1]:
                pass


@contextmanager
def untraced() -> Iterator[None]:
    """Turns tracing off.

    In a traced build, other threads run between two lines of a call.
    """
    trace, thread_trace = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(thread_trace)
        sys.settrace(trace)


def run(shared: Shared, read: Callable[[Shared, random.Random], None], seed: int) -> None:
    rng = random.Random(seed)
    try:
        while shared.runs:
            read(shared, rng)
    except BaseException as error:
        shared.wrong.append(f"{read.__name__}: {error!r}")


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_threads_see_only_what_was_written():
    shared = Shared()
    readers = (read_keys, read_ids, read_versions, read_stats, read_dump)
    threads = [threading.Thread(target=run, args=(shared, read, place)) for place, read in enumerate(readers)]
    with untraced(), switching_after(1e-6):
        for thread in threads:
            thread.start()
        try:
            write(shared, random.Random(SEED))
        finally:
            shared.ends = 0
            for thread in threads:
                thread.join()
    assert shared.wrong == [], f"KINFORM_SEED={SEED}"
    assert shared.reads > 1000
    assert len(shared.written) > 300
    shared.versions.clear()
    shared.table.drop(0, 1000, False)
    stats = shared.table.stats()
    assert (stats["records"], stats["record_bytes"], stats["limbo_records"], stats["templates"]) == (0, 0, 0, 0)
