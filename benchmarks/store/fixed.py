"""What a collection costs before it holds many objects: one informer on 200, and 50 of them in one process.

Bytes beyond a process with one informer on an empty collection, whatever the 200 objects take included. Over TLS a
connection's buffers come on top.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.harness.process import Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Row, rows

SERVER, SUBJECT = "benchmarks/harness/server.py", "benchmarks/store/many.py"
CERTIFICATES = "tests/support/certificates"
OBJECTS = 200
MANY = 50
QUIET_LIMIT = 60.0


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """A record a kind and transport."""
    for kind, certificate in (("pods", None), ("services", None), ("services", f"{CERTIFICATES}/server.pem")):
        made = {"resource": kind, "objects": OBJECTS, "seed": options.seed, "corpus": None, "certificate": certificate}
        with Process(python(SERVER), **made) as server:
            about = server.do("open")
            ca = None if certificate is None else f"{CERTIFICATES}/ca.pem"
            empty, one, many = (
                _held(about["url"], resource, ca, informers)
                for resource, informers in (("v1/nothings", 1), (about["resource"], 1), (about["resource"], MANY))
            )
            found = {"one": one - empty, "each_of_many": (many - empty) / MANY, "many": many, "empty": empty}
        yield {
            "record": "fixed",
            "kind": kind,
            "tls": certificate is not None,
            "objects": OBJECTS,
            "informers": MANY,
            "pruned_bytes": about["pruned_bytes"],
            "figures": spreads([found]),
        }


def _held(url: str, resource: str, ca: str | None, informers: int) -> int:
    with Process(python(SUBJECT), url=url, resource=resource, ca=ca, informers=informers) as process:
        if resource != "v1/nothings" and process.do("objects") != OBJECTS * informers:
            raise SystemExit("store: an informer does not hold what the server has; no figure is told")
        process.gauge.until_quiet(QUIET_LIMIT)
        return process.gauge.rss()


COLUMNS: tuple[Row, ...] = (
    ("one informer, beyond an empty one", "one", "MiB"),
    (f"each of {MANY}", "each_of_many", "MiB"),
    (f"process with {MANY}", "many", "MiB"),
    ("process with an empty one", "empty", "MiB"),
)


def table(records: list[Record]) -> str:
    """The result for people."""
    lines = []
    for each in records:
        over = "over TLS" if each["tls"] else "plain"
        lines.append(f"informers on {each['objects']} {each['kind']} each, {each['pruned_bytes']:,} B as JSON, {over}")
        lines += rows(COLUMNS, each["figures"])
    return "\n".join(lines)
