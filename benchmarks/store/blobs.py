"""Measures how small a collection becomes in the store.

Bytes an object, of blobs: under plain zstandard (level 3), under the base that the codec chose (a dictionary or a
prefix), after the background pass with its exemplars, and for comparison under xz -9e over the whole collection. The
memory that is needed to read them (bases, exemplars, contexts) is reported separately, as bytes an object.

By default the codec learns from the collection that it is measured on, as it does in use; a small collection looks
better than it is then. With --half it learns from one half and is measured on the other; with --train it learns from
other files. Objects are pruned of managedFields. All are read back and compared before figures are reported.
"""

from __future__ import annotations

import argparse
import asyncio
import lzma
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.corpus import MADE, dump, make, read_dump
from benchmarks.harness.results import Record
from kinform._codec.codec import Codec
from kinform._paths.prune_program import compile_prune
from kinform_ext._batch import Batch
from kinform_ext._scan import Scanner
from kinform_ext._table import Table

Objects = list[dict[str, Any]]
COLUMNS = ("objects", "pruned", "plain", "base", "after", "xz", "after/xz", "kept", "background_us", "read_us")
MAX_GENERATED = 5_000
"""Objects of a generated kind: xz is slow."""
SAME, HALF, FILES = "the same objects", "one half", "other files"


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each collection, and each set of objects to learn from."""
    if options.train and len(options.train) > len(options.corpus or ()):
        raise SystemExit("store: --train takes at most as many files as --corpus")
    for name, objects in _collections(options):
        if options.half:
            shuffled = random.Random(1).sample(objects, len(objects))
            yield _record(name, HALF, shuffled[: len(objects) // 2], shuffled[len(objects) // 2 :])
        if not (options.half or options.train):
            yield _record(name, SAME, [], objects)
    for measured, learnt in zip(options.corpus or (), options.train or (), strict=False):
        yield _record(_name(measured), FILES, load(learnt), load(measured))


def _record(name: str, learnt_from: str, learnt: Objects, measured: Objects) -> Record:
    figures = asyncio.run(_measure(learnt, measured))
    return {"record": "blobs", "collection": name, "learnt_from": learnt_from, "figures": figures}


def _collections(options: argparse.Namespace) -> Iterator[tuple[str, Objects]]:
    for path in options.corpus or ():
        yield _name(path), load(path)
    if not options.corpus:
        for name, (_, _, count) in MADE.items():
            yield name, make(name, options.objects or min(count, MAX_GENERATED), options.seed)[1]


def _name(path: Path) -> str:
    return path.name.partition(".")[0]


def load(path: Path) -> Objects:
    """Returns the objects of a dump."""
    return read_dump(path)[1]


async def _measure(learnt: Objects, measured: Objects) -> dict[str, Any]:
    state = None
    if learnt:
        training = Table()
        trained = Codec(training, rest_ratio=0)
        fill(training, learnt)
        await trained.drain()
        state = trained.state()
    table = Table()
    codec = Codec(table, rest_ratio=0)
    if state is not None:
        codec.restore(state)
    fill(table, measured)
    cuts = [table.encoder_input(id) for id in table.ids()]
    raws = [table.raw_of(id) for id in table.ids()]
    restored = codec.base
    start = time.process_time()
    await codec.drain()
    spent = time.process_time() - start
    if [table.raw_of(id) for id in table.ids()] != raws:
        raise SystemExit("store: an object differs when it is read back; no figures are reported")
    plain = plain_encoder()
    base = plain if codec.base is None else codec.base.encoder()
    count = len(cuts)
    after = table.stats()["blob_bytes"] / count
    whole = len(lzma.compress(b"\n".join(cuts), preset=9 | lzma.PRESET_EXTREME)) / count
    result = {
        "objects": count,
        "pruned": sum(map(len, raws)) / count,
        "plain": sum(len(plain(cut)) for cut in cuts) / count,
        "base": sum(len(base(cut)) for cut in cuts) / count,
        "after": after,
        "xz": whole,
        "after/xz": after / whole,
        "kept": codec.dictionary_bytes / count,
        "background_us": spent / count * 1e6,
        "read_us": read_seconds(table) * 1e6,
        "exemplars": codec.exemplars,
        "learnt_anew": bool(learnt) and codec.base is not restored,
    }
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in result.items()}


def plain_encoder() -> Callable[[bytes], bytes]:
    """Makes an encoder of frames like those of stored objects, but without a base."""
    import zstandard  # an optional package

    magicless = zstandard.FORMAT_ZSTD1_MAGICLESS
    params = zstandard.ZstdCompressionParameters(
        compression_level=3, format=magicless, write_checksum=False, write_dict_id=False
    )
    return zstandard.ZstdCompressor(compression_params=params).compress


def fill(table: Table, objects: Objects) -> Table:
    """Fills a table as a LIST does, in the order of the keys."""
    objects = sorted(objects, key=lambda found: (found["metadata"].get("namespace", ""), found["metadata"]["name"]))
    body = b'{"kind":"List","apiVersion":"v1","metadata":{},"items":[' + b",".join(map(dump, objects)) + b"]}"
    scanner = Scanner("list", compile_prune(("metadata.managedFields",), (), {}))
    for at in range(0, len(body), 128 << 10):
        for found in scanner.feed(body[at : at + (128 << 10)]):
            if isinstance(found, Batch):
                table.apply(0, found, False, False)
    scanner.finish()
    if len(table) != len(objects):
        raise SystemExit(f"store: {len(objects) - len(table)} objects were not stored")
    return table


def read_seconds(table: Table) -> float:
    """Measures CPU seconds to read an object: the best of five rounds over all."""
    ids = list(table.ids())
    rounds = []
    for _ in range(5):
        start = time.thread_time()
        for id in ids:
            table.raw_of(id)
        rounds.append((time.thread_time() - start) / len(ids))
    return min(rounds)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    width = max(len(each["collection"]) for each in records) + 2
    lines = list[str]()
    for place, each in enumerate(records):
        if not place or each["learnt_from"] != records[place - 1]["learnt_from"]:
            lines.append(f"Bytes an object; learnt from {each['learnt_from']}.")
            lines.append(" " * width + "".join(f"{column:>14}" for column in COLUMNS))
        found = each["figures"]
        row = "".join(f"{found[c]:14.2f}" if c == "after/xz" else f"{found[c]:14,.0f}" for c in COLUMNS)
        lines.append(f"{each['collection']:{width}}{row}" + ("  (learnt again)" if found["learnt_anew"] else ""))
    return "\n".join(lines)
