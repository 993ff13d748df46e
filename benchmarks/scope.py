"""Measures how much memory and CPU time a smaller scope saves.

An informer follows the same pods whole, pruned, as metadata only, or in part. Each informer runs in a new process,
which is measured from outside. The received bytes are those of objects, as the informer counts them. The identity of
the informer's objects is compared with the expected one.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import Any

from benchmarks.corpus import key_of, make
from benchmarks.harness.arguments import count, plain
from benchmarks.harness.digest import Digest, same_objects
from benchmarks.harness.process import Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows
from benchmarks.harness.waiting import wait_until_idle

SERVER, PEER = "benchmarks/harness/server.py", "benchmarks/peers/kinform_peer.py"
IDLE_TIMEOUT = 60.0
THREE_FIELDS = ["metadata.labels", "spec.nodeName", "status.phase"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--objects", type=count, default=10_000, metavar="N", help="number of pods; default: %(default)s"
    )
    parser.add_argument("--rounds", type=count, default=1, help="number of rounds; default: %(default)s")
    plain(parser)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each scope."""
    _, pods = make("pods", options.objects, options.seed)
    namespace = Counter(pod["metadata"]["namespace"] for pod in pods).most_common()[1][0]
    app = Counter(app for pod in pods if (app := _app(pod))).most_common(1)[0][0]
    scopes: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
        "everything, nothing pruned": ({"drop": []}, pods),
        "without managedFields (the default)": ({}, pods),
        "three fields kept": ({"keep": THREE_FIELDS}, pods),
        "metadata only, from the server": ({"mode": "metadata"}, pods),
        "one namespace": (
            {"namespaces": [namespace]},
            [pod for pod in pods if pod["metadata"]["namespace"] == namespace],
        ),
        "one app, by label selector": ({"label_selector": f"app={app}"}, [pod for pod in pods if _app(pod) == app]),
    }
    served = {"resource": "pods", "objects": options.objects, "seed": options.seed, "corpus": None}
    with Process(python(SERVER), **served, tls=not options.plain) as server:
        about = server.do("open")
        with Process(python(PEER), url=about["url"], ca=about["ca"], resource="v1/nothings") as process:
            process.do("connect")
            process.do("sync")
            wait_until_idle(process.gauge, IDLE_TIMEOUT)
            empty = process.gauge.rss()
        for scope, (given, expected) in scopes.items():
            digest = Digest()
            for pod in expected:
                metadata = pod["metadata"]
                digest.add(key_of(pod), metadata["uid"], metadata["resourceVersion"], metadata.get("labels"))
            rounds = [_follow(about, given, digest, empty) for _ in range(options.rounds)]
            yield {
                "benchmark": options.benchmark,
                "record": "scope",
                "kind": "pods",
                "scope": scope,
                "of": options.objects,
                "objects": len(expected),
                "figures": spreads(rounds),
            }


def _app(pod: dict[str, Any]) -> str | None:
    return pod["metadata"].get("labels", {}).get("app")


def _follow(about: dict[str, Any], given: dict[str, Any], expected: Digest, empty: int) -> dict[str, float | None]:
    names = {name: about[name] for name in ("url", "ca", "resource")}
    with Process(python(PEER), **names, **given) as process:
        process.do("connect")
        process.gauge.reset_peak()
        cpu = process.gauge.cpu_seconds()
        process.do("sync")
        spent, peak = process.gauge.cpu_seconds() - cpu, process.gauge.peak()
        wait_until_idle(process.gauge, IDLE_TIMEOUT)
        rss, stats = process.gauge.rss(), process.do("stats")
        found, wanted = process.do("digest"), expected.result()
        if not same_objects(wanted, found):
            raise SystemExit(f"scope: a wrong answer: {found['objects']} objects, {wanted['objects']} expected")
    return {
        "wire_bytes": stats["wire_bytes"],
        "pruned_bytes": stats["memory"]["pruned_bytes"],
        "held_bytes": stats["memory"]["held_bytes"] + stats["memory"]["cached_bytes"],
        "sync.cpu_seconds": spent,
        "sync.peak": peak,
        "sync.rss_at_rest": rss,
        "beyond_empty": rss - empty,
    }


COLUMNS: tuple[Column, ...] = (
    ("received", "wire_bytes", "MiB"),
    ("JSON after pruning", "pruned_bytes", "MiB"),
    ("store", "held_bytes", "MiB"),
    ("process above empty", "beyond_empty", "MiB"),
    ("CPU time", "sync.cpu_seconds", "s"),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = [f"{records[0]['of']:,} pods; median, min, max"]
    for each in records:
        lines.append(f"\n{each['scope']}: {each['objects']:,} objects")
        lines += rows(COLUMNS, each["figures"])
    return "\n".join(lines)
