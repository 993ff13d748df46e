"""Measures the audited case: an operator that caches far more than it reads.

Three collections of one cluster: custom resources to whose status a controller appends conditions without bound; pods,
of which a label marks the few that matter; and namespaces. Each client follows each collection in a process of its own.
The figure is the memory at rest above that of a process with an empty collection, summed over the collections. kinform
is measured twice: like the others, on all objects, and with the scope, `keep_last` and `Prune` that the case needs.
client-go is estimated by the costs of `kinform audit`, because it needs a Go type for each custom resource. The
identity of the objects in each process is compared with the expected one.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.corpus import MADE, Kind, key_of, make
from benchmarks.harness.arguments import count, only, plain, selected
from benchmarks.harness.digest import Digest, same_objects
from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spread, spreads
from benchmarks.harness.text import MIB, Column, rows
from benchmarks.harness.waiting import wait_until_idle
from benchmarks.peers.catalogue import PEERS, Peer
from kinform.cli.audit.costs import read_costs

IDLE_TIMEOUT = 60.0
CLIENTS = ("json into a dict, paged", "kinform")
ESTIMATED = "client-go"
"""The client that is estimated: it needs a Go type for each custom resource."""
SCOPED = "kinform, scoped and pruned"
CONDITIONS = 26
"""The mean number of conditions of a custom resource."""

Object = dict[str, Any]


class Case(msgspec.Struct, frozen=True):
    """A collection of the case.

    Attributes:
        name: Its name.
        kind: The kind of its objects.
        objects: The objects.
        needed: The objects that the operator reads.
        options: The options of kinform for them.
    """

    name: str
    kind: Kind
    objects: list[Object]
    needed: list[Object]
    options: dict[str, Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    for name, number in (("custom-resources", 4_319), ("pods", 477), ("runners", 80), ("namespaces", 763)):
        parser.add_argument(f"--{name}", type=count, default=number, metavar="N", help="default: %(default)s")
    parser.add_argument("--rounds", type=count, default=2, help="number of rounds; default: %(default)s")
    only(parser)
    plain(parser)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each client, then one for the collections.

    Raises:
        SystemExit: A process had other objects than expected.
    """
    peers = {peer.name: peer for peer in PEERS if peer.name in CLIENTS and not peer.absent}
    found = cases(options)
    figures: dict[str, list[dict[str, float]]] = {}
    for name in (*peers, SCOPED):
        if selected(name, options):
            peer = peers["kinform" if name == SCOPED else name]
            figures[name] = [_client(peer, found, options, scoped=name == SCOPED) for _ in range(options.rounds)]
    for name, rounds in figures.items():
        yield {"benchmark": options.benchmark, "record": "client", "client": name, "figures": spreads(rounds)}
    if selected(ESTIMATED, options):
        figure = {"held": spread([_estimate(found)])}
        yield {
            "benchmark": options.benchmark,
            "record": "client",
            "client": f"{ESTIMATED}, estimated",
            "figures": figure,
        }
    for case in found:
        size = sum(len(msgspec.json.encode(each)) for each in case.objects)
        record = {"collection": case.name, "objects": len(case.objects), "needed": len(case.needed), "raw_bytes": size}
        yield {"benchmark": options.benchmark, "record": "collection", **record}


def _estimate(found: list[Case]) -> float:
    cost = next(each for each in read_costs().clients if each.client == ESTIMATED)
    return sum(cost.of(len(case.objects), sum(map(_pruned_bytes, case.objects))).bytes for case in found)


def _pruned_bytes(obj: Object) -> int:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return len(msgspec.json.encode({**obj, "metadata": metadata}))


def cases(options: argparse.Namespace) -> list[Case]:
    """Returns the three collections."""
    customs = [_with_conditions(each, number) for number, each in enumerate(_made("customs", options.custom_resources))]
    pods = [_labelled(each, number < options.runners) for number, each in enumerate(_made("pods", options.pods))]
    namespaces = _made("namespaces", options.namespaces)
    return [
        Case(
            "custom resources",
            MADE["customs"][0],
            customs,
            customs,
            {
                "keep": ["metadata.labels", "metadata.generation", "spec", "status"],
                "keep_last": {"status.conditions": 1},
            },
        ),
        Case(
            "pods",
            MADE["pods"][0],
            pods,
            [pod for pod in pods if pod["metadata"]["labels"]["app"] == "runner"],
            {
                "label_selector": "app=runner",
                "keep": ["metadata.labels", "metadata.ownerReferences", "spec.nodeName", "status.phase"],
            },
        ),
        Case(
            "namespaces",
            MADE["namespaces"][0],
            namespaces,
            namespaces,
            {"mode": "metadata", "keep": ["metadata.labels"]},
        ),
    ]


