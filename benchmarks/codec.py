"""How small a collection of real objects becomes in the store, and against what.

Bytes an object, of blobs alone: what plain zstandard makes of them (level 3), what the base does that the codec
chose (a dictionary or a prefix), what is left after the whole background pass with its exemplars, and, for
comparison, xz -9e over the whole collection at once, which nobody could read one object of. What is kept to read
them with (bases, exemplars, contexts) is told apart, as bytes an object of this collection.

Where nothing is said the codec learns from the collection it is counted on, as it does in life; a small one then
flatters it. With --half it learns from one half and is counted on the other, with --train from other files.
Objects are pruned of managedFields, and read back and compared before a figure is told.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import lzma
import platform
import random
import sys
import time
from pathlib import Path
from typing import Any

import zstandard

from benchmarks.corpus import dump
from kinform._codec import Codec
from kinform._coding import encode
from kinform._paths import compile
from kinform_ext._batch import Batch
from kinform_ext._scan import Scanner
from kinform_ext._table import Table

Objects = list[dict[str, Any]]
COLUMNS = ("objects", "pruned", "plain", "base", "after", "xz", "after/xz", "kept", "background_us", "read_us")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks codec", description=__doc__)
    parser.add_argument("--corpus", nargs="+", type=Path, required=True, help="a collection a file: JSON lines, or .xz")
    parser.add_argument("--train", nargs="+", type=Path, help="a file to learn from for each one to count")
    parser.add_argument("--half", action="store_true", help="learn from one half, count the other")
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    options = parser.parse_args(arguments)
    if options.train and (options.half or len(options.train) != len(options.corpus)):
        parser.error("--train takes as many files as --corpus, and no --half")
    results = {}
    for place, path in enumerate(options.corpus):
        counted = load(path)
        learnt = load(options.train[place]) if options.train else []
        if options.half:
            random.Random(1).shuffle(counted)
            learnt, counted = counted[: len(counted) // 2], counted[len(counted) // 2 :]
        results[path.name.split(".")[0]] = asyncio.run(measure(learnt, counted))
    told = {
        "benchmark": "codec",
        "unit": "bytes an object",
        "learnt_from": "one half" if options.half else "other files" if options.train else "what is counted",
        "python": platform.python_version(),
        "zstandard": ".".join(map(str, zstandard.ZSTD_VERSION)),
        "machine": platform.machine(),
        "results": results,
    }
    print(json.dumps(told, indent=2) if options.json else as_table(told))
    return 0


def load(path: Path) -> Objects:
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as lines:
        return [json.loads(line) for line in lines]


async def measure(learnt: Objects, counted: Objects) -> dict[str, Any]:
    state = None
    if learnt:
        lesson = Table()
        teacher = Codec(lesson, rest=0)
        fill(lesson, learnt)
        await teacher.settled()
        state = teacher.state()
    table = Table()
    codec = Codec(table, rest=0)
    if state is not None:
        codec.restore(state)
    fill(table, counted)
    cuts = [table.cut_of(id) for id in table.ids()]
    raws = [table.raw_of(id) for id in table.ids()]
    taught = codec.base
    begun = time.process_time()
    await codec.settled()
    spent = time.process_time() - begun
    if [table.raw_of(id) for id in table.ids()] != raws:
        raise SystemExit("codec: an object does not read as it was written; no figure is told")
    base = encode if codec.base is None else codec.base.encoder()
    count = len(cuts)
    after = table.stats()["blob_bytes"] / count
    whole = len(lzma.compress(b"\n".join(cuts), preset=9 | lzma.PRESET_EXTREME)) / count
    result = {
        "objects": count,
        "pruned": sum(map(len, raws)) / count,
        "plain": sum(len(encode(cut)) for cut in cuts) / count,
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
    scanner = Scanner("list", compile(("metadata.managedFields",), (), {}))
    for at in range(0, len(body), 128 << 10):
        for found in scanner.feed(body[at : at + (128 << 10)]):
            if isinstance(found, Batch):
                table.apply(0, found, False, False)
    scanner.finish()
    if len(table) != len(objects):
        raise SystemExit(f"codec: {len(objects) - len(table)} of the objects were not taken")
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


def as_table(told: dict[str, Any]) -> str:
    width = max(map(len, told["results"])) + 2
    lines = [f"Bytes an object; learnt from {told['learnt_from']}.", " " * width + "".join(f"{c:>14}" for c in COLUMNS)]
    for name, result in told["results"].items():
        row = "".join(f"{result[c]:14.2f}" if c == "after/xz" else f"{result[c]:14,.0f}" for c in COLUMNS)
        lines.append(f"{name:{width}}{row}" + ("  (learnt anew)" if result["learnt_anew"] else ""))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
