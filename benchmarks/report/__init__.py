"""Writes `docs/benchmarks.md`, its plots, and the figures that other pages quote, from the results file alone.

Measures nothing. What stands between `<!-- benchmarks: NAME -->` and `<!-- end -->` in README.md and in docs is
replaced; a test fails where these pages tell something else than the results file does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.harness import results
from benchmarks.harness.process import ROOT
from benchmarks.report.blocks import documents

RESULTS = ROOT / "benchmarks/results/reference.jsonl"
PLOTS = ROOT / "docs/benchmarks"


def main(arguments: list[str]) -> int:
    """Writes all of it, or says what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="what `all` wrote; %(default)s")
    parser.add_argument("--json", action="store_true", help="print the aims and how far they are reached, as records")
    options = parser.parse_args(arguments)
    records = results.read(options.results)
    if not records:
        parser.error(f"{options.results} holds no results; `python -m benchmarks all` measures them")
    if options.json:
        from benchmarks.report.targets import aims

        print(b"".join(results.line(each) for each in aims(records)).decode(), end="")
        return 0
    for path, text in documents(records).items():
        path.write_text(text)
        print(path.relative_to(ROOT))
    from benchmarks.report.plots import draw  # a second to load, and not there without matplotlib

    for plot in draw(records, PLOTS):
        print(plot.relative_to(ROOT))
    return 0
