"""Measures first syncs and update bursts over plain HTTP, over TLS, and with gzip.

kinform runs on asyncio and on uvloop, next to kube-rs, whose TLS is rustls, and client-go. Over TLS, each client
verifies the server's certificate. CPU time is counted until the process is at rest. With gzip, the server compresses a
LIST if the client asks for it: client-go does by default, and kinform does with `WatchOptions(compression="gzip")` and
a LIST. A client runs over plain HTTP directly before it runs in another variant, so that both have the same load of the
machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack

from msgspec.structs import replace

from benchmarks.harness.arguments import count, only, selected
from benchmarks.harness.digest import agree
from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows
from benchmarks.peers.catalogue import CLIENT_GO_LIST, KINFORM, KINFORM_UVLOOP, KUBE_RS, Peer
from benchmarks.peers.compare import progress
from benchmarks.peers.lifecycle import Source
from benchmarks.peers.phase import BRIEF_SECONDS, Figures, phase, rates

VARIANTS: dict[str, dict[str, bool]] = {"plain": {}, "TLS": {"tls": True}, "gzip": {"gzip": True}}
"""The options of the server."""
KINFORM_LIST = replace(KINFORM, mode="list")
RUNS: tuple[tuple[str, Peer], ...] = (
    *((variant, peer) for peer in (KINFORM, KINFORM_UVLOOP, KUBE_RS, CLIENT_GO_LIST) for variant in ("plain", "TLS")),
    ("gzip", CLIENT_GO_LIST),
    ("plain", KINFORM_LIST),
    ("gzip", replace(KINFORM_LIST, options={"gzip": True})),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--objects", type=count, default=20_000, metavar="N", help="number of pods; default: %(default)s"
    )
    only(parser)
    parser.add_argument("--rounds", type=count, default=3, help="number of rounds; default: %(default)s")


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each variant and peer."""
    runs = [run for run in RUNS if selected(run[1].name, options)]
    rounds: list[list[Figures]] = [[] for _ in runs]
    served = {"resource": "pods", "objects": options.objects, "seed": options.seed, "corpus": None}
    with ExitStack() as stack:
        servers = {
            variant: Source(stack.enter_context(Process(python(SERVER), **served, **more)))
            for variant, more in VARIANTS.items()
        }
        for number in range(options.rounds):
            for (variant, peer), found in zip(runs, rounds, strict=True):
                if not peer.absent:
                    progress(f"{peer.name} ({peer.mode}), {variant}, round {number + 1}")
                    found.append(_run(servers[variant], peer))
    for (variant, peer), found in zip(runs, rounds, strict=True):
        about: Record = {"benchmark": options.benchmark, "variant": variant, "peer": peer.name, "mode": peer.mode}
        if peer.absent:
            yield about | {"record": "absent", "why": peer.absent}
        else:
            yield about | {"record": "client", "objects": options.objects, "figures": spreads(found)}


def _run(source: Source, peer: Peer) -> Figures:
    """Runs a first sync and an update of each object."""
    found, objects = Figures(), source.about["objects"]
    source.do("reset")
    with source.start(peer) as process:
        process.do("connect")
        with phase(found, "sync", process.gauge, BRIEF_SECONDS):
            process.do("sync")
        _check(source, process, peer)
        events = source.do("prepare", events=objects)["events"]
        with phase(found, "storm", process.gauge, BRIEF_SECONDS):
            if source.do("send") is None or (version := source.do("mark")) is None:
                raise SystemExit(f"variants: {peer.name} does not watch")
            process.do("reach", version=str(version))
        _check(source, process, peer)
    return found | rates(found, "sync", objects) | rates(found, "storm", events)


def _check(source: Source, process: Process, peer: Peer) -> None:
    if not agree(source.do("digest"), process.do("digest")):
        raise SystemExit(f"variants: {peer.name} holds other objects than the server; no figures are reported")


COLUMNS: tuple[Column, ...] = (
    ("first sync, until at rest: objects per CPU second", "sync.per_total_cpu_second", ""),
    ("update burst, until at rest: events per CPU second", "storm.per_total_cpu_second", ""),
    ("first sync: elapsed time", "sync.seconds", "s"),
    ("first sync: peak", "sync.peak", "MiB"),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = []
    for each in records:
        head = f"{each['variant']}: {each['peer']} ({each['mode']})"
        absent = each["record"] == "absent"
        lines.append(f"{head}: absent: {each['why']}" if absent else f"{head}, {each['objects']:,} pods")
        lines += rows(COLUMNS, each.get("figures", {}))
    return "\n".join(lines)
