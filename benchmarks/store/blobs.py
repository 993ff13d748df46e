"""Measures the bytes of a collection in the store, and the time of its use.

All sizes are bytes per object. `blob` is the encoded object. `kept` is what the coder keeps for all blobs: slot lists,
literals, hints, and templates whose objects are gone. `total` is their sum. `cached` is the copies of templates that
are in the cache of the process; the cache is limited, and evicts templates that other collections need more. `updated`
is the total after one update of every object. `total/xz` compares the total with `xz -9e` over the whole collection,
from which no object can be read alone. The others are zstandard frames of each object at level 3: `alone`, and after a
`dictionary` that was trained with the same objects and is part of the figure.

A record also has namespace, name, uid and resourceVersion, which no figure counts: these strings are cut out of the
JSON for all encodings. All objects are read back and compared before figures are reported.

Times are CPU microseconds per object, without the scanner: the best of some rounds. A write goes into an empty table.

With --half, the store has one half of a collection, and watch events bring the other half, in random order. With
--after, the store has the objects of another cluster. Then the figures are what the later objects add, xz included, and
the dictionary was trained with the earlier objects.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.corpus import MADE, make, read_dump, touch
from benchmarks.harness.results import Record
from benchmarks.store.filling import Objects, check, cuts, kept_bytes, keys, listed, load, raws, update, watched
from benchmarks.store.rivals import Frames, xz_bytes
from kinform._store.contents import StoreContents
from kinform._store.reader import Store
from kinform_ext._table import Table

SIZES = ("objects", "pruned", "alone", "dictionary", "blob", "kept", "total", "cached", "updated", "xz", "total/xz")
TIMES = (
    "put_us",
    "alone_us",
    "dictionary_us",
    "raw_us",
    "raw_random_us",
    "dict_random_us",
    "struct_random_us",
    "dictionary_read_us",
)
MAX_GENERATED = 5_000
"""Objects of a generated kind other than pods: xz is slow."""
ROUNDS = 3
NOTHING, HALF, OTHER = "nothing", "one half", "another cluster"
"""The contents of the store before the measured objects arrive."""


class Metadata(msgspec.Struct, gc=False):
    """The metadata of `Small`."""

    name: str
    labels: dict[str, str] = {}


class Small(msgspec.Struct, gc=False):
    """The part of an object that every kind has."""

    metadata: Metadata


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each collection, and each content that the store has before."""
    if options.after and len(options.after) > len(options.corpus or ()):
        raise SystemExit("store: --after takes at most as many files as --corpus")
    for name, objects in _collections(options):
        yield _record(name, NOTHING, _whole(objects))
        if options.half:
            shuffled = random.Random(1).sample(objects, len(objects))
            middle = len(objects) // 2
            yield _record(name, HALF, _added(shuffled[:middle], shuffled[middle:]))
    for measured, before in zip(options.corpus or (), options.after or (), strict=False):
        yield _record(_name(measured), OTHER, _added(read_dump(before)[1], read_dump(measured)[1], another=True))


def _record(name: str, before: str, figures: dict[str, float]) -> Record:
    rounded = {each: round(value, 4) for each, value in figures.items()}
    return {"record": "blobs", "collection": name, "before": before, "figures": rounded}


def _collections(options: argparse.Namespace) -> Iterator[tuple[str, Objects]]:
    for path in options.corpus or ():
        yield _name(path), read_dump(path)[1]
    if not options.corpus:
        for name, (_, _, count) in MADE.items():
            most = count if name == "pods" else min(count, MAX_GENERATED)
            yield name, make(name, options.objects or most, options.seed)[1]


def _name(path: Path) -> str:
    return path.name.partition(".")[0]


def _whole(objects: Objects) -> dict[str, float]:
    """Measures a collection that arrives at once."""
    count, batches = len(objects), listed(objects)
    rounds = list[float]()
    for _ in range(ROUNDS):
        table = Table()
        rounds.append(load(table, batches))
    check(table, raws(batches))
    found = _sizes(table, count)
    cut = cuts(batches)
    found |= _encoded(cut, cut, xz_bytes(cut), count, found["total"])
    found |= {"put_us": min(rounds) / count * 1e6} | _reads(table, keys(batches))
    found["pruned"] = sum(map(len, raws(batches))) / count
    update(table, _updates(objects))
    found["updated"] = sum(kept_bytes(table)) / count
    return {name: found[name] for name in (*SIZES, *TIMES, "templates", "siblings")}


