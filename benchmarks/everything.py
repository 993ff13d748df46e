"""Every measurement, one after another, and the page that is made of them.

What is kept of each, and in which file, is as if each had been run by itself; a measurement that fails is told in the
end, and does not keep the others from being made.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import report

RUNS: tuple[tuple[str, ...], ...] = (
    ("peers",),
    ("peers", "--kind", "namespaces", "--representative", "--rounds", "1"),
    ("variants",),
    ("delays",),
    ("memory",),
    ("speed", "--save"),
    ("store",),
    ("scope",),
    ("real", "--rounds", "1"),
    ("scale",),
    ("scale", "--kind", "namespaces"),
)


def main(arguments: list[str]) -> int:
    """Runs each in a process of its own, so that none of them inherits what another left in memory."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks all", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=report.RESULTS, metavar="FILE", help="%(default)s")
    parser.add_argument("--json", action="store_true", help="print records instead of tables")
    options = parser.parse_args(arguments)
    failed, begun = [], time.monotonic()
    for run in RUNS:
        print(f"\n== {' '.join(run)} ({(time.monotonic() - begun) / 60:.0f} min)\n", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks", *run, "--results", str(options.results)]
        if subprocess.run([*command, *(["--json"] if options.json else [])], check=False).returncode:
            failed.append(" ".join(run))
    report.main(["--results", str(options.results)])
    for name in failed:
        print(f"failed: {name}", file=sys.stderr)
    return int(bool(failed))
