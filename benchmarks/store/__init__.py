"""Measures the store: compression, fixed costs of a small collection, warm starts.

Blobs: bytes an object, compared with the whole collection under xz -9e, from which no single object can be read; for
generated collections, or your own with --corpus. Fixed costs: a process with one informer, and with 50, on 200 objects
each. Warm start: the time from the start of the process, and from opening an informer with a snapshot, to the first
correct read, with the server's count of requests for the initial state. Realism: how the generated collections
compress, compared with measurements of real ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.corpus import realism
from benchmarks.harness.arguments import corpus, count
from benchmarks.harness.results import Record
from benchmarks.store import blobs, fixed, warm


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    text = "collections to measure instead of generated ones"
    parser.add_argument("--corpus", nargs="+", type=corpus, metavar="FILE", help=text)
    text = "a collection to learn from for each of --corpus, in that order"
    parser.add_argument("--train", nargs="+", type=corpus, metavar="FILE", help=text)
    parser.add_argument("--half", action="store_true", help="learn from one half of each collection, measure the other")
    parser.add_argument("--objects", type=count, metavar="N", help="objects of each generated kind and in a warm start")
    parser.add_argument("--rounds", type=count, default=3, help="warm starts; %(default)s")


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields records of blobs; for generated objects also those of the other parts."""
    for record in blobs.measure(options):
        yield {"benchmark": options.benchmark} | record
    if not options.corpus:
        for record in (*fixed.measure(options), *warm.measure(options)):
            yield {"benchmark": options.benchmark} | record
        for row in realism.rows(options.seed):
            yield {"benchmark": options.benchmark, "record": "realism"} | row


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    found = {name: [each for each in records if each["record"] == name] for name in PARTS}
    return "\n\n".join(part.table(found[name]) for name, part in PARTS.items() if found[name])


PARTS = {"blobs": blobs, "fixed": fixed, "warm": warm, "realism": realism}
