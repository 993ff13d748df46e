"""Runs all benchmarks, one after another, then writes the page.

Each benchmark stores its records as if it had run alone. If a benchmark fails, the others still run. The failed ones
are listed at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import report
from benchmarks.harness.process import ROOT

RUNS: tuple[tuple[str, ...], ...] = (
    ("peers",),
    ("peers", "--kind", "namespaces", "--representative", "--rounds", "1"),
    ("variants",),
    ("delays",),
    ("threads",),
    ("memory",),
    ("speed", "--save"),
    ("dropin",),
    ("controllers",),
    ("store",),
    ("scope",),
    ("fleet",),
    ("bounded",),
    ("real",),
    ("scale",),
    ("scale", "--kind", "namespaces"),
    ("soak",),
)


def main(arguments: list[str]) -> int:
    """Runs each benchmark in its own process, which inherits no memory from another."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks all", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=report.RESULTS,
        metavar="FILE",
        help=f"the results file; default: {report.RESULTS.relative_to(ROOT)}",
    )
    parser.add_argument("--json", action="store_true", help="print records instead of tables")
    options = parser.parse_args(arguments)
    failed, start = [], time.monotonic()
    for run in RUNS:
        print(f"\n== {' '.join(run)} ({(time.monotonic() - start) / 60:.0f} min)\n", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks", *run, "--results", str(options.results)]
        if subprocess.run([*command, *(["--json"] if options.json else [])], check=False).returncode:
            failed.append(" ".join(run))
    report.main(["--results", str(options.results)])
    for name in failed:
        print(f"failed: {name}", file=sys.stderr)
    return int(bool(failed))
