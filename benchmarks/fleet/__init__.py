"""Simulates agents that start at once, against a server of limited capacity.

Time is virtual. Each agent of a node lists all namespaces of a large cluster. kinform's agents run the code of
kinform: its state machine, its waits, and its defaults, with the name of the node in the environment. The other agents
are models of the documented behavior of their clients. The server answers a bounded number of requests at the same
time; others wait in a bounded queue, and more get 429 with `Retry-After: 1`, as in API Priority and Fairness. The ideal
time is that in which the server could send all states at its full capacity.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from random import Random

from benchmarks.fleet.agents import AGENTS
from benchmarks.fleet.simulation import Capacity, Simulation
from benchmarks.harness.arguments import count, only, selected
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows
from kinform import WatchOptions

NAMESPACE_BYTES = 725
"""Bytes of a namespace on the wire: a typical one of a cluster with many tenants."""
COLUMNS: tuple[Column, ...] = (
    ("most requests in a second", "peak", ""),
    ("requests", "requests", ""),
    ("answered with 429", "refused", ""),
    ("last agent synced after", "last", "s"),
    ("ideal", "ideal", "s"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--agents", type=count, default=1_000, metavar="N", help="agents; default: %(default)s")
    parser.add_argument(
        "--objects", type=count, default=100_000, metavar="N", help="namespaces of the cluster; default: %(default)s"
    )
    parser.add_argument(
        "--slots", type=count, default=24, metavar="N", help="requests answered at once; default: %(default)s"
    )
    parser.add_argument(
        "--queue", type=count, default=300, metavar="N", help="requests that wait; default: %(default)s"
    )
    parser.add_argument(
        "--megabytes", type=count, default=1_000, metavar="N", help="MB per second of all slots; default: %(default)s"
    )
    parser.add_argument("--rounds", type=count, default=3, help="number of rounds; default: %(default)s")
    only(parser)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each client.

    Raises:
        SystemExit: An agent never had its state.
    """
    capacity = Capacity(options.slots, options.queue, 15.0, options.megabytes * 1e6 / options.slots)
    ideal = options.agents * options.objects * NAMESPACE_BYTES / (options.megabytes * 1e6)
    for client in filter(lambda name: selected(name, options), AGENTS):
        runs = [_run(client, capacity, options, options.seed + number) for number in range(options.rounds)]
        yield {
            "benchmark": options.benchmark,
            "record": "client",
            "client": client,
            "agents": options.agents,
            "objects": options.objects,
            "slots": options.slots,
            "queue": options.queue,
            "bytes_per_second": options.megabytes * 1e6,
            "figures": spreads(
                [
                    {
                        "peak": max(run.requests.values()),
                        "requests": run.requests.total(),
                        "refused": run.refused,
                        "last": max(run.synced),
                        "ideal": ideal,
                    }
                    for run in runs
                ]
            ),
            "timeline": [runs[0].requests[second] for second in range(max(runs[0].requests) + 1)],
        }


def _run(client: str, capacity: Capacity, options: argparse.Namespace, seed: int) -> Simulation:
    simulation = Simulation(capacity)
    simulation.run(
        [
            AGENTS[client](
                f"node-{number:04}",
                Random(f"{seed} {number}"),
                options.objects,
                NAMESPACE_BYTES,
                WatchOptions(),
            )
            for number in range(options.agents)
        ]
    )
    if len(simulation.synced) != options.agents:
        raise SystemExit(f"{client}: {len(simulation.synced)} of {options.agents} agents had their state")
    return simulation


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    first = records[0]
    lines = [f"{first['agents']:,} agents, {first['objects']:,} namespaces; median, min, max"]
    for each in records:
        lines += [f"\n{each['client']}", *rows(COLUMNS, each["figures"])]
    return "\n".join(lines)
