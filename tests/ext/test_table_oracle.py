"""A table agrees with a model of plain dicts over 100,000 random operations."""

from __future__ import annotations

import json
import os
import random
import uuid
from collections import Counter
from typing import Any

import pytest

from kinform_ext._table import Ids, Table
from kinform_ext._table import Version
from tests.core.wire import obj
from tests.ext.tables import Record, Stream, meta, pack, pack_better, packing, record_of, scanned

SEED = int(os.environ.get("KINFORM_SEED", "20261122"))
STREAMS = 3
NAMES = [*(f"p{i}" for i in range(50)), "naïve", 'with"quote', "x" * 200, "p0.long-name-of-a-cluster-scoped-object"]


class Trial:
    """A table, its model, and open iterators."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.table: Table = packing()
        self.streams = [Stream() for _ in range(STREAMS)]
        self.sweeping = [False] * STREAMS
        self.open: list[tuple[Ids, Counter[tuple[str, bytes]]]] = []
        self.copies: list[tuple[Table, Version, Record]] = []
        self.version = 0
        self.operations = 0

    # ---- events ----

    def draw(self, stream: int) -> dict[str, Any]:
        rng = self.rng
        self.version += 1
        name = rng.choice(NAMES)
        namespace = rng.choice([f"shop-{stream}", f"shop-{stream}", "both", ""])
        uid = rng.choice([str(uuid.UUID(int=rng.randrange(3) << 64 | len(name))), f"uid-{rng.randrange(2)}", ""])
        rv = rng.choice([self.version, self.version, self.version, 1 << 70, "new", "", "007"])
        size = 3000 if rng.random() < 0.01 else rng.randrange(40)
        return obj(name, namespace=namespace, uid=uid, rv=rv, spec={"nodeName": f"n{rng.randrange(4)}" * size})

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
        if self.rng.random() < 0.8:
            changes = self.table.apply(number, batch, initial, True)
            for verb, record in expected:
                stream.stage(verb, record) if initial else stream.live(verb, record)
            stream.take(changes or [])
            return
        for verb, record in expected:
            if verb != "DELETED":
                changes = self.table.put(number, *record, initial, True)
                stream.stage(verb, record) if initial else stream.live(verb, record)
            else:
                changes = self.table.delete(number, record.key, True, initial)
                if initial:
                    stream.stage(verb, record)
                else:
                    stream.seen.pop(record.key, None)
                    stream.stale.discard(record.key)
            stream.take(changes or [])

    # ---- operations ----

    def step(self) -> None:
        rng, table = self.rng, self.table
        number = rng.randrange(STREAMS)
        stream = self.streams[number]
        dice = rng.random()
        if dice < 0.55:
            self.apply(number, rng.choice([1, 10, 30]))
        elif dice < 0.60:
            self.relist(number)
        elif dice < 0.64:
            key = rng.choice([*stream.seen, *(stream.staged or {}), "no/such"])
            assert table.skip(number, key, stream.staged is not None) == stream.skip(key)
        elif dice < 0.74 and self.sweeping[number]:
            self.sweep(number, rng.choice([1, 5, 1000]))
        elif dice < 0.80:
            self.iterate()
        elif dice < 0.88:
            self.recode()
        elif dice < 0.90:
            table.compact(rng.choice([0, 1000, 1 << 20]))
        elif dice < 0.91:
            table.encoder, table.encoder_codec = rng.choice([(pack, 1), (pack_better, 2), (None, 0)])
        elif dice < 0.915:
            self.drop(number)
        elif dice < 0.92:
            self.reload()
        elif dice < 0.95:
            self.copy()
        elif dice < 0.96:
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
            changes, more = self.table.sweep(number, limit, True)
            self.streams[number].take(changes)
            if limit < 1000:
                break
        if not more:
            self.sweeping[number] = False
            assert self.streams[number].known == self.streams[number].seen

    def drop(self, number: int) -> None:
        stream = self.streams[number]
        stream.abort()
        stream.seen, stream.stale = {}, set()
        more = True
        while more:
            changes, more = self.table.drop(number, self.rng.choice([1, 10, 100]), True)
            stream.take(changes)
        self.sweeping[number] = False
        assert stream.known == {}

    def seen(self) -> list[Record]:
        return [record for stream in self.streams for record in stream.seen.values()]

    def iterate(self) -> None:
        rng = self.rng
        if len(self.open) < 4 and rng.random() < 0.5:
            namespace = rng.choice([None, None, "both", "", "nowhere"])
            ids = self.table.ids(namespace)
            expected = Counter(
                (record.key, record.raw) for record in self.seen() if namespace in (None, record.namespace)
            )
            assert len(ids) == expected.total()
            self.open.append((ids, expected))
        elif self.open:
            at = rng.randrange(len(self.open))
            ids, expected = self.open[at]
            if rng.random() < 0.1:
                ids.close()
                del self.open[at]
                return
            for _ in range(rng.choice([1, 10, 1000])):
                id = next(ids, None)
                if id is None:
                    assert not expected.total()
                    del self.open[at]
                    return
                found = (self.table.key_of(id), self.table.raw_of(id))
                assert expected[found] > 0, found[0]
                expected[found] -= 1

    def recode(self) -> None:
        for id in self.table.ids_with_codec(self.rng.choice([0, 1]), self.rng.randrange(200), 5):
            blob = self.table.blob_of(id)
            codec = 0 if self.table.meta_of(id) and blob[:1] == b"{" else 1
            better = pack_better(self.table.encoder_input(id))
            assert not self.table.recode(id, 7, 2, better)
            assert not self.table.recode(id, codec, 2, better, expected=b"another")
            assert self.table.recode(id, codec, 2, better, expected=blob)
            assert self.table.blob_of(id) == better

    def copy(self) -> None:
        for record in self.rng.sample(self.seen(), k=min(3, len(self.seen()))):
            found = self.table.version_of(self.table.find(record.key))
            self.copies.append((self.table, found, record_of(found)))
        while len(self.copies) > 20:
            _, found, expected = self.copies.pop(self.rng.randrange(len(self.copies)))
            assert record_of(found) == expected

    def reload(self) -> None:
        for number, stream in enumerate(self.streams):
            self.table.abort(number)
            stream.abort()
            self.sweep(number, 1 << 20)
        loaded = packing()
        ids = self.table.ids()
        while data := ids.dump(5000):
            loaded.load({0: 0, 1: 1, 2: 2}, data)
        assert loaded.stale == self.table.stale
        if not self.open:
            self.table = loaded

    # ---- invariants ----

    def check(self) -> None:
        table = self.table
        by_key: dict[str, list[Record]] = {}
        for record in self.seen():
            by_key.setdefault(record.key, []).append(record)
        assert len(table) == len(self.seen())
        assert table.stale == sum(len(stream.stale) for stream in self.streams)
        assert sorted(table.ids().keys()) == sorted(record.key for record in self.seen())
        for key, expected in by_key.items():
            assert table.raw(key) in [record.raw for record in expected], key
            assert table.meta(key) in [meta(record) for record in expected], key
            assert key in table
        for name in NAMES:
            if name not in by_key:
                assert table.find(name) == -1
        stats = table.stats()
        if not any(self.sweeping) and all(stream.staged is None for stream in self.streams):
            assert stats["pruned_bytes"] == sum(len(record.raw) for record in self.seen())
            assert stats["name_bytes"] == sum(len(record.name.encode()) for record in self.seen())
            assert stats["records"] == stats["objects"]
        if not self.open:
            assert stats["limbo_records"] == 0
            refcounts = sum(table.refcount(codec) for codec in range(3))
            assert refcounts == stats["records"] + sum(table is of for of, _, _ in self.copies)
        assert stats["dead_bytes"] <= stats["record_bytes"] / 5 + 65536

    def end(self) -> None:
        for ids, _ in self.open:
            ids.close()
        self.open.clear()
        self.copies.clear()
        for number in range(STREAMS):
            self.drop(number)
        stats = self.table.stats()
        assert (stats["records"], stats["record_bytes"], stats["limbo_records"]) == (0, 0, 0)
        assert [self.table.refcount(codec) for codec in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_50_000_random_operations_agree_with_plain_dicts(seed):
    trial = Trial(seed)
    try:
        while trial.operations < 50_000:
            trial.step()
        trial.check()
        trial.end()
    except BaseException:
        print(f"KINFORM_SEED={seed}")
        raise
