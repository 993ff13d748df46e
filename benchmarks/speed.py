"""Measures single operations of kinform and of its alternatives.

Runs `benchmarks/micro`, and prints a table for each group. The docstring of `benchmarks/micro/__init__.py` describes
the alternatives and the bias. Times are CPU times of one thread, in nanoseconds per object. GB/s are 10**9 bytes per
second of the processed data: a body in the form in which the server sends it, or pruned objects. `-k` selects
benchmarks, as in pytest: `-k scan`, `-k "raw or keys"`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.harness.arguments import count
from benchmarks.harness.process import ROOT
from benchmarks.harness.results import Record
from benchmarks.harness.text import nanoseconds

OBJECTS, OBJECTS_QUICK = 20_000, 500
HISTORY = "build/benchmarks/micro"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--objects",
        type=count,
        metavar="N",
        help=f"number of pods and of namespaces; default: {OBJECTS}, or {OBJECTS_QUICK} with --quick",
    )
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="run only the benchmarks that match")
    parser.add_argument("--quick", action="store_true", help="few rounds, for a first look")
    parser.add_argument(
        "--save", action="store_true", help=f"keep the run in {HISTORY}, for `pytest-benchmark compare`"
    )


def measure(options: argparse.Namespace) -> list[Record]:
    """Runs the selected benchmarks in their own process.

    Returns a record for each, in the order of the groups.

    Raises:
        SystemExit: An answer was wrong, or nothing matches; pytest wrote the reason to stderr.
    """
    objects = options.objects or (OBJECTS_QUICK if options.quick else OBJECTS)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "pytest", "benchmarks/micro", "-q", "-p", "no:cacheprovider", "-k", options.k]
        command += [f"--benchmark-json={result}", "--benchmark-quiet"]
        command += ["--benchmark-min-rounds=3", "--benchmark-max-time=0.1"] if options.quick else []
        command += ["--benchmark-autosave"] if options.save else []
        command += [f"--benchmark-storage=file://{HISTORY if options.save else folder}"]
        environment = os.environ | {"KINFORM_BENCH_OBJECTS": str(objects), "KINFORM_BENCH_SEED": str(options.seed)}
        if subprocess.run(command, cwd=ROOT, env=environment, stdout=2, check=False).returncode:
            matching = f"nothing matches -k {options.k!r}, or " if options.k else ""
            raise SystemExit(f"speed: no figures are reported: {matching}an answer was wrong, see above")
        found = json.loads(result.read_text())["benchmarks"]
    groups = {name: place for place, name in enumerate(dict.fromkeys(each["group"] for each in found))}
    return sorted((record(options.benchmark, each) for each in found), key=lambda each: groups[each["group"]])


def record(benchmark: str, found: dict[str, Any]) -> Record:
    """Converts the result of one pytest-benchmark test to a record, per object."""
    stats, info = found["stats"], found["extra_info"]
    seconds = {end: stats[end] for end in ("median", "min", "max")}
    result: Record = {
        "benchmark": benchmark,
        "group": found["group"],
        "name": found["params"]["name"],
        "figures": {"ns": {end: taken / info["objects"] * 1e9 for end, taken in seconds.items()}},
        "objects": info["objects"],
        "rounds": stats["rounds"],
    }
    if "bytes" in info:
        opposite = {"median": "median", "min": "max", "max": "min"}  # the longest time is the lowest speed
        result["figures"]["gb_per_s"] = {end: info["bytes"] / seconds[of] / 1e9 for end, of in opposite.items()}
        result["bytes"] = info["bytes"]
    return result


def table(records: Iterable[Record]) -> str:
    """Formats the records for a terminal."""
    lines = []
    for group, found in groupby(records, itemgetter("group")):
        members = list(found)
        ours = next((each["figures"]["ns"]["median"] for each in members if each["name"].startswith("kinform")), None)
        lines.append(f"\n{group:40}{'median ns':>12}{'min':>12}{'max':>12}{'GB/s':>8}{'x kinform':>11}")
        for each in members:
            figures = each["figures"]
            row = "".join(f"{nanoseconds(figures['ns'][end]):>12}" for end in ("median", "min", "max"))
            speed = f"{figures['gb_per_s']['median']:8.2f}" if "gb_per_s" in figures else " " * 8
            ratio = f"{figures['ns']['median'] / ours:11.2f}" if ours else ""
            lines.append(f"  {each['name']:38}{row}{speed}{ratio}")
    return "\n".join(lines)
