"""What asking for less gives: the same pods, followed whole, pruned, as metadata alone, or a part of them.

One informer in a fresh process each time, read from outside; on the wire is what the server sent of objects, as the
informer counts it. Which objects it holds, at which version and with which labels, is compared with what it should.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import Any

from benchmarks.corpus import make
from benchmarks.harness.arguments import count
from benchmarks.harness.digest import Digest, same_objects
from benchmarks.harness.process import Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Row, rows

SERVER, SUBJECT = "benchmarks/harness/server.py", "benchmarks/peers/kinform_peer.py"
QUIET_LIMIT = 60.0
FEW_FIELDS = ["metadata.labels", "spec.nodeName", "status.phase"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--objects", type=count, default=10_000, metavar="N", help="pods; %(default)s")
    parser.add_argument("--rounds", type=count, default=1)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """A record for each way to ask."""
    _, pods = make("pods", options.objects, options.seed)
    namespace = Counter(pod["metadata"]["namespace"] for pod in pods).most_common()[1][0]
    app = Counter(pod["metadata"].get("labels", {}).get("app") for pod in pods if _labelled(pod)).most_common(1)[0][0]
    ways: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
        "everything, nothing pruned": ({"drop": []}, pods),
        "without managedFields (the default)": ({}, pods),
        "three fields kept": ({"keep": FEW_FIELDS}, pods),
        "metadata only, from the server": ({"mode": "metadata"}, pods),
        "one namespace": (
            {"namespaces": [namespace]},
            [pod for pod in pods if pod["metadata"]["namespace"] == namespace],
        ),
        "one app, by label selector": (
            {"label_selector": f"app={app}"},
            [pod for pod in pods if _labelled(pod) and pod["metadata"]["labels"]["app"] == app],
        ),
    }
    made = {"resource": "pods", "objects": options.objects, "seed": options.seed, "corpus": None}
    with Process(python(SERVER), **made) as server:
        about = server.do("open")
        with Process(python(SUBJECT), url=about["url"], resource="v1/nothings") as idle:
            idle.do("connect")
            idle.do("sync")
            idle.gauge.until_quiet(10.0, quiet=1.0)
            empty = idle.gauge.rss()
        for way, (asked, chosen) in ways.items():
            expected = Digest()
            for pod in chosen:
                metadata = pod["metadata"]
                key = f"{metadata['namespace']}/{metadata['name']}"
                expected.add(key, metadata["uid"], metadata["resourceVersion"], metadata.get("labels"))
            rounds = [_follow(about, asked, expected, empty) for _ in range(options.rounds)]
            yield {
                "benchmark": options.benchmark,
                "record": "way",
                "kind": "pods",
                "way": way,
                "of": options.objects,
                "objects": len(chosen),
                "figures": spreads(rounds),
            }


def _labelled(pod: dict[str, Any]) -> bool:
    return "app" in pod["metadata"].get("labels", {})


def _follow(about: dict[str, Any], asked: dict[str, Any], expected: Digest, empty: int) -> dict[str, float | None]:
    with Process(python(SUBJECT), url=about["url"], resource=about["resource"], **asked) as process:
        process.do("connect")
        process.gauge.forget_peak()
        cpu = process.gauge.cpu_seconds()
        process.do("sync")
        spent, peak = process.gauge.cpu_seconds() - cpu, process.gauge.peak()
        process.gauge.until_quiet(QUIET_LIMIT)
        rss, stats = process.gauge.rss(), process.do("stats")
        here = process.do("digest")
        if not same_objects(expected.result(), here):
            raise SystemExit(
                f"scope: a wrong answer: {here['objects']} objects, {expected.result()['objects']} expected"
            )
    return {
        "wire_bytes": stats["wire_bytes"],
        "pruned_bytes": stats["memory"]["pruned_bytes"],
        "held_bytes": stats["memory"]["held_bytes"],
        "sync.cpu_seconds": spent,
        "sync.peak": peak,
        "sync.quiet_rss": rss,
        "settled.marginal": rss - empty,
    }


COLUMNS: tuple[Row, ...] = (
    ("on the wire", "wire_bytes", "MiB"),
    ("kept, as JSON", "pruned_bytes", "MiB"),
    ("kept, as it is held", "held_bytes", "MiB"),
    ("whole process", "sync.quiet_rss", "MiB"),
    ("beyond an empty collection", "settled.marginal", "MiB"),
    ("peak of the first sync", "sync.peak", "MiB"),
    ("CPU time of the first sync", "sync.cpu_seconds", "s"),
)


def table(records: list[Record]) -> str:
    """The result for people."""
    lines = [f"{records[0]['of']:,} pods; median, min, max"]
    for each in records:
        lines.append(f"\n{each['way']}: {each['objects']:,} objects")
        lines += rows(COLUMNS, each["figures"])
    return "\n".join(lines)
