"""Measures controllers: reconciles per CPU second, and the memory of an operator.

The first part reconciles every pod of a collection, and changes nothing: a reconcile looks its object up by its key.
Each program is in a process of its own, on the same server, one after another in each round. Its answer is compared:
every object was reconciled in its last version, and nothing else was. The second part is the operator of
docs/examples/widget-operator and the same one on kopf. Both converge at the simulator, and what they wrote is compared.
Its memory counts beyond the idle process.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from benchmarks.controllers import operators, reconciles
from benchmarks.harness.arguments import count, only, plain
from benchmarks.harness.results import Record
from benchmarks.harness.text import MIB


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--objects", type=count, default=20_000, metavar="N", help="pods; default: %(default)s")
    parser.add_argument("--widgets", type=count, default=10_000, metavar="N", help="widgets; default: %(default)s")
    parser.add_argument("--rounds", type=count, default=3, help="number of rounds; default: %(default)s")
    parser.add_argument("--part", choices=["reconciles", "operators"], help="only one part; default: both")
    only(parser)
    plain(parser)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each program of both parts.

    Raises:
        SystemExit: A program did not do its work.
    """
    if options.part != "operators":
        yield from reconciles.measure(options)
    if options.part != "reconciles":
        yield from operators.measure(options)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = list[str]()
    for kind, found in groupby(records, itemgetter("record")):
        columns = reconciles.COLUMNS if kind == "reconciles" else operators.COLUMNS
        lines.append(f"\n{kind:24}" + "".join(f"{title:>22}" for title, _, _ in columns))
        for each in found:
            if "absent" in each:
                lines.append(f"{each['peer']:24}  {each['absent']}")
                continue
            cells = [_cell(each["figures"].get(figure), unit) for _, figure, unit in columns]
            lines.append(f"{each['peer']:24}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def _cell(figure: dict[str, float] | None, unit: str) -> str:
    if figure is None:
        return "-"
    return f"{figure['median'] / (MIB if unit == 'MiB' else 1):,.1f} {unit}".rstrip()
