"""`python -m benchmarks COMMAND`: runs a benchmark.

A benchmark prints its figures and stores them as records in a results file. `all` runs every benchmark. `quick` runs a
small part in two minutes, and fails if a ratio exceeds its bound. `report` measures nothing: it writes the page and the
plots from the results file.
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

COMMANDS = {
    "all": "benchmarks.everything",
    "quick": "benchmarks.quick",
    "peers": "benchmarks.peers.compare",
    "variants": "benchmarks.peers.variants",
    "real": "benchmarks.peers.real",
    "delays": "benchmarks.peers.delays",
    "threads": "benchmarks.peers.threads",
    "memory": "benchmarks.memory",
    "speed": "benchmarks.speed",
    "dropin": "benchmarks.dropin",
    "controllers": "benchmarks.controllers",
    "store": "benchmarks.store",
    "parts": "benchmarks.parts",
    "scope": "benchmarks.scope",
    "fleet": "benchmarks.fleet",
    "bounded": "benchmarks.bounded",
    "scale": "benchmarks.scale",
    "soak": "benchmarks.soak",
    "report": "benchmarks.report",
}
"""The module of each command."""


def main(arguments: list[str]) -> int:
    """Runs the command that comes first. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS, help="the benchmark; `COMMAND --help` describes it")
    if not arguments or arguments[0] not in COMMANDS:
        parser.parse_args(arguments or ["--help"])  # exits with help or with an error
        return 64
    name, *rest = arguments
    command = importlib.import_module(COMMANDS[name])
    if hasattr(command, "main"):
        code: int = command.main(rest)
        return code
    return run(name, command, rest)


def run(name: str, command: ModuleType, arguments: list[str]) -> int:
    """Runs one benchmark, prints its figures and stores them. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one record per line, as in the results file")
    parser.add_argument(
        "--results", type=Path, default=results.DEFAULT, metavar="FILE", help="the results file; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the generated objects; default: %(default)s")
    command.arguments(parser)
    options = parser.parse_args(arguments, argparse.Namespace(benchmark=name))
    where, start = machine(), time.monotonic()  # reads the load before this benchmark adds to it
    marks: Record = {"data": results.CORPUS} if getattr(options, "corpus", None) else {}
    if "plain" in options:
        marks["tls"] = not options.plain
    found = [each | marks for each in command.measure(options)]
    about: Record = {
        "benchmark": name,
        "record": "about",
        "arguments": list(_recorded(arguments)),
        "seed": options.seed,
        "seconds": round(time.monotonic() - start, 1),
        "machine": where,
        **({"kind": options.kind} if getattr(options, "kind", None) else {}),
        **marks,
    }
    results.replace(options.results, about, found)
    if options.json:
        sys.stdout.buffer.writelines(results.line(each) for each in (about, *found))
    else:
        print(command.table(found))
    code: int = command.verdict(found) if hasattr(command, "verdict") else 0
    return code


def _recorded(arguments: list[str]) -> Iterator[str]:
    """The arguments that decide what is measured.

    Files by name only: the results file is public.
    """
    rest = iter(arguments)
    for each in rest:
        if each == "--results":
            next(rest)
        elif each != "--json":
            yield Path(each).name if "/" in each else each


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
