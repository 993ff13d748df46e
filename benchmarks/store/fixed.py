"""Measures the fixed costs of a collection.

A process has one informer on 200 objects, or 50 of them. Figures are bytes beyond a process with one informer on an
empty collection, including the 200 objects. Over TLS the buffers of a connection are added.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows
from benchmarks.harness.waiting import wait_until_idle

MANY_INFORMERS = "benchmarks/store/many.py"
OBJECTS = 200
MANY = 50
IDLE_TIMEOUT = 60.0


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each kind and transport."""
    for kind, tls in (("pods", False), ("services", False), ("services", True)):
        served = {"resource": kind, "objects": OBJECTS, "seed": options.seed, "corpus": None}
        with Process(python(SERVER), **served, tls=tls) as server:
            about = server.do("open")
            empty, one, many = (
                _resident(about, resource, informers)
                for resource, informers in (("v1/nothings", 1), (about["resource"], 1), (about["resource"], MANY))
            )
            found = {"one": one - empty, "each_of_many": (many - empty) / MANY, "many": many, "empty": empty}
        yield {
            "record": "fixed",
            "kind": kind,
            "tls": tls,
            "objects": OBJECTS,
            "informers": MANY,
            "pruned_bytes": about["pruned_bytes"],
            "figures": spreads([found]),
        }


def _resident(about: dict[str, Any], resource: str, informers: int) -> int:
    given = {"url": about["url"], "ca": about["ca"], "resource": resource, "informers": informers}
    with Process(python(MANY_INFORMERS), **given) as process:
        if resource != "v1/nothings" and process.do("objects") != OBJECTS * informers:
            raise SystemExit("store: an informer holds other objects than the server; no figures are reported")
        wait_until_idle(process.gauge, IDLE_TIMEOUT)
        return process.gauge.rss()


COLUMNS: tuple[Column, ...] = (
    ("one informer, above empty", "one", "MiB"),
    (f"each of {MANY} informers, above empty", "each_of_many", "MiB"),
    (f"process with {MANY} informers", "many", "MiB"),
    ("process with one empty informer", "empty", "MiB"),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = []
    for each in records:
        transport = "over TLS" if each["tls"] else "plain"
        lines.append(f"informers on {each['objects']} {each['kind']}, {each['pruned_bytes']:,} B as JSON, {transport}")
        lines += rows(COLUMNS, each["figures"])
    return "\n".join(lines)
