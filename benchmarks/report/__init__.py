"""Writes the pages of benchmarks, their plots, and tables in README.md.

The pages are `docs/benchmarks.md` and `docs/reliability.md`. Measures nothing: all figures come from the results file.
In README.md, it replaces the text between `<!-- benchmarks: NAME -->` and `<!-- end -->`. It also writes the costs from
which `kinform audit` estimates savings. A test fails if a page differs from the results file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.harness import results
from benchmarks.harness.process import ROOT
from benchmarks.report.blocks import documents
from benchmarks.report.targets import check_targets

RESULTS = ROOT / "benchmarks/results/reference.jsonl"
PLOTS = ROOT / "docs/benchmarks"


def main(arguments: list[str]) -> int:
    """Writes all pages and plots. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="FILE",
        help=f"the results file; default: {RESULTS.relative_to(ROOT)}",
    )
    parser.add_argument("--json", action="store_true", help="print the targets as records, and write nothing")
    options = parser.parse_args(arguments)
    records = results.read(options.results)
    if not records:
        parser.error(f"{options.results} holds no results; `python -m benchmarks all` measures them")
    if options.json:
        print(b"".join(results.line(each) for each in check_targets(records)).decode(), end="")
        return 0
    for path, text in documents(records).items():
        path.write_text(text)
        print(path.relative_to(ROOT))
    from benchmarks.report.plots import draw  # needs matplotlib

    for plot in draw(records, PLOTS):
        print(plot.relative_to(ROOT))
    return 0
