"""A start from a snapshot: how long until the first object is read, and that the state was not asked for.

From the start of the process, imports included, and from the opening of the informer; the first read gets and decodes
an object that is compared with what a start without a snapshot reads, which stands beside it. A first process writes
the snapshot. The server counts how often it was asked for the state, by a LIST or by a watch that begins with it.
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

from benchmarks.harness.process import ROOT, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Row, rows

SERVER, SUBJECT = "benchmarks/harness/server.py", "benchmarks/store/start.py"
OBJECTS = 100_000


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """One record."""
    objects = options.objects or OBJECTS
    made = {"resource": "namespaces", "objects": objects, "seed": options.seed, "corpus": None}
    with Process(python(SERVER), **made) as server, tempfile.TemporaryDirectory() as folder:
        about, kept = server.do("open"), str(Path(folder) / "namespaces.kinform")
        wanted = {"url": about["url"], "resource": about["resource"]}
        _start(wanted | {"snapshot": kept})  # writes it
        rounds, lists = [], 0
        for _ in range(options.rounds):
            cold, before = _start(wanted | {"snapshot": None}), _states(server)
            warm, lists = _start(wanted | {"snapshot": kept}), lists + _states(server) - before
            if cold.pop("found") != warm.pop("found"):
                raise SystemExit("store: a warm start reads another object than a cold one; no figure is told")
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


def _states(server: Process) -> int:
    """How often all that there is was asked for: by a LIST, or by a watch that begins with it."""
    asked = server.do("asked")
    return int(asked.get("list", 0) + asked.get("stream", 0))


def _start(options: dict[str, Any]) -> dict[str, Any]:
    begun = time.perf_counter()
    command = [sys.executable, "-P", str(ROOT / SUBJECT), json.dumps(options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        whole = time.perf_counter() - begun
        process.communicate()
    return json.loads(line) | {"from_process_start": whole}


COLUMNS: tuple[Row, ...] = (
    ("warm: from opening to a read", "warm.from_open", "ms"),
    ("warm: the same, CPU time", "warm.cpu_from_open", "ms"),
    ("warm: from the start of the process", "warm.from_process_start", "ms"),
    ("without: from opening", "cold.from_open", "ms"),
    ("without: from the process' start", "cold.from_process_start", "ms"),
)


def table(records: list[Record]) -> str:
    """The result for people."""
    lines = []
    for each in records:
        size = f"{each['objects']:,} {each['kind']}"
        lines.append(f"warm start, {size}; the state was asked for {each['lists']} times; median, min, max")
        lines += rows(COLUMNS, each["figures"])
    return "\n".join(lines)
