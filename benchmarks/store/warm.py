"""Measures the time from a start with a snapshot to the first read.

Times are from the start of the process, imports included, and from opening the informer. The first read decodes an
object, which is compared with the same read without a snapshot. A first process writes the snapshot. The server counts
the requests for the initial state: a LIST, or a watch with initial events.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness.process import ROOT, SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows

PROGRAM = "benchmarks/store/start.py"
OBJECTS = 100_000


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields one record."""
    objects = options.objects or OBJECTS
    served = {"resource": "namespaces", "objects": objects, "seed": options.seed, "corpus": None}
    with Process(python(SERVER), **served) as server, tempfile.TemporaryDirectory() as folder:
        about, snapshot = server.do("open"), str(Path(folder) / "namespaces.kinform")
        given = {"url": about["url"], "resource": about["resource"], "key": min(server.do("versions"))}
        _start(given | {"snapshot": snapshot})  # writes it
        rounds, lists = [], 0
        for _ in range(options.rounds):
            cold, before = _start(given | {"snapshot": None}), _state_requests(server)
            warm, lists = _start(given | {"snapshot": snapshot}), lists + _state_requests(server) - before
            if cold.pop("found") != warm.pop("found"):
                raise SystemExit("store: a warm start reads another object than a cold one; no figures are reported")
            rounds.append(
                {f"{name}.{at}": value for name, each in (("cold", cold), ("warm", warm)) for at, value in each.items()}
            )
    yield {
        "record": "warm",
        "kind": "namespaces",
        "objects": objects,
        "lists": lists,
        "figures": spreads(rounds),  # type: ignore[arg-type]
    }


def _state_requests(server: Process) -> int:
    """The number of LISTs and of watches with initial events."""
    counts = server.do("request_counts")
    return int(counts.get("list", 0) + counts.get("stream", 0))


def _start(options: dict[str, Any]) -> dict[str, Any]:
    start = time.perf_counter()
    command = [sys.executable, "-P", str(ROOT / PROGRAM), json.dumps(options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
        process.communicate()
    return json.loads(line) | {"from_process_start": seconds}


COLUMNS: tuple[Column, ...] = (
    ("warm: from opening the informer", "warm.from_open", "ms"),
    ("warm: from opening the informer, CPU time", "warm.cpu_from_open", "ms"),
    ("warm: from the start of the process", "warm.from_process_start", "ms"),
    ("cold: from opening the informer", "cold.from_open", "ms"),
    ("cold: from the start of the process", "cold.from_process_start", "ms"),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = []
    for each in records:
        size = f"{each['objects']:,} {each['kind']}"
        lines.append(
            f"warm start, {size}; {each['lists']} requests for the initial state; to the first read: median, min, max"
        )
        lines += rows(COLUMNS, each["figures"])
    return "\n".join(lines)
