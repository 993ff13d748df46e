"""Measures whether kinform stays right: a long run under random faults.

simulator: a million changes of pods, under faults of all kinds that `kinform.testing` and a TCP proxy can produce.
matrix: each of these faults, at each way to start.
control-plane: a real kube-apiserver and etcd, which are killed, frozen and compacted.

kinform runs in its own process. At checkpoints the load pauses, and two copies are compared with the server, object by
object and value by value: the store, and the copy that handlers build from their events. The handlers also check the
order of the events of each key. A difference is a failure, and so is a follower that does not recover.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.harness.arguments import count, only
from benchmarks.harness.results import Record
from benchmarks.harness.text import Column, rows, shown

PARTS = ("simulator", "matrix", "control-plane")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    text = "measure only this part; its records replace only those of the same part"
    parser.add_argument("--part", dest="kind", choices=PARTS, help=text)
    text = "changes on the simulator; default: %(default)s"
    parser.add_argument("--events", type=count, default=1_000_000, metavar="N", help=text)
    parser.add_argument("--objects", type=count, default=2_000, metavar="N", help="pods; default: %(default)s")
    text = "duration of the faults on a real control plane; default: %(default)s"
    parser.add_argument("--seconds", type=count, default=600, metavar="N", help=text)
    only(parser, "faults")


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields the records of each part."""
    from benchmarks.soak import control_plane, matrix, simulated

    parts = {"simulator": simulated.measure, "matrix": matrix.measure, "control-plane": control_plane.measure}
    for name in PARTS:
        if options.kind in (None, name):
            for record in parts[name](options):
                yield {"benchmark": options.benchmark} | record


RUN: tuple[Column, ...] = (
    ("lost objects", "lost", ""),
    ("invented objects", "invented", ""),
    ("wrong objects", "wrong", ""),
    ("violations of the order of events", "order", ""),
    ("requests", "requests_per_second", "/s"),
    ("changes", "events_per_second", "/s"),
    ("memory: third quarter of the run", "rss.third_quarter", "MiB"),
    ("memory: last quarter of the run", "rss.fourth_quarter", "MiB"),
    ("memory: largest", "rss.largest", "MiB"),
    ("memory: slope over the second half, per hour", "rss.slope", "MiB"),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    return "\n".join(line for each in records for line in _lines(each))


def _lines(record: Record) -> Iterator[str]:
    figures = record.get("figures", {})
    match record["record"]:
        case "absent":
            yield f"{record['kind']}: absent: {record['why']}"
        case "cell":
            seconds = f"{figures['seconds']:.2f} s, {figures['requests']} requests"
            state = "" if not _failed(record) else ": FAILED"
            yield f"    {record['fault']}, {record['start']}: {seconds}{state}"
        case "run":
            faults = f"{record['faults']:,} faults of {record['kinds']} kinds"
            yield f"\n{record['kind']}: {record['events']:,} changes, {faults}"
            for title, name, unit in RUN:
                if name in figures:
                    yield f"    {title:62}{shown(figures[name], unit):>14} {unit}".rstrip()
            yield from (f"    did not recover: {text}" for text in record["stuck"])
            yield from (f"    {text}" for text in record["examples"])
            yield "  seconds to recover: median, min, max"
        case "fault":
            yield from rows([(f"{record['fault']} ({record['count']})", "recovery", "s")], figures)


def verdict(records: list[Record]) -> int:
    """Returns 1 if a copy was wrong, or if kinform did not recover."""
    return int(any(_failed(each) for each in records))


def _failed(record: Record) -> bool:
    figures = record.get("figures", {})
    wrong = record.get("stuck") or not record.get("equal", True) or not record.get("bounded", True)
    return bool(wrong or any(figures.get(name) for name in ("lost", "invented", "wrong", "order")))
