"""Measures collections that suit the coder badly, against zstandard alone.

    drifting    each object differs in a few values from the one before, so that none resembles the first
    shuffled    each object has the same members in another order
    strings     each object has a string of 1 MiB
    words       each object has 64 KiB of short words
    random      no object repeats anything, neither keys nor values

Sizes are what the coder keeps in total (see `benchmarks.store.blobs`). Times are CPU times of the writes into an empty
table, and of zstandard alone: the best of some rounds. "alone" uses the libzstd that kinform links, so that the ratio
is the cost of the coder; "package" uses the package zstandard, whose own libzstd may be faster.
"""

from __future__ import annotations

import argparse
import base64
import random
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.harness.results import Record
from benchmarks.store.filling import Objects, check, cuts, kept_bytes, listed, load, raws
from benchmarks.store.rivals import Frames, SystemFrames
from kinform_ext._table import Table

ROUNDS = 3
VALUES = 200
"""Members of an object."""
CHANGES = 20
"""Members in which a drifting object differs from the one before."""
WORDS_BYTES, STRING_BYTES = 64 << 10, 1 << 20


def _drifting(rng: random.Random) -> Iterator[dict[str, str]]:
    data = {f"key-{number}": _text(rng, 24) for number in range(VALUES)}
    while True:
        data = data | {name: _text(rng, 24) for name in rng.sample(list(data), CHANGES)}
        yield data


def _shuffled(rng: random.Random) -> Iterator[dict[str, str]]:
    members = [(f"key-{number}", _text(rng, 24)) for number in range(VALUES)]
    while True:
        yield dict(rng.sample(members, VALUES))


def _strings(rng: random.Random) -> Iterator[dict[str, str]]:
    while True:
        yield {"text": _text(rng, STRING_BYTES)}


def _words(rng: random.Random) -> Iterator[dict[str, str]]:
    known = [rng.randbytes(rng.randint(1, 3)).hex() for _ in range(2_000)]
    while True:
        yield {"text": " ".join(rng.choices(known, k=WORDS_BYTES // 5))[:WORDS_BYTES]}


def _random(rng: random.Random) -> Iterator[dict[str, str]]:
    while True:
        yield {_text(rng, 16): _text(rng, 32) for _ in range(VALUES // 2)}


def _text(rng: random.Random, size: int) -> str:
    return base64.b64encode(rng.randbytes(size * 3 // 4 + 3)).decode()[:size]


COLLECTIONS: dict[str, tuple[Callable[[random.Random], Iterator[dict[str, str]]], int]] = {
    "drifting": (_drifting, 1_000),
    "shuffled": (_shuffled, 1_000),
    "strings": (_strings, 16),
    "words": (_words, 100),
    "random": (_random, 1_000),
}
"""The content of the objects, and the number of objects."""


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each collection."""
    for name, (contents, count) in COLLECTIONS.items():
        rng = random.Random(f"{options.seed} {name}")
        objects = [_object(number, data) for number, data in zip(range(count), contents(rng), strict=False)]
        yield {"record": "adversarial", "collection": name, "objects": count, "figures": _figures(objects)}


def _object(number: int, data: dict[str, str]) -> dict[str, Any]:
    uid = f"00000000-0000-4000-8000-{number:012x}"
    metadata = {"name": f"config-{number:06}", "namespace": "default", "uid": uid, "resourceVersion": str(number + 1)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _figures(objects: Objects) -> dict[str, float]:
    batches, count, times = listed(objects), len(objects), dict[str, list[float]]()
    cut, system, package = cuts(batches), SystemFrames(), Frames()
    for _ in range(ROUNDS):  # in turn, so that the load of the machine affects both
        table = Table()
        times.setdefault("put", []).append(load(table, batches))
        frames, spent = system.encode(cut)
        times.setdefault("alone", []).append(spent)
        times.setdefault("package", []).append(package.encode(cut)[1])
    check(table, raws(batches))
    size, alone = sum(kept_bytes(table)), sum(map(len, frames))
    put_seconds, alone_seconds, package_seconds = (min(times[name]) for name in ("put", "alone", "package"))
    return {
        "pruned": sum(map(len, raws(batches))) / count,
        "total": size / count,
        "alone": alone / count,
        "total/alone": size / alone,
        "put_us": put_seconds / count * 1e6,
        "alone_us": alone_seconds / count * 1e6,
        "package_us": package_seconds / count * 1e6,
        "put/alone": put_seconds / alone_seconds,
    }


COLUMNS = ("pruned", "total", "alone", "total/alone", "put_us", "alone_us", "package_us", "put/alone")


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = ["Adversarial collections; bytes and CPU us per object, and kinform divided by zstandard alone"]
    lines.append(" " * 14 + "".join(f"{column:>14}" for column in ("objects", *COLUMNS)))
    for each in records:
        cells = (f"{each['figures'][c]:14,.2f}" if "/" in c else f"{each['figures'][c]:14,.0f}" for c in COLUMNS)
        lines.append(f"{each['collection']:14}{each['objects']:14,}{''.join(cells)}")
    return "\n".join(lines)
