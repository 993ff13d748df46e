"""A table agrees with a model of plain dicts over many random operations.

By default two walks of 20,000 operations; KINFORM_OPERATIONS=100000 for longer ones, KINFORM_SEED for another walk.
"""

from __future__ import annotations

import json
import os
import random
import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from kinform_ext._table import CHANGES, KEYS, Dump, Ids, Table, Version
from tests.ext.resembling import Resembling
from tests.ext.tables import Record, Stream, indexed, load, meta, record_of, reload, scanned

SEED = int(os.environ.get("KINFORM_SEED", "20261122"))
OPERATIONS = int(os.environ.get("KINFORM_OPERATIONS", "20000"))
STREAMS = 3
VERSION_BYTES = 64  # of `nbytes`: what is not the record
NAMES = [
    *(f"web-7d9f-{i}" for i in range(30)),
    *(f"job-{i}.17a8c" for i in range(20)),
    "p",
    "na\u00efve",
    'with"quote',
    "x" * 200,
    "slash/ed",
    "system:node",
]


class Trial:
    """A table, its model, and iterators, versions and dumps of earlier states."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.objects = Resembling(seed, self.rng)
        self.table: Table = indexed()
        self.streams = [Stream() for _ in range(STREAMS)]
        self.sweeping = [False] * STREAMS
        self.iterators: list[tuple[Table, Ids, Counter[tuple[str, bytes]]]] = []
        self.versions: list[tuple[Version, Record]] = []
        self.dumps: list[tuple[Dump, Counter[tuple[str, bytes]]]] = []
        self.version = 0
        self.operations = 0
        self.forms: Counter[str] = Counter()

    # ---- events ----

    def draw(self, stream: int) -> dict[str, Any]:
        rng = self.rng
        self.version += 1
        name = rng.choice(NAMES)
        namespace = rng.choice([f"shop-{stream}", f"shop-{stream}", "both", ""])
        uid = rng.choice([str(uuid.UUID(int=rng.randrange(3) << 64 | len(name))), f"uid-{rng.randrange(2)}", ""])
        rv = rng.choice([self.version, self.version, self.version, 1 << 70, "new", "", "007"])
        return self.objects.draw(name, namespace=namespace, uid=uid, rv=rv)

    def again(self, stream: int) -> dict[str, Any]:
        """Returns an object that readers see, byte for byte after scanning."""
        seen = list(self.streams[stream].seen.values())
        return dict(json.loads(self.rng.choice(seen).raw)) if seen else self.draw(stream)

    def pairs(self, stream: int, count: int) -> list[tuple[str, dict[str, Any]]]:
        rng = self.rng
        return [
            (
                rng.choice(["ADDED", "MODIFIED", "MODIFIED", "DELETED"]),
                self.again(stream) if rng.random() < 0.3 else self.draw(stream),
            )
            for _ in range(count)
        ]

    def apply(self, number: int, count: int) -> None:
        self.operations += count
        stream = self.streams[number]
        initial = stream.staged is not None
        batch, expected = scanned(self.pairs(number, count))
        dice = self.rng.random()
        if dice < 0.8:
            changes = self.table.apply(number, batch, initial, KEYS if dice < 0.05 else CHANGES)
            for verb, record in expected:
                stream.stage(verb, record) if initial else stream.live(verb, record)
            self.take(stream, changes)
            return
        for verb, record in expected:
            if verb != "DELETED":
                changes = self.table.put(number, *record, initial, CHANGES)
                stream.stage(verb, record) if initial else stream.live(verb, record)
            else:
                changes = self.table.delete(number, record.key, CHANGES, initial)
                if initial:
                    stream.stage(verb, record)
                else:
                    stream.seen.pop(record.key, None)
                    stream.stale.discard(record.key)
            self.take(stream, changes)

    def take(self, stream: Stream, changes: Iterable[Any] | None) -> None:
        """Checks changes, and holds some of their versions."""
        changes = list(changes or ())
        if changes and isinstance(changes[0], str):
            stream.take_keys(changes)
            return
        stream.take(changes)
        for change in changes:
            if self.rng.random() < 0.02:
                self.hold(change.new or change.old)

    # ---- operations ----

    def step(self) -> None:
        rng, table = self.rng, self.table
        number = rng.randrange(STREAMS)
        stream = self.streams[number]
        dice = rng.random()
        if dice < 0.60:
            self.apply(number, rng.choice([1, 10, 30]))
        elif dice < 0.64:
            self.relist(number)
        elif dice < 0.68:
            key = rng.choice([*stream.seen, *(stream.staged or {}), "no/such"])
            assert table.skip(number, key, stream.staged is not None) == stream.skip(key)
        elif dice < 0.78 and self.sweeping[number]:
            self.sweep(number, rng.choice([1, 5, 1000]))
        elif dice < 0.84:
            self.iterate()
        elif dice < 0.87:
            self.objects.rollout()
        elif dice < 0.89:
            table.compact(rng.choice([0, 1000, 1 << 20]))
        elif dice < 0.895:
            self.drop(number)
        elif dice < 0.90:
            self.reload()
        elif dice < 0.92:
            self.dump()
        elif dice < 0.95:
            self.hold_some()
        elif dice < 0.97:
            self.check()

    def relist(self, number: int) -> None:
        stream = self.streams[number]
        if self.sweeping[number]:
            self.sweep(number, 1 << 20)
        self.table.begin(number)
        stream.begin()
        for _ in range(self.rng.choice([0, 1, 2, 20])):
            self.apply(number, 10)
            if self.rng.random() < 0.2:
                self.apply((number + 1) % STREAMS, 3)
        ending = self.rng.random()
        if ending < 0.3:
            return  # the relist stays in progress
        if ending < 0.5:
            self.table.abort(number)
            stream.abort()
            return
        sweep_missing = self.rng.random() < 0.7
        self.table.commit(number, sweep_missing)
        stream.commit(sweep_missing)
        self.sweeping[number] = True

    def sweep(self, number: int, limit: int) -> None:
        more = True
        while more:
            changes, more = self.table.sweep(number, limit, self.rng.choice([CHANGES, CHANGES, KEYS]))
            self.take(self.streams[number], changes)
            if limit < 1000:
                break
        if not more:
            self.sweeping[number] = False
            assert self.streams[number].known == self.streams[number].seen

    def drop(self, number: int) -> None:
        stream = self.streams[number]
        stream.abort()
        stream.seen, stream.stale = {}, set()
        more, listen = True, self.rng.choice([CHANGES, KEYS])
        while more:
            changes, more = self.table.drop(number, self.rng.choice([1, 10, 100]), listen)
            self.take(stream, changes)
        self.sweeping[number] = False
        assert stream.known == {}

    def settle(self) -> None:
        """Aborts relists and finishes sweeps."""
        for number, stream in enumerate(self.streams):
            self.table.abort(number)
            stream.abort()
            self.sweep(number, 1 << 20)

    def seen(self) -> list[Record]:
        return [record for stream in self.streams for record in stream.seen.values()]

    def found(self, namespace: str | None = None) -> Counter[tuple[str, bytes]]:
        return Counter((record.key, record.raw) for record in self.seen() if namespace in (None, record.namespace))

    # ---- earlier states ----

    def iterate(self) -> None:
        rng = self.rng
        if len(self.iterators) < 4 and rng.random() < 0.5:
            namespace = rng.choice([None, None, "both", "", "nowhere"])
            ids, expected = self.table.ids(namespace), self.found(namespace)
            assert len(ids) == expected.total()
            self.iterators.append((self.table, ids, expected))
        elif self.iterators:
            at = rng.randrange(len(self.iterators))
            table, ids, expected = self.iterators[at]
            if rng.random() < 0.1:
                ids.close()
                del self.iterators[at]
                return
            self.look_up(table, ids, expected)
            if rng.random() < 0.3 and len(self.iterators) < 6:
                self.iterators.append((table, ids.copy(), expected.copy()))
            for _ in range(rng.choice([1, 10, 1000])):
                id = next(ids, None)
                if id is None:
                    assert not expected.total()
                    del self.iterators[at]
                    return
                found = (table.key_of(id), table.raw_of(id))
                assert expected[found] > 0, found[0]
                expected[found] -= 1

    def look_up(self, table: Table, ids: Ids, expected: Counter[tuple[str, bytes]]) -> None:
        """Looks up keys in the state of an iterator, whose current id is not passed yet."""
        left = ids.copy()
        next(left, None)
        removed = {table.key_of(id): id for id in left.removed_ids()}
        assert len(removed) <= left.removed
        for key in self.rng.sample(sorted({key for key, _ in expected.elements()}), k=min(3, len(+expected))):
            id = left.find(key)
            if id < 0:
                id = removed[key]
            assert expected[key, table.raw_of(id)] > 0, key
        gone = self.rng.choice(["both/none", "nowhere/none", "none"])
        assert left.find(gone) == -1

    def hold(self, version: Version) -> None:
        self.versions.append((version, record_of(version)))

    def hold_some(self) -> None:
        for record in self.rng.sample(self.seen(), k=min(3, len(self.seen()))):
            self.hold(self.table.version_of(self.table.find(record.key)))
        while len(self.versions) > 20:
            version, expected = self.versions.pop(self.rng.randrange(len(self.versions)))
            assert record_of(version) == expected

    def dump(self) -> None:
        if len(self.dumps) < 2 and self.rng.random() < 0.5:
            self.dumps.append((Dump(self.table), self.found()))
        elif self.dumps:
            dump, expected = self.dumps.pop()
            assert len(dump) == expected.total()
            loaded = load(dump, Table())
            assert Counter((loaded.key_of(id), loaded.raw_of(id)) for id in loaded.ids()) == expected

    def reload(self) -> None:
        """Goes on with a table that was loaded from a dump."""
        self.settle()
        loaded = reload(self.table, indexed())
        assert loaded.stale == self.table.stale
        self.table = loaded
        self.check()

    # ---- invariants ----

    def check(self) -> None:
        table = self.table
        by_key: dict[str, list[Record]] = {}
        for record in self.seen():
            by_key.setdefault(record.key, []).append(record)
        assert len(table) == len(self.seen())
        assert table.stale == sum(len(stream.stale) for stream in self.streams)
        assert sorted(table.ids().keys()) == sorted(record.key for record in self.seen())
        assert Counter((table.key_of(id), table.raw_of(id)) for id in table.ids()) == self.found()
        for key, expected in by_key.items():
            assert table.raw(key) in [record.raw for record in expected], key
            assert table.meta(key) in [meta(record) for record in expected], key
            assert key in table
        for name in NAMES:
            if name not in by_key:
                assert table.find(name) == -1
        self.check_indexes()
        self.check_sizes()

    def check_indexes(self) -> None:
        for index in range(2):
            expected: dict[str, list[str]] = {}
            for record in self.seen():
                for value in record.values[index]:
                    expected.setdefault(value, []).append(record.key)
            assert sorted(self.table.index_values(index)) == sorted(expected)
            for value, keys in expected.items():
                assert sorted(self.table.index_keys(index, value)) == sorted(keys)

    def check_sizes(self) -> None:
        compacted = self.rng.random() < 0.3
        while compacted and self.table.compact(1 << 20):
            pass
        stats = self.table.stats()
        assert not compacted or stats["dead_bytes"] <= stats["record_bytes"] / 60
        self.forms.update(self.table.form_of(id) for id in self.table.ids())
        if not any(self.sweeping) and all(stream.staged is None for stream in self.streams):
            records = [self.table.version_of(id).nbytes - VERSION_BYTES for id in self.table.ids()]
            assert stats["pruned_bytes"] == sum(len(record.raw) for record in self.seen())
            assert stats["name_bytes"] == sum(len(record.name.encode()) for record in self.seen())
            assert stats["blob_bytes"] == sum(len(self.table.blob_of(id)) for id in self.table.ids())
            assert stats["record_bytes"] == sum(records) + stats["limbo_bytes"]
            assert stats["records"] == stats["objects"]
        assert stats["hidden_records"] <= stats["limbo_records"]
        assert stats["hidden_bytes"] <= stats["limbo_bytes"]
        if not self.iterators and not self.versions and not self.dumps:
            assert stats["limbo_records"] == stats["hidden_records"] <= stats["templates"]
            assert stats["limbo_bytes"] == stats["hidden_bytes"]

    def end(self) -> None:
        self.settle()
        for _, ids, _ in self.iterators:
            ids.close()
        self.iterators.clear()
        self.versions.clear()
        self.dumps.clear()
        self.check()
        for number in range(STREAMS):
            self.drop(number)
        self.versions.clear()
        stats = self.table.stats()
        left = ("objects", "records", "record_bytes", "limbo_records", "limbo_bytes", "hidden_records", "hidden_bytes")
        assert {name: stats[name] for name in left} == dict.fromkeys(left, 0)
        assert (stats["templates"], stats["cached_bytes"], self.table.index_values(0)) == (0, 0, [])


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_random_operations_agree_with_plain_dicts(seed):
    trial = Trial(seed)
    try:
        while trial.operations < OPERATIONS:
            trial.step()
        trial.check()
        trial.end()
    except BaseException:
        print(f"KINFORM_SEED={seed}")
        raise
    assert trial.forms.keys() == {"template", "sibling"}, trial.forms
