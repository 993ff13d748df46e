"""`python -m benchmarks NAME`: measures, tells what was found, and keeps it as records in a results file.

Each command checks its answers before it tells a figure. `all` runs every one of them and keeps what they find for
`report`, which measures nothing: it writes the page and the plots from that file alone. `quick` is a small part with a
gate on ratios.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from benchmarks.harness import results
from benchmarks.harness.machine import machine
from benchmarks.harness.results import Record

COMMANDS: dict[str, tuple[str, ...]] = {
    "all": ("benchmarks.everything",),
    "quick": ("benchmarks.quick",),
    "peers": ("benchmarks.peers.compare",),
    "variants": ("benchmarks.peers.variants",),
    "real": ("benchmarks.peers.real",),
    "delays": ("benchmarks.peers.delays",),
    "memory": ("benchmarks.memory",),
    "speed": ("benchmarks.speed",),
    "scan": ("benchmarks.speed", "-k", "scan or prune"),
    "store": ("benchmarks.store",),
    "corpora": ("benchmarks.store",),
    "scope": ("benchmarks.scope",),
    "scale": ("benchmarks.scale",),
    "report": ("benchmarks.report",),
}
"""The module of each command, and the arguments that it always has."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS, help="what to measure; `COMMAND --help` says more")
    if not arguments or arguments[0] not in COMMANDS:
        parser.parse_args(arguments or ["--help"])  # tells what is wrong with them, or gives help
        return 64
    name, *more = arguments
    place, *always = COMMANDS[name]
    command = importlib.import_module(place)
    if hasattr(command, "main"):
        code: int = command.main(more)
        return code
    return run(name, command, [*always, *more])


def run(name: str, command: ModuleType, arguments: list[str]) -> int:
    """Carries out one measurement, tells it, and keeps it."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one record a line, as in the results file")
    parser.add_argument(
        "--results", type=Path, default=results.DEFAULT, metavar="FILE", help="where it is kept; %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is made up; %(default)s")
    command.arguments(parser)
    options = parser.parse_args(arguments, argparse.Namespace(benchmark=name))
    where, begun = machine(), time.monotonic()  # with the load before there is any of ours
    found = list(command.measure(options))
    told = list(_without_results(arguments))
    about: Record = {"benchmark": name, "record": "about", "arguments": told, "seed": options.seed}
    about |= {"seconds": round(time.monotonic() - begun, 1), "machine": where}
    if "kind" in options:
        about["kind"] = options.kind
    results.replace(options.results, about, found)
    if options.json:
        sys.stdout.buffer.writelines(results.line(each) for each in (about, *found))
    else:
        print(command.table(found))
    code: int = command.verdict(found) if hasattr(command, "verdict") else 0
    return code


def _without_results(arguments: list[str]) -> Iterator[str]:
    """What was asked for; of files their names alone, as where they are is nobody's business."""
    rest = iter(arguments)
    for each in rest:
        if each == "--results":
            next(rest)
        elif each != "--json":
            yield Path(each).name if "/" in each else each


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