def _updates(objects: Objects) -> Any:
    """Updates each object once, in random order."""
    changed = random.Random(2).sample(objects, len(objects))
    changed = [msgspec.json.decode(msgspec.json.encode(found)) for found in changed]
    for number, found in enumerate(changed):
        touch(found, 10**9 + number, f"2026-04-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z")
    return watched(changed, "MODIFIED")


def _added(before: Objects, later: Objects, *, another: bool = False) -> dict[str, float]:
    """Measures what objects add to a store that has others.

    `another` puts the objects into another stream, so that none replaces one of the same key.
    """
    earlier, batches, count = listed(before), watched(later, "ADDED"), len(later)
    rounds = list[float]()
    for _ in range(ROUNDS):
        table = Table()
        load(table, earlier, stream=int(another))
        blobs, kept = kept_bytes(table)
        rounds.append(update(table, batches))
    check(table, raws(earlier) + raws(batches))
    found = _sizes(table, count, blobs, kept)
    samples, cut = cuts(earlier), cuts(batches)
    xz = xz_bytes(samples + cut) - xz_bytes(samples)
    found |= _encoded(samples, cut, xz, count, found["total"])
    found |= {"put_us": min(rounds) / count * 1e6, "pruned": sum(map(len, raws(batches))) / count}
    return {name: found[name] for name in (*SIZES, *TIMES) if name in found}


def _sizes(table: Table, count: int, blobs_before: int = 0, kept_before: int = 0) -> dict[str, float]:
    blobs, kept = kept_bytes(table)
    stats, forms = table.stats(), [table.form_of(id) for id in table.ids()]
    found = {"blob": (blobs - blobs_before) / count, "kept": (kept - kept_before) / count}
    return found | {
        "objects": count,
        "total": found["blob"] + found["kept"],
        "cached": stats["cached_bytes"] / len(forms),
        "templates": stats["templates"],
        "siblings": forms.count("sibling") / len(forms),
    }


def _encoded(samples: list[bytes], cut: list[bytes], xz: int, count: int, total: float) -> dict[str, float]:
    """The other encodings. A dictionary that was trained with the same objects counts."""
    found = {"xz": xz / count, "total/xz": total / max(xz / count, 1e-9)}
    for name, encoder in (("alone", Frames()), ("dictionary", Frames(samples))):
        runs = [encoder.encode(cut) for _ in range(ROUNDS)]
        frames = runs[0][0]
        reads = [encoder.decode(frames) for _ in range(ROUNDS)]
        if reads[0][0] != cut:
            raise SystemExit(f"store: {name} reads back differently; no figures are reported")
        size = sum(map(len, frames)) + (encoder.dictionary_bytes if samples is cut else 0)
        found |= {name: size / count, f"{name}_us": min(spent for _, spent in runs) / count * 1e6}
        found[f"{name}_read_us"] = min(spent for _, spent in reads) / count * 1e6
    return found


def _reads(table: Table, ordered: list[str]) -> dict[str, float]:
    """Measures reads by key: of the JSON, and of decoded objects."""
    contents = StoreContents("benchmark", {})
    contents.table = table
    shuffled = random.Random(3).sample(ordered, len(ordered))
    as_dict, as_struct = Store(contents, dict), Store(contents, Small)
    return {
        "raw_us": _seconds(table.raw, ordered) * 1e6,
        "raw_random_us": _seconds(table.raw, shuffled) * 1e6,
        "dict_random_us": _seconds(as_dict.get, shuffled) * 1e6,
        "struct_random_us": _seconds(as_struct.get, shuffled) * 1e6,
    }


def _seconds(read: Callable[[str], object], names: Iterable[str]) -> float:
    rounds, names = [], list(names)
    for _ in range(ROUNDS):
        start = time.thread_time()
        for name in names:
            read(name)
        rounds.append((time.thread_time() - start) / len(names))
    return min(rounds)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    width = max(len(each["collection"]) for each in records) + 2
    lines = list[str]()
    for before in (NOTHING, HALF, OTHER):
        found = [each for each in records if each["before"] == before]
        for title, names in (("Bytes", SIZES), ("CPU us", TIMES)):
            columns = [column for column in names if found and column in found[0]["figures"]]
            if columns:
                lines.append(f"{title} per object; the store has {before} before.")
                lines.append(" " * width + "".join(f"{column.removesuffix('_us'):>16}" for column in columns))
            for each in found:
                figures = each["figures"]
                cells = (f"{figures[c]:16,.2f}" if _precise(c) else f"{figures[c]:16,.0f}" for c in columns)
                lines.append(f"{each['collection']:{width}}{''.join(cells)}")
    return "\n".join(lines)


def _precise(column: str) -> bool:
    return column.endswith("_us") or column == "total/xz"