def _made(kind: str, objects: int) -> list[Object]:
    return make(kind, objects, 0)[1]


def _labelled(pod: Object, is_runner: bool) -> Object:
    labels = {**pod["metadata"].get("labels", {}), "app": "runner" if is_runner else "other"}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}}


def _with_conditions(obj: Object, number: int) -> Object:
    """Appends conditions, as a controller does that never replaces one."""
    before = obj["status"]["conditions"]
    appended = [
        {**before[place % len(before)], "observedGeneration": place, "message": f"attempt {place} was observed"}
        for place in range(1 + number % (2 * CONDITIONS))
    ]
    return {**obj, "status": {**obj["status"], "conditions": appended}}


def _client(peer: Peer, found: list[Case], options: argparse.Namespace, *, scoped: bool) -> dict[str, float]:
    """Follows each collection with one client, and returns the sums."""
    figures = dict.fromkeys((name for _, name, _ in COLUMNS), 0.0)
    empty = 0
    for case in found:
        with _serving(case, options) as server:
            about = server.do("open")
            where = {"environment": peer.environment, "url": about["url"], "ca": about["ca"], "token": None}
            if not empty:
                with Process(peer.command, **where, resource="v1/nothings", mode=peer.mode) as idle:
                    idle.do("connect")
                    idle.do("sync")
                    wait_until_idle(idle.gauge, IDLE_TIMEOUT)
                    empty = idle.gauge.rss()
            more: dict[str, Any] = {"mode": peer.mode, **peer.options, **(case.options if scoped else {})}
            with Process(peer.command, **where, resource=about["resource"], **more) as process:
                for name, value in _measured(process, case.needed if scoped else case.objects, empty).items():
                    figures[name] += value
    return figures


@contextmanager
def _serving(case: Case, options: argparse.Namespace) -> Iterator[Process]:
    """Serves the objects of a collection."""
    about_kind = {"apiVersion": case.kind.api_version, "kind": case.kind.kind}
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "objects.jsonl"
        corpus.write_bytes(b"".join(msgspec.json.encode({**about_kind, **each}) + b"\n" for each in case.objects))
        served = {"resource": "pods", "objects": None, "seed": 0, "corpus": str(corpus), "tls": not options.plain}
        with Process(python(SERVER), **served) as server:
            yield server


def _measured(process: Process, expected: list[Object], empty: int) -> dict[str, float]:
    process.do("connect")
    process.do("sync")
    wait_until_idle(process.gauge, IDLE_TIMEOUT)
    at_rest, peak = process.gauge.rss(), process.gauge.peak()
    _compare(process.do("digest", whole=False), expected)
    return {"held": at_rest - empty, "peak": peak - empty}


def _compare(found: dict[str, Any], expected: list[Object]) -> None:
    digest = Digest()
    for obj in expected:
        metadata = obj["metadata"]
        digest.add(key_of(obj), metadata["uid"], metadata["resourceVersion"], metadata.get("labels"))
    if not same_objects(digest.result(), found):
        raise SystemExit(f"bounded: a wrong answer: {found['objects']} objects, {len(expected)} expected")


COLUMNS: tuple[Column, ...] = (
    ("held above idle", "held", "MiB"),
    ("peak of the first sync above idle", "peak", "MiB"),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = []
    for each in records:
        if each["record"] == "client":
            lines += [f"\n{each['client']}", *rows(COLUMNS, each["figures"])]
        else:
            size = each["raw_bytes"] / MIB
            lines.append(
                f"{each['collection']}: {each['objects']:,} objects, {each['needed']:,} needed, {size:.1f} MiB"
            )
    return "\n".join(lines)
