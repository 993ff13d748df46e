"""The first sync over TLS, and with a server that compresses LISTs for clients that ask it to, beside the plain one.

One or two peers of each language. Over TLS each trusts the server's certificate; gzip is used by who asks for it by
default, client-go's LISTs do, and by kinform told to (`WatchOptions(compression="gzip")`, which it needs a LIST for).
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
from benchmarks.harness.text import Row, rows
from benchmarks.peers.catalogue import OURS, PEERS, Peer
from benchmarks.peers.compare import SERVER, say
from benchmarks.peers.lifecycle import Source

CERTIFICATES = "tests/support/certificates"
STREAMING = "kube-rs, streaming, cleared"
ZIPPED = "client-go, list, transform"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--objects", type=count, default=20_000, metavar="N", help="pods; %(default)s")
    parser.add_argument("--rounds", type=count, default=3)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """A record a variant and peer."""
    peers = {peer.name: peer for peer in PEERS}
    listing = msgspec.structs.replace(OURS, mode="list")
    variants: dict[str, tuple[dict[str, Any], list[tuple[Peer, dict[str, Any]]]]] = {
        "plain": ({}, [(OURS, {}), (listing, {}), (peers[STREAMING], {}), (peers[ZIPPED], {})]),
        "TLS": (
            {"certificate": f"{CERTIFICATES}/server.pem"},
            [(OURS, {}), (peers[STREAMING], {}), (peers[ZIPPED], {})],
        ),
        "gzip": ({"zipped": True}, [(listing, {"gzip": True}), (peers[ZIPPED], {})]),
    }
    for variant, (served, chosen) in variants.items():
        made = {"resource": "pods", "objects": options.objects, "seed": options.seed, "corpus": None}
        with Process(python(SERVER), **made, **served) as server:
            source = Source(server, ca=f"{CERTIFICATES}/ca.pem" if "certificate" in served else None)
            for peer, more in chosen:
                about: Record = {"benchmark": options.benchmark, "variant": variant, "peer": peer.name}
                about |= {"mode": peer.mode, "objects": source.about["objects"]}
                if peer.absent:
                    yield about | {"record": "absent", "why": peer.absent}
                    continue
                say(f"{peer.name} ({peer.mode}), {variant}")
                rounds = [_sync(source, peer, more) for _ in range(options.rounds)]
                yield about | {"record": "sync", "figures": spreads(rounds)}


def _sync(source: Source, peer: Peer, more: dict[str, Any]) -> dict[str, float | None]:
    with source.peer(peer, **more) as process:
        process.do("connect")
        process.gauge.forget_peak()
        begun, cpu = time.perf_counter(), process.gauge.cpu_seconds()
        process.do("sync")
        seconds, spent = time.perf_counter() - begun, process.gauge.cpu_seconds() - cpu
        peak = process.gauge.peak()
        if not agree(source.do("digest"), process.do("digest")):
            raise SystemExit(f"variants: {peer.name} holds other objects than the server; no figure is told")
    each = source.about["objects"]
    return {"seconds": seconds, "cpu_seconds": spent, "per_cpu_second": each / max(spent, 0.01), "peak": peak}


COLUMNS: tuple[Row, ...] = (
    ("objects a CPU second", "per_cpu_second", ""),
    ("seconds", "seconds", "s"),
    ("CPU seconds", "cpu_seconds", "s"),
    ("peak", "peak", "MiB"),
)


def table(records: list[Record]) -> str:
    """The result for people."""
    lines = []
    for each in records:
        head = f"{each['variant']}: {each['peer']} ({each['mode']}), {each['objects']:,} pods"
        lines.append(f"{head}: absent: {each['why']}" if each["record"] == "absent" else head)
        lines += rows(COLUMNS, each.get("figures", {}))
    return "\n".join(lines)
