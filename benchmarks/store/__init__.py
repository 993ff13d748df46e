"""Measures the store: compression, fixed costs, idle processes, warm starts.

Blobs: the bytes that an object takes in total, compared with `xz -9e` of the whole collection, from which no single
object can be read; and the CPU time of a write and a read. The collections are generated, or your own with --corpus.
Adversarial: generated collections that suit the coder badly, compared with zstandard in bytes and CPU time.
Fixed costs: the memory of a process with one informer, and with 50 informers, on 200 objects each.
Idle: the memory of a process without objects, by the way it connects; idle watches over TLS; the import of kinform.
Warm start: the time to the first correct read, from the start of the process and from the opening of an informer with a
snapshot. The server counts the requests for the initial state.
Realism: how well the generated collections compress, compared with measurements of real ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.corpus import realism
from benchmarks.harness.arguments import corpus, count
from benchmarks.harness.results import Record
from benchmarks.store import adversarial, blobs, fixed, idle, warm


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    text = "measure the objects of these files instead of generated ones"
    parser.add_argument("--corpus", nargs="+", type=corpus, metavar="FILE", help=text)
    text = "put these objects into the store before: the first file for the first of --corpus, and so on"
    parser.add_argument("--after", nargs="+", type=corpus, metavar="FILE", help=text)
    text = "measure also what one half of each collection adds to the other half"
    parser.add_argument("--half", action="store_true", help=text)
    parser.add_argument(
        "--objects", type=count, metavar="N", help="number of objects of each generated kind, and in a warm start"
    )
    parser.add_argument("--rounds", type=count, default=3, help="rounds of the warm starts; default: %(default)s")


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields records of blobs; for generated objects also those of the other parts."""
    for record in blobs.measure(options):
        yield {"benchmark": options.benchmark} | record
    if not options.corpus:
        for part in (adversarial, fixed, idle, warm):
            for record in part.measure(options):
                yield {"benchmark": options.benchmark} | record
        for row in realism.rows(options.seed):
            yield {"benchmark": options.benchmark, "record": "realism"} | row


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    found = {name: [each for each in records if each["record"] == name] for name in PARTS}
    return "\n\n".join(part.table(found[name]) for name, part in PARTS.items() if found[name])


PARTS = {"blobs": blobs, "adversarial": adversarial, "fixed": fixed, "idle": idle, "warm": warm, "realism": realism}
