"""How small a collection becomes in the store, and against what.

Bytes an object, of blobs alone: what plain zstandard makes of them (level 3), what the base does that the codec
chose (a dictionary or a prefix), what is left after the whole background pass with its exemplars, and, for
comparison, xz -9e over the whole collection at once. What is kept to read them with (bases, exemplars, contexts) is
told apart, as bytes an object of this collection.

Where nothing is said the codec learns from the collection it is counted on, as it does in life; a small one then
flatters it. With --half it learns from one half and is counted on the other, with --train (also) from other files.
Objects are pruned of managedFields, and read back and compared before a figure is told.
"""

from __future__ import annotations

import argparse
import asyncio
import lzma
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.corpus import MADE, dump, make, read_dump
from benchmarks.harness.results import Record
from kinform._codec.codec import Codec
from kinform._codec.zstd import compress
from kinform._paths.prune_program import compile_prune
from kinform_ext._batch import Batch
from kinform_ext._scan import Scanner
from kinform_ext._table import Table

Objects = list[dict[str, Any]]
COLUMNS = ("objects", "pruned", "plain", "base", "after", "xz", "after/xz", "kept", "background_us", "read_us")
MOST = 5_000
"""Objects of a made-up kind: xz takes long."""


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """A record a collection, and way to learn."""
    if options.train and len(options.train) > len(options.corpus or ()):
        raise SystemExit("store: --train takes no more files than --corpus")
    for name, objects in _collections(options):
        if options.half:
            shuffled = random.Random(1).sample(objects, len(objects))
            yield _record(name, "one half", shuffled[: len(objects) // 2], shuffled[len(objects) // 2 :])
        if not (options.half or options.train):
            yield _record(name, "what is counted", [], objects)
    for counted, learnt in zip(options.corpus or (), options.train or (), strict=False):
        yield _record(_name(counted), "other files", load(learnt), load(counted))


def _record(name: str, learnt_from: str, learnt: Objects, counted: Objects) -> Record:
    figures = asyncio.run(_measure(learnt, counted))
    return {"record": "blobs", "collection": name, "learnt_from": learnt_from, "figures": figures}


def _collections(options: argparse.Namespace) -> Iterator[tuple[str, Objects]]:
    for path in options.corpus or ():
        yield _name(path), load(path)
    if not options.corpus:
        for name, (_, _, count) in MADE.items():
            yield name, make(name, options.objects or min(count, MOST), options.seed)[1]


def _name(path: Path) -> str:
    return path.name.partition(".")[0]


def load(path: Path) -> Objects:
    """The objects of a dump."""
    return read_dump(path)[1]


async def _measure(learnt: Objects, counted: Objects) -> dict[str, Any]:
    state = None
    if learnt:
        lesson = Table()
        teacher = Codec(lesson, rest=0)
        fill(lesson, learnt)
        await teacher.drain()
        state = teacher.state()
    table = Table()
    codec = Codec(table, rest=0)
    if state is not None:
        codec.restore(state)
    fill(table, counted)
    cuts = [table.encoder_input(id) for id in table.ids()]
    raws = [table.raw_of(id) for id in table.ids()]
    taught = codec.base
    begun = time.process_time()
    await codec.drain()
    spent = time.process_time() - begun
    if [table.raw_of(id) for id in table.ids()] != raws:
        raise SystemExit("store: an object does not read as it was written; no figure is told")
    base = compress if codec.base is None else codec.base.encoder()
    count = len(cuts)
    after = table.stats()["blob_bytes"] / count
    whole = len(lzma.compress(b"\n".join(cuts), preset=9 | lzma.PRESET_EXTREME)) / count
    result = {
        "objects": count,
        "pruned": sum(map(len, raws)) / count,
        "plain": sum(len(compress(cut)) for cut in cuts) / count,
        "base": sum(len(base(cut)) for cut in cuts) / count,
        "after": after,
        "xz": whole,
        "after/xz": after / whole,
        "kept": codec.dictionary_bytes / count,
        "background_us": spent / count * 1e6,
        "read_us": reading(table) * 1e6,
        "exemplars": codec.exemplars,
        "learnt_anew": bool(learnt) and codec.base is not taught,
    }
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in result.items()}


def fill(table: Table, objects: Objects) -> Table:
    """As a LIST would, in the order of the keys."""
    objects = sorted(objects, key=lambda found: (found["metadata"].get("namespace", ""), found["metadata"]["name"]))
    body = b'{"kind":"List","apiVersion":"v1","metadata":{},"items":[' + b",".join(map(dump, objects)) + b"]}"
    scanner = Scanner("list", compile_prune(("metadata.managedFields",), (), {}))
    for at in range(0, len(body), 128 << 10):
        for found in scanner.feed(body[at : at + (128 << 10)]):
            if isinstance(found, Batch):
                table.apply(0, found, False, False)
    scanner.finish()
    if len(table) != len(objects):
        raise SystemExit(f"store: {len(objects) - len(table)} of the objects were not taken")
    return table


def reading(table: Table) -> float:
    """Seconds an object, of the best of five rounds over all, in the order they lie."""
    ids = list(table.ids())
    rounds = []
    for _ in range(5):
        begun = time.thread_time()
        for id in ids:
            table.raw_of(id)
        rounds.append((time.thread_time() - begun) / len(ids))
    return min(rounds)


def table(records: list[Record]) -> str:
    """The result for people."""
    width = max(len(each["collection"]) for each in records) + 2
    lines = list[str]()
    for place, each in enumerate(records):
        if not place or each["learnt_from"] != records[place - 1]["learnt_from"]:
            lines.append(f"Bytes an object; learnt from {each['learnt_from']}.")
            lines.append(" " * width + "".join(f"{column:>14}" for column in COLUMNS))
        found = each["figures"]
        row = "".join(f"{found[c]:14.2f}" if c == "after/xz" else f"{found[c]:14,.0f}" for c in COLUMNS)
        lines.append(f"{each['collection']:{width}}{row}" + ("  (learnt anew)" if found["learnt_anew"] else ""))
    return "\n".join(lines)
