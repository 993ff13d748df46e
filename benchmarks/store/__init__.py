"""What the store makes of objects, kind by kind, what a collection costs before it holds many, and how it starts warm.

Blobs: bytes an object, beside what the whole collection takes together under xz -9e, of which nobody could read one
object: made-up collections and, with --corpus, your own. Fixed costs: a process with one, and with 50, informers on
200 objects each. Warm start: from a snapshot, from the start of the process and from the opening of the informer to
the first correct read, with the server's count of requests for the state. What is read is compared beforehand.
Likeness: how the made-up collections compress, beside what was measured on real ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.corpus import realism
from benchmarks.harness.arguments import corpus, count
from benchmarks.harness.results import Record
from benchmarks.store import blobs, fixed, warm


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", nargs="+", type=corpus, metavar="FILE", help="collections instead of made-up ones")
    of = "one to learn from for each of the first to count"
    parser.add_argument("--train", nargs="+", type=corpus, metavar="FILE", help=of)
    parser.add_argument("--half", action="store_true", help="learn from one half, count the other")
    parser.add_argument("--objects", type=count, metavar="N", help="of each made-up kind, and in the warm start")
    parser.add_argument("--rounds", type=count, default=3, help="of warm starts; %(default)s")


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Records of blobs; and of fixed costs and warm starts, where objects are made up."""
    for record in blobs.measure(options):
        yield {"benchmark": options.benchmark} | record
    if not options.corpus:
        for record in (*fixed.measure(options), *warm.measure(options)):
            yield {"benchmark": options.benchmark} | record
        for row in realism.rows(options.seed):
            yield {"benchmark": options.benchmark, "record": "realism"} | row


def table(records: list[Record]) -> str:
    """The result for people."""
    found = {name: [each for each in records if each["record"] == name] for name in PARTS}
    return "\n\n".join(part.table(found[name]) for name, part in PARTS.items() if found[name])


PARTS = {"blobs": blobs, "fixed": fixed, "warm": warm, "realism": realism}
