"""Measures the memory that single parts of kinform add to a process.

A process is measured at rest, before and after it uses the part. Each answer is checked: the number of objects, of
requests, or of waiting keys.

import: `import kinform.sync`, in a process that has imported kinform.
handles: each of 20 more informers of a `Factory`, with handlers and two types, that share one stream and one store.
writes: 300 requests of `Connection`, in a process with one informer.
queue: 100,000 keys that wait in a `WorkQueue`, ready or delayed.
log agent: an agent that follows the pods of its node, and reads their namespaces by `OnDemand`. The cluster has 30 pods
on the node, and 100,000 namespaces. The agent is compared with a process that follows an empty collection.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator

from benchmarks.harness.arguments import count, only, selected
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows
from benchmarks.parts.agent import measure_agent
from benchmarks.parts.programs import HANDLES, KEYS, added_by_handles, added_by_import, added_by_queue, added_by_writes

COLUMNS: tuple[Column, ...] = (("memory", "more", "KiB"),)
PARTS: dict[str, tuple[str, Callable[[], float]]] = {
    "import": ("`import kinform.sync`", added_by_import),
    "handles": (f"each of {HANDLES} more informers on one stream", added_by_handles),
    "writes": ("writes of an idle process", added_by_writes),
    "queue, ready": (f"{KEYS:,} keys in a `WorkQueue`", lambda: added_by_queue(delay=0.0)),
    "queue, delayed": (f"{KEYS:,} delayed keys in a `WorkQueue`", lambda: added_by_queue(delay=600.0)),
    "log agent": ("log agent, plain HTTP", lambda: asyncio.run(measure_agent(tls=False)).more),
    "log agent, TLS": ("log agent, TLS", lambda: asyncio.run(measure_agent(tls=True)).more),
}
"""The title and the measurement of each part, in bytes."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--rounds", type=count, default=3, help="number of rounds; default: %(default)s")
    only(parser, "parts")


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each part.

    Raises:
        SystemExit: A process gave a wrong answer.
    """
    for name, (title, part) in PARTS.items():
        if selected(name, options):
            figures = spreads([{"more": part()} for _ in range(options.rounds)])
            yield {"benchmark": options.benchmark, "record": "part", "part": name, "title": title, "figures": figures}


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    return "\n".join(line for each in records for line in (each["title"], *rows(COLUMNS, each["figures"])))
