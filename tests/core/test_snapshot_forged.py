"""Forged snapshots with valid checksums: refused, or loaded as a consistent table.

The environment variable KINFORM_FUZZ_SECONDS sets how long the mutations run, KINFORM_FUZZ_SEED their seed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kinform._errors import SnapshotError
from kinform._snapshot import file
from kinform._snapshot.file import Bounds, Header, Loaded, Origin, read_snapshot
from kinform._snapshot.location import SNAPSHOT_MAGIC, Location
from kinform._store.contents import StoreContents
from kinform_ext._table import Loader, Table
from tests.core.dumps import (
    BASE,
    FRAME,
    FULL,
    RV_TEXT,
    TABLE,
    UID_TEXT,
    frame,
    items,
    literal,
    load,
    member,
    put,
    raws,
    record,
    slots,
    template,
    text,
    varint,
)

FUZZ_SECONDS = float(os.environ.get("KINFORM_FUZZ_SECONDS", "8"))
FUZZ_SEED = int(os.environ.get("KINFORM_FUZZ_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
ROOT = Path(__file__).parents[2]

ORIGIN = Origin(
    cluster="",
    place="here",
    resource="v1/pods",
    scope=("", "", False),
    namespaces=None,
    prune=((), (), ()),
    transform="",
)
STREAMS = {"": (0, "17")}


def seal(dump: Iterable[bytes], objects: int, *, streams: Any = None, origin: Origin = ORIGIN, **names: Any) -> bytes:
    """Makes a file with valid checksums."""
    streams = STREAMS if streams is None else streams
    header = Header(origin=origin, byteorder=sys.byteorder, taken=time.time(), streams=streams, **names)
    made = bytearray(struct.pack("<8sH", SNAPSHOT_MAGIC, file.SNAPSHOT_FORMAT))

    def add(kind: bytes, content: bytes) -> None:
        start = struct.pack("<cI", kind, len(content))
        made.extend(start + struct.pack("<I", zlib.crc32(start + content)) + content)

    pieces = [(b"H", msgspec.json.encode(header)), *((b"D", each) for each in dump)]
    for kind, content in pieces:
        add(kind, content)
    add(b"E", struct.pack("<QQ32s", len(pieces), objects, hashlib.blake2b(made, digest_size=32).digest()))
    return bytes(made)


def loaded(path: Path, *, origin: Origin = ORIGIN, indexes: dict[str, str] | None = None, **bounds: Any) -> Loaded:
    contents = StoreContents("v1/pods", indexes or {})
    found = read_snapshot(
        Location(str(path), allow_insecure_permissions=True), origin, contents, Bounds(**bounds), threading.Event()
    )
    assert found is not None
    return found


def read(path: Path, **options: Any) -> StoreContents:
    return loaded(path, **options).contents


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(SnapshotError) as caught:
        read(path, **options)
    return caught.value.why


GOOD = [TABLE, literal(b"word"), template(record(b"t", number=1)), put(record(b"s", codec=1, blob=b"\0"))]
RAW = b'{"a":"' + b"x" * 40 + b'"}'
COPY = b"\0"  # a blob: the template, without a change
FORGED: dict[str, list[bytes]] = {
    "an unknown item": [b"\3"],
    "an unknown flag": [put(record(), flags=32)],
    "a hidden object that is no template": [put(record(), flags=16)],
    "a template without the flag": [put(record(number=1))],
    "a flag without a template": [TABLE, template(record())],
    "an unknown stream": [put(record(), stream=1)],
    "a key twice": [put(record()), put(record())],
    "a key twice, once as a template": [TABLE, template(record(number=1)), put(record())],
    "an empty name": [put(record(b""))],
    "a name that is not UTF-8": [put(record(b"caf\xe9"))],
    "a name that ends in half a character": [put(record(b"abcdefgh\xc3"))],
    "a namespace that is not UTF-8": [put(record(), namespace=b"\xff")],
    "a uid that is not UTF-8": [put(record(form=UID_TEXT, identity=text(b"\xff")))],
    "a resourceVersion that is not UTF-8": [put(record(form=RV_TEXT, identity=text(b"\xff")))],
    "two forms of a uid": [put(record(form=24, identity=bytes(16)))],
    "an object that is too large": [put(record(raw_len=1 << 31))],
    "an object that is larger than its blob": [put(record(raw_len=8))],
    "an object that is smaller than its blob": [put(record(raw_len=6))],
    "a blob that is much longer than its object": [put(record(raw_len=2, blob=bytes(100)))],
    "a frame that is not valid": [put(record(form=FRAME, blob=b"abc", raw_len=100))],
    "a template that does not exist": [put(record(codec=1, blob=COPY))],
    "a template that follows": [TABLE, put(record(codec=1, blob=COPY)), template(record(b"t", number=1))],
    "a template that refers to itself": [TABLE, template(record(codec=1, number=1, blob=COPY))],
    "a template with another number": [TABLE, template(record(number=2))],
    "a template that is too large": [TABLE, template(record(raw=bytes((256 << 10) + 1), number=1))],
    "a template without a table": [template(record(number=1))],
    "a template of a table that follows": [TABLE, template(record(number=1), table=1)],
    "templates that lie too deep": [
        TABLE, *(template(record(b"%d" % n, codec=n - 1, number=n, blob=COPY if n > 1 else None)) for n in range(1, 9)),
    ],
    "slots out of order": [TABLE, template(record(number=1), lists=[slots(3, 2)])],
    "slots that are equal": [TABLE, template(record(number=1), lists=[slots(2, 0x8002)])],
    "too many slots": [TABLE, template(record(number=1), lists=[slots(*range(256))])],
    "a slot list that states more than there is": [TABLE, template(record(number=1), lists=[varint(1 << 31)])],
    "too many slot lists": [TABLE, template(record(number=1), lists=[slots(1)] * 4)],
    "a base that ends before it starts": [FULL],
    "a base that ends without a member": [BASE, FULL],
    "too many bases": [BASE] * 256,
    "a member before a base": [TABLE, member(b"a", RAW, 1)],
    "a member of a full base": [TABLE, BASE, member(b"a", RAW, 1), FULL, member(b"b", RAW, 2)],
    "a member of another base": [TABLE, BASE, BASE, member(b"a", RAW, 1)],
    "a member that states too much": [TABLE, BASE, member(b"a", RAW, 1, joins=len(RAW) + 1)],
    "a member that states too little": [TABLE, BASE, member(b"a", RAW, 1, joins=len(RAW) - 1)],
    "a member that is no frame": [TABLE, BASE, template(record(number=1), joins=7)],
    "a member that is too large": [TABLE, BASE, member(b"a", bytes(20_000), 1)],
    "too many members": [TABLE, BASE, *(member(b"%d" % n, RAW, n) for n in range(1, 18))],
    "a frame after a base that is not full": [
        TABLE, BASE, member(b"a", RAW, 1), put(record(raw=RAW, codec=1, form=FRAME, blob=frame(RAW))),
    ],
    "a frame after an unknown base": [put(record(raw=RAW, codec=1, form=FRAME, blob=frame(RAW)))],
    "a literal before a table": [literal(b"word")],
    "a literal that is too short": [TABLE, literal(b"ab")],
    "a literal that is too long": [TABLE, literal(bytes(513))],
    "a literal that states more than there is": [TABLE, b"\1" + varint(500)],
    "a table after an empty one": [TABLE, TABLE],
    "a table after a small one": [TABLE, literal(b"word"), TABLE],
    "a full table": [TABLE, *(literal(b"%04d" % n) for n in range(8193))],
    "a number without an end": [b"\2" + b"\xff" * 20],
    "a blob with a rest": [*GOOD[:3], put(record(b"s", codec=1, blob=b"\0\0"))],
    "a blob that is cut off": [*GOOD[:3], put(record(b"s", codec=1, blob=b"\x08"))],
    "a literal that does not exist": [*GOOD[:3], put(record(b"s", codec=1, blob=varint(8) + varint(9) + varint(3)))],
}  # fmt: skip


class TestForged:
    def test_items_made_by_hand_are_loaded(self, tmp_path):
        (tmp_path / "s").write_bytes(seal(GOOD, 2))
        assert raws(read(tmp_path / "s").table) == {"shop/t": b'{"a":1}', "shop/s": b'{"a":1}'}

    def test_a_base_made_by_hand_is_loaded(self):
        after = put(record(b"c", RAW, codec=1, form=FRAME, blob=frame(RAW)))
        dumped = [TABLE, BASE, member(b"a", RAW, 1), member(b"b", RAW, 2), FULL, after]
        loaded = load(dumped)
        assert set(raws(loaded).values()) == {RAW}
        assert items(loaded) == dumped

    def test_hidden_members_of_a_base_are_counted(self):
        hidden = bytearray(member(b"a", RAW, 1))
        hidden[0] |= 16
        loaded = load([TABLE, BASE, bytes(hidden), FULL, put(record(b"c", RAW, codec=1, form=FRAME, blob=frame(RAW)))])
        assert loaded.stats()["hidden_records"] == 1
        assert loaded.stats()["hidden_bytes"] == loaded.stats()["limbo_bytes"] > 0
        loaded.delete(0, "shop/c", False)
        assert loaded.stats()["hidden_bytes"] == loaded.stats()["limbo_bytes"] == loaded.stats()["templates"] == 0

    @pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
    def test_forged_items_are_refused(self, tmp_path, forged):
        (tmp_path / "s").write_bytes(seal(forged, 1))
        assert "damaged" in refused(tmp_path / "s")

    def test_the_start_of_an_item_is_refused(self):
        for item in (GOOD[1], GOOD[2], GOOD[3], template(record(number=1), lists=[slots(1, 2), slots(0)])):
            before = GOOD[:3] if item is GOOD[3] else [TABLE]
            load([*before, item])
            for size in range(1, len(item)):
                with pytest.raises(ValueError, match="dump"):
                    load([*before, item[:size]])

    def test_a_stream_of_another_namespace_is_refused(self, tmp_path):
        (tmp_path / "s").write_bytes(seal([], 0, streams={"shop": (0, "1")}))
        assert "a stream of another namespace" in refused(tmp_path / "s")

    def test_two_streams_with_one_number_are_refused(self, tmp_path):
        origin = msgspec.structs.replace(ORIGIN, namespaces=("shop", "till"))
        (tmp_path / "s").write_bytes(seal([], 0, streams={"shop": (0, "1"), "till": (0, "1")}, origin=origin))
        assert "the same number" in refused(tmp_path / "s", origin=origin)

    @pytest.mark.parametrize(
        ("namespace", "keys"),
        [
            ("till", ["till/a"]),
            ("", ["shop/a/b"]),
            ("", ["../a"]),
            ("", ["Shop/a"]),
            ("", ["shop/"]),
            ("", ["shop/a\n"]),
            ("", ["s" * 64 + "/a"]),
            ("shop", ["till/a"]),
            ("shop", ["shopping/a"]),
            ("shop", ["a"]),
        ],
    )
    def test_a_skipped_key_of_another_stream_is_refused(self, tmp_path, namespace, keys):
        streams = {namespace: (0, "1")} if namespace != "till" else None
        origin = msgspec.structs.replace(ORIGIN, namespaces=("shop",)) if namespace == "shop" else ORIGIN
        (tmp_path / "s").write_bytes(seal([], 0, streams=streams, origin=origin, degraded={namespace: keys}))
        assert "a skipped key" in refused(tmp_path / "s", origin=origin)

    def test_skipped_keys_are_loaded(self, tmp_path):
        degraded = {"": ("shop/a", "system:a,b=c", "(unknown keys)")}
        (tmp_path / "s").write_bytes(seal([], 0, degraded=degraded))
        assert loaded(tmp_path / "s").degraded == degraded

    @pytest.mark.parametrize("count", [1, 3])
    def test_a_wrong_number_of_objects_is_refused(self, tmp_path, count):
        (tmp_path / "s").write_bytes(seal(GOOD, count))
        assert "number of objects" in refused(tmp_path / "s")

    def test_hidden_templates_do_not_count_as_objects(self, tmp_path):
        dump = [TABLE, template(record(b"t", number=1), flags=16), GOOD[3]]
        (tmp_path / "s").write_bytes(seal(dump, 1))
        assert list(raws(read(tmp_path / "s").table)) == ["shop/s"]
        dump.append(put(record(b"t")))  # a new object of the same key
        assert len(load(dump)) == 2

    @pytest.mark.parametrize("raw", [b"", b"{", b'{"a":"', b"\xff\xfe", b'{"a":[[[[', b'{"metadata":{"labels":'])
    def test_an_object_that_is_not_json_is_readable_as_bytes(self, tmp_path, raw):
        (tmp_path / "s").write_bytes(seal([TABLE, template(record(b"t", raw, number=1)), put(record(b"p", raw))], 2))
        contents = read(tmp_path / "s", indexes={"app": "metadata.labels.app", "all": "a[*]"})
        assert set(raws(contents.table).values()) == {raw}


class TestBounds:
    @pytest.mark.parametrize(
        "dump", [[put(record(raw=b"x" * 2_000))], [TABLE, template(record(raw=b"x" * 2_000, number=1))]]
    )
    def test_an_object_above_the_bound_is_refused(self, tmp_path, dump):
        (tmp_path / "s").write_bytes(seal(dump, 1))
        assert len(read(tmp_path / "s", object_bytes=2_000).table) == 1
        assert "damaged" in refused(tmp_path / "s", object_bytes=1_999)

    def test_memory_is_checked_while_objects_are_loaded(self, tmp_path):
        dump = [put(record(b"p%d" % n, b"%d" % n * 500)) for n in range(4_000)]
        (tmp_path / "s").write_bytes(seal(dump, len(dump)))
        contents, bounds = StoreContents("v1/pods", {}), Bounds(held_bytes=1 << 20)
        with pytest.raises(SnapshotError, match="memory_limit"):
            read_snapshot(
                Location(str(tmp_path / "s"), allow_insecure_permissions=True),
                ORIGIN,
                contents,
                bounds,
                threading.Event(),
            )
        assert len(contents.table) < 2_000

    def test_a_piece_above_the_bound_is_refused(self, tmp_path):
        path = tmp_path / "s"
        whole = seal([], 0)
        path.write_bytes(whole[: whole.index(b"E", 10)] + struct.pack("<cII", b"D", 1 << 30, 0))
        os.truncate(path, 2 << 30)  # without blocks on disk
        assert "damaged" in refused(path)

    def test_a_forged_number_of_objects_takes_little_memory(self, tmp_path):
        dump = [put(record(b"p%d" % n, b"%d" % n * 50)) for n in range(4_000)]
        (tmp_path / "s").write_bytes(seal(dump, (1 << 64) - 1))
        contents = StoreContents("v1/pods", {})
        with pytest.raises(SnapshotError, match="number of objects"):
            read_snapshot(
                Location(str(tmp_path / "s"), allow_insecure_permissions=True),
                ORIGIN,
                contents,
                Bounds(),
                threading.Event(),
            )
        size = (tmp_path / "s").stat().st_size
        assert contents.table.stats()["map_bytes"] < load(dump).stats()["map_bytes"] + size

    def test_a_cancelled_load_stops(self, tmp_path):
        (tmp_path / "s").write_bytes(seal(GOOD, 2))
        cancelled = threading.Event()
        cancelled.set()
        contents = StoreContents("v1/pods", {})
        with pytest.raises(SnapshotError, match="cancelled"):
            read_snapshot(
                Location(str(tmp_path / "s"), allow_insecure_permissions=True), ORIGIN, contents, Bounds(), cancelled
            )
        assert len(contents.table) == 0

    @pytest.mark.parametrize("objects", [[16 << 20], [(16 << 20) - 1] * 50], ids=["one too large", "many"])
    def test_small_frames_of_large_objects_take_little_memory(self, tmp_path, objects):
        # Blocks of one repeated byte: 4 bytes in the file for 128 KiB of an object.
        frames = [zeros(size) for size in objects]
        dump = [put(record(b"p%d" % n, form=FRAME, raw_len=len, blob=blob)) for n, (len, blob) in enumerate(frames)]
        (tmp_path / "s").write_bytes(seal(dump, len(dump)))
        assert (tmp_path / "s").stat().st_size < 200_000
        code = (
            "import resource, sys, tests.core.test_snapshot_forged as forged\n"
            "from pathlib import Path\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "try: forged.read(Path(sys.argv[1]), object_bytes=(16 << 20) - 1)\n"
            "except forged.SnapshotError: pass\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
        )
        grown = subprocess.check_output([sys.executable, "-c", code, str(tmp_path / "s")], cwd=ROOT)
        assert int(grown) < 3 * (16 << 10)


def zeros(size: int) -> tuple[int, bytes]:
    """Returns a size, and a frame of zstandard that has as many zeros."""
    window, blocks = 128 << 10, bytearray()
    for start in range(0, size, window):
        length, last = min(window, size - start), start + window >= size
        blocks += (length << 3 | 1 << 1 | last).to_bytes(3, "little") + b"\0"
    return size, b"\xa0" + size.to_bytes(4, "little") + bytes(blocks)


# ---- mutations ----


def filled() -> Table:
    """Makes a small table: objects of all forms, slot lists, hidden templates."""
    table, draw = Table(), random.Random(1)
    for number in range(140):
        kind = number % 4
        name = f"web-{kind}-{draw.randrange(1 << 40):x}"
        uid = f"{draw.randrange(1 << 32):08x}-0000-4000-8000-{number:012}"
        found: dict[str, Any] = {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": uid,
                "resourceVersion": f"{number + 1000}",
                "creationTimestamp": f"2026-03-21T{number % 24:02}:19:{number % 60:02}Z",
                "labels": {"app": f"app-{kind}", "hash": f"{draw.randrange(1 << 40):010x}"},
            },
            "spec": {
                "node": f"node-{number % 11}.example",
                "owner": uid,
                "count": number * 37,
                "last": f"2026-03-21T06:{number % 60:02}:49.123456Z",
                "ip": f"10.0.{number}.{kind}",
                "words": [f"word-{kind * n}" for n in range(kind * 5)],
                "rest": ["more"] * draw.randrange(3),
            },
        }
        if number % 5 == 3:  # resembles no other one
            name, found = f"{draw.randrange(1 << 40):x}", {}
            for _ in range(12):
                found[f"{draw.randrange(1 << 20):x}"] = [
                    f"{draw.randrange(1 << 20):o}" for _ in range(draw.randrange(5))
                ]
        table.put(0, "shop", name, uid, f"{number + 1000}", json.dumps(found).encode(), False, False)
    table.put(0, "", "caf\xe9", "none", "text", b'{"x":1}', False, False)
    assert {table.form_of(id) for id in table.ids()} == {"template", "sibling"}
    assert FULL in items(table)
    keys = [table.key_of(id) for id in table.ids() if table.form_of(id) == "template"]
    for key in keys[::3]:
        table.delete(0, key, False)
    assert table.stats()["hidden_records"] > 0
    return table


def mutate(draw: random.Random, dumped: list[bytes]) -> list[bytes]:
    """Changes a few items, or their order."""
    made = list(dumped)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        at = draw.randrange(len(made))
        item = bytearray(made[at])
        match draw.randrange(12):
            case 0:
                del made[at]
            case 1:
                made.insert(draw.randrange(len(made) + 1), made[at])
            case 2:
                other = draw.randrange(len(made))
                made[at], made[other] = made[other], made[at]
            case 3:
                made[at] = bytes(item[: draw.randrange(len(item) + 1)])
            case 4:
                other = draw.choice(made)
                cut = draw.randrange(len(item) + 1)
                made[at] = bytes(item[:cut]) + other[draw.randrange(len(other) + 1) :]
            case 5:
                start = draw.randrange(len(item) + 1)
                item[start:start] = varint(draw.choice((0, 1, 127, 128, 1 << 16, (1 << 31) - 1, (1 << 32) - 1)))
                made[at] = bytes(item)
            case 6:
                start = draw.randrange(len(item) + 1)
                del item[start : start + draw.choice((1, 1, 2, 8))]
                made[at] = bytes(item)
            case _:
                for _ in range(draw.choice((1, 1, 2, 6))):
                    if item:
                        place = draw.randrange(min(len(item), draw.choice((12, 1 << 30))))
                        item[place] = draw.choice(
                            (0, 1, 255, item[place] ^ 1 << draw.randrange(8), draw.randrange(256))
                        )
                made[at] = bytes(item)
        if not made:
            return list(dumped)
    return made


def check(table: Table) -> None:
    """Checks that a table is consistent, takes writes, and can be emptied."""
    found = {}
    for id in table.ids():
        namespace, name, _, _ = table.meta_of(id)
        assert table.key_of(id) == (f"{namespace}/{name}" if namespace else name)
        found[namespace, name] = table.raw_of(id)
    assert len(found) == len(table) == table.stats()["objects"]
    assert sum(map(len, found.values())) == table.stats()["pruned_bytes"]
    again = load(items(table), most=1 << 30)
    assert sorted(raws(again).values()) == sorted(found.values())
    for number, (namespace, name) in enumerate(list(found)):
        raw = found[namespace, name].replace(b"a", b"b%d" % number)
        table.put(0, namespace, name, "", "", raw, False, False)
        found[namespace, name] = raw
    assert {(namespace, name): raw for namespace, name, raw in objects(table)} == found
    for namespace, name in found:
        key = f"{namespace}/{name}" if namespace else name
        table.delete(0, key, False)
    if len(table) == 0:  # a key with two slashes can name two objects
        assert table.stats()["limbo_records"] == table.stats()["templates"] == 0


def objects(table: Table) -> Iterable[tuple[str, str, bytes]]:
    return ((*table.meta_of(id)[:2], table.raw_of(id)) for id in table.ids())


def run_mutations(seconds: float, seed: int, path: Path) -> dict[str, int]:
    """Loads mutated dumps, directly and from files; returns how many were accepted."""
    draw, dumped = random.Random(seed), items(filled())
    counts = {"loaded": 0, "refused": 0}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        mutated = b"".join(mutate(draw, dumped))
        table, loaded = Table(), True
        try:
            loader, done = Loader(table, {0: 0}, 1 << 20), 0
            while done < len(mutated):
                done = loader.load(mutated, done, draw.choice((1, 1 << 30)))
            loader.finish()
        except ValueError:
            loaded = False
        path.write_bytes(seal([mutated], len(table)))
        if loaded:
            found = read(path, indexes={"app": "metadata.labels.app", "words": "spec.words[*]"})
            assert raws(found.table) == raws(table)
            check(table)
        else:
            assert "damaged" in refused(path)
        counts["loaded" if loaded else "refused"] += 1
    return counts


class TestMutations:
    def test_mutated_dumps_are_refused_or_consistent(self, tmp_path):
        print(f"seed {FUZZ_SEED}")
        counts = run_mutations(FUZZ_SECONDS, FUZZ_SEED, tmp_path / "s")
        print(counts)
        assert counts["loaded"] > 20
        assert counts["refused"] > 20
