"""Measures the first sync over TLS, and with gzip, compared with plain HTTP.

It runs one or two clients of each language. Over TLS, each client verifies the server's certificate. With gzip, the
server compresses a LIST if the client asks for it: client-go does by default, and kinform does with
`WatchOptions(compression="gzip")` and a LIST.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from benchmarks.harness.arguments import count
from benchmarks.harness.digest import agree
from benchmarks.harness.process import Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows
from benchmarks.peers.catalogue import KINFORM, PEERS, Peer
from benchmarks.peers.compare import SERVER, progress
from benchmarks.peers.lifecycle import CPU_TICK, Source

CERTIFICATES = "tests/support/certificates"
STREAMING = "kube-rs, streaming, cleared"
LISTING = "client-go, list, transform"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--objects", type=count, default=20_000, metavar="N", help="number of pods; default: %(default)s"
    )
    parser.add_argument("--rounds", type=count, default=3, help="number of rounds; default: %(default)s")


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each variant and peer."""
    peers = {peer.name: peer for peer in PEERS}
    kinform_list = msgspec.structs.replace(KINFORM, mode="list")
    variants: dict[str, tuple[dict[str, Any], list[tuple[Peer, dict[str, Any]]]]] = {
        "plain": ({}, [(KINFORM, {}), (kinform_list, {}), (peers[STREAMING], {}), (peers[LISTING], {})]),
        "TLS": (
            {"certificate": f"{CERTIFICATES}/server.pem"},
            [(KINFORM, {}), (peers[STREAMING], {}), (peers[LISTING], {})],
        ),
        "gzip": ({"gzip": True}, [(kinform_list, {"gzip": True}), (peers[LISTING], {})]),
    }
    for variant, (more, selected) in variants.items():
        served = {"resource": "pods", "objects": options.objects, "seed": options.seed, "corpus": None}
        with Process(python(SERVER), **served, **more) as server:
            source = Source(server, ca=f"{CERTIFICATES}/ca.pem" if "certificate" in more else None)
            for peer, asked in selected:
                about: Record = {"benchmark": options.benchmark, "variant": variant, "peer": peer.name}
                about |= {"mode": peer.mode, "objects": source.about["objects"]}
                if peer.absent:
                    yield about | {"record": "absent", "why": peer.absent}
                    continue
                progress(f"{peer.name} ({peer.mode}), {variant}")
                rounds = [_sync(source, peer, asked) for _ in range(options.rounds)]
                yield about | {"record": "sync", "figures": spreads(rounds)}


def _sync(source: Source, peer: Peer, asked: dict[str, Any]) -> dict[str, float | None]:
    with source.start(peer, **asked) as process:
        process.do("connect")
        process.gauge.reset_peak()
        start, cpu = time.perf_counter(), process.gauge.cpu_seconds()
        process.do("sync")
        seconds, spent = time.perf_counter() - start, process.gauge.cpu_seconds() - cpu
        peak = process.gauge.peak()
        if not agree(source.do("digest"), process.do("digest")):
            raise SystemExit(f"variants: {peer.name} holds other objects than the server; no figures are reported")
    objects = source.about["objects"]
    return {"seconds": seconds, "cpu_seconds": spent, "per_cpu_second": objects / max(spent, CPU_TICK), "peak": peak}


COLUMNS: tuple[Column, ...] = (
    ("objects per CPU second", "per_cpu_second", ""),
    ("elapsed time", "seconds", "s"),
    ("CPU time", "cpu_seconds", "s"),
    ("peak", "peak", "MiB"),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = []
    for each in records:
        head = f"{each['variant']}: {each['peer']} ({each['mode']}), {each['objects']:,} pods"
        lines.append(f"{head}: absent: {each['why']}" if each["record"] == "absent" else head)
        lines += rows(COLUMNS, each.get("figures", {}))
    return "\n".join(lines)
