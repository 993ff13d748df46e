"""Measures how much memory and CPU time a smaller scope saves.

A process follows the same objects whole, pruned, as metadata only, or in part. Each process is new, and is measured
from outside. The received bytes are those of objects, as kinform counts them. The identity of the objects that a
process has is compared with the expected one.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from benchmarks.corpus import Object, key_of, make
from benchmarks.harness.arguments import count, plain
from benchmarks.harness.digest import Digest, same_objects
from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column, rows
from benchmarks.harness.waiting import wait_until_idle
from kinform import Prune
from kinform._sharding import ShardSet

PEER, ON_DEMAND_PEER = "benchmarks/peers/kinform_peer.py", "benchmarks/peers/on_demand_peer.py"
IDLE_TIMEOUT = 60.0
SELECTED_SHARE = 0.01
SHARD = (1, 4)
KEYS = 50


class Metadata(msgspec.Struct):
    """The metadata that a program reads."""

    labels: dict[str, str] = {}


class Container(msgspec.Struct):
    """The part of a container that a program with an eye on resources reads."""

    resources: dict[str, Any] = {}


class Spec(msgspec.Struct):
    """The part of the spec of a pod that the program reads."""

    nodeName: str = ""
    containers: list[Container] = []


class Status(msgspec.Struct):
    """The part of a status that a program reads."""

    phase: str = ""


class Pod(msgspec.Struct):
    """A pod, as a program reads it."""

    metadata: Metadata
    spec: Spec
    status: Status


class Namespace(msgspec.Struct):
    """A namespace, as a program reads it."""

    metadata: Metadata
    status: Status


TYPES: Mapping[str, type] = {"pods": Pod, "namespaces": Namespace}
KEPT = {"pods": ["metadata.labels", "spec.nodeName", "status.phase"], "namespaces": ["metadata.labels"]}

Given = dict[str, Any]
"""The options of a process."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    for kind, number in (("pods", 20_000), ("namespaces", 100_000)):
        parser.add_argument(
            f"--{kind}", type=count, default=number, metavar="N", help=f"number of {kind}; default: %(default)s"
        )
    parser.add_argument("--rounds", type=count, default=1, help="number of rounds; default: %(default)s")
    plain(parser)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each scope of each kind."""
    for kind, number in (("pods", options.pods), ("namespaces", options.namespaces)):
        _, objects = make(kind, number, options.seed)
        scopes = _scopes(kind, objects, options.seed)
        expected = {scope: (len(found), _digest(found)) for scope, (_, found) in scopes.items()}
        given = {scope: given for scope, (given, _) in scopes.items()}
        del objects, scopes
        served = {"resource": kind, "objects": number, "seed": options.seed, "corpus": None}
        with Process(python(SERVER), **served, tls=not options.plain) as server:
            about = server.do("open")
            empty = _empty(about)
            for scope, (size, digest) in expected.items():
                rounds = [_follow(about, given[scope], digest, empty) for _ in range(options.rounds)]
                yield {
                    "benchmark": options.benchmark,
                    "record": "scope",
                    "kind": kind,
                    "scope": scope,
                    "of": number,
                    "objects": size,
                    "figures": spreads(rounds),
                }


def _scopes(kind: str, objects: list[Object], seed: int) -> dict[str, tuple[Given, list[Object]]]:
    """Returns for each scope the options of a process, and its objects."""
    label = _label_of_share(objects, SELECTED_SHARE)
    shards = ShardSet(SHARD[1], frozenset((SHARD[0],)))
    read = {key_of(each): each for each in random.Random(seed).sample(objects, min(KEYS, len(objects)))}
    scopes: dict[str, tuple[Given, list[Object]]] = {
        "everything, nothing pruned": ({"drop": []}, objects),
        "without managedFields (the default)": ({}, objects),
        "some fields kept": ({"keep": KEPT[kind]}, objects),
        "the fields of a type": ({"keep": list(Prune.from_type(TYPES[kind]).keep)}, objects),
        "metadata only, from the server": ({"mode": "metadata"}, objects),
        "a quarter shard, filtered by kinform": (
            {"shard": list(SHARD)},
            [each for each in objects if shards.has(each["metadata"]["uid"])],
        ),
        "by label selector": (
            {"label_selector": "{}={}".format(*label)},
            [each for each in objects if label in _labels(each)],
        ),
        "on demand": ({"keys": list(read)}, list(read.values())),
    }
    if kind == "pods":
        namespace = Counter(pod["metadata"]["namespace"] for pod in objects).most_common()[1][0]
        of_namespace = [pod for pod in objects if pod["metadata"]["namespace"] == namespace]
        scopes["one namespace"] = ({"namespaces": [namespace]}, of_namespace)
    return scopes


def _labels(found: Object) -> set[tuple[str, str]]:
    return set(found["metadata"].get("labels", {}).items())


def _label_of_share(objects: list[Object], share: float) -> tuple[str, str]:
    """Returns the label whose share of the objects is nearest to this one."""
    counts = Counter(label for each in objects for label in _labels(each))
    return min(counts, key=lambda label: (abs(counts[label] - share * len(objects)), label))


def _digest(objects: list[Object]) -> Digest:
    digest = Digest()
    for each in objects:
        metadata = each["metadata"]
        digest.add(key_of(each), metadata["uid"], metadata["resourceVersion"], metadata.get("labels"))
    return digest


def _empty(about: dict[str, Any]) -> int:
    """Measures the resident bytes of a process that follows nothing."""
    with Process(python(PEER), url=about["url"], ca=about["ca"], resource="v1/nothings") as process:
        process.do("connect")
        process.do("sync")
        wait_until_idle(process.gauge, IDLE_TIMEOUT)
        return process.gauge.rss()


def _follow(about: dict[str, Any], given: Given, expected: Digest, empty: int) -> dict[str, float | None]:
    names = {name: about[name] for name in ("url", "ca", "resource")}
    peer = ON_DEMAND_PEER if "keys" in given else PEER
    with Process(python(peer), **names, **given) as process:
        process.do("connect")
        process.gauge.reset_peak()
        cpu = process.gauge.cpu_seconds()
        process.do("sync")
        peak = process.gauge.peak()
        wait_until_idle(process.gauge, IDLE_TIMEOUT)
        spent, rss, stats = process.gauge.cpu_seconds() - cpu, process.gauge.rss(), process.do("stats")
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
    lines = ["median, min, max"]
    for each in records:
        lines.append(f"\n{each['scope']}: {each['objects']:,} of {each['of']:,} {each['kind']}")
        lines += rows(COLUMNS, each["figures"])
    return "\n".join(lines)
