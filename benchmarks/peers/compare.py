"""Measures kinform and other clients on the same objects and the same server.

The other clients are the peers. The server is a local process. Each client runs in a new process, which is measured
from outside. Memory is measured when the client is idle, after the first sync, at the peaks of the sync and of relists,
and after 90 % of the objects were deleted. The last figure is compared with a new process that receives only the other
10 %. Speed is objects and events per CPU second. The server sends prepared bytes, over TLS by default, and each
client verifies its certificate. Its own throughput is reported too.

Clients that need minutes for all objects get fewer objects. Their bytes per object and their rates hardly depend on the
number. Those of kinform do: part of its memory has a fixed size, and the first objects of a collection become its
templates, which take more memory than other objects. All phases of one client take one or two minutes, and most of that
is waiting until it is at rest. A client that was not built is reported as absent, and a failed phase with its reason.
One or two clients of each language are representative: they run all rounds. The others run one round, with fewer
objects if `--others` says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.corpus import MADE
from benchmarks.harness.arguments import corpus, count, plain
from benchmarks.harness.ceiling import ceiling
from benchmarks.harness.digest import WrongContent
from benchmarks.harness.process import SERVER, Process, ProcessDied, python
from benchmarks.harness.results import Record, transport
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import rows
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.peers.lifecycle import CPU_TIME, MEMORY, Lifecycle, Source, derived
from benchmarks.peers.phase import Figures


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--kind", choices=sorted(MADE), default="pods", help="kind of the objects; default: %(default)s"
    )
    parser.add_argument("--objects", type=count, metavar="N", help="the number of objects; the default depends on kind")
    parser.add_argument(
        "--corpus",
        type=corpus,
        metavar="FILE",
        help="measure the objects of this file: from `kubectl get -o json`, or one object per line",
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="TEXT",
        help=f"only clients with TEXT in their name; repeatable. The names: {_names()}",
    )
    parser.add_argument(
        "--others", type=count, metavar="N", help="at most N objects for clients that are not representative"
    )
    parser.add_argument("--representative", action="store_true", help="only one or two clients of each language")
    parser.add_argument(
        "--rounds", type=count, default=3, help="rounds of the representative clients; default: %(default)s"
    )
    plain(parser)


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record about the server and the objects, then one for each peer.

    Raises:
        SystemExit: No peer's name matches.
    """
    if not any(_selected(peer, options) for peer in PEERS):
        among = "the representative clients" if options.representative else "the names"
        names = _names(options.representative)
        raise SystemExit(f"peers: no name contains {' or '.join(options.only)}; {among} are {names}")
    kind, objects, tls = options.kind, options.objects, not options.plain
    if objects is None and options.corpus is None:
        objects = MADE[kind][2]
    lifecycles: dict[str, list[Lifecycle]] = {}
    with ExitStack() as stack:

        def source(count: int | None) -> Source:
            corpus = options.corpus and str(options.corpus.resolve())
            served = {"resource": kind, "objects": count, "seed": options.seed, "corpus": corpus, "tls": tls}
            return Source(stack.enter_context(Process(python(SERVER), **served)))

        sources = {None: source(objects)}
        empty = source(0)
        about = sources[None].about
        kind = options.kind = about["resource"].rpartition("/")[2]  # a corpus has its own kind
        selected = [peer for peer in PEERS if _selected(peer, options)]
        yield {
            "benchmark": options.benchmark,
            "record": "collection",
            "kind": kind,
            **{name: about[name] for name in ("objects", "raw_bytes", "pruned_bytes")},
            "ceiling": ceiling(about["url"], about["ca"], about["path"], about["objects"]),
        }
        for round_ in range(options.rounds):
            for peer in selected:
                if peer.absent or (round_ and not peer.representative):
                    continue
                most = _max_objects(peer, options)
                if most not in sources:
                    sources[most] = source(min(most or 0, about["objects"]))
                lifecycle = Lifecycle(peer, sources[most], empty)
                progress(f"{peer.name}, {kind}, round {round_ + 1}")
                try:
                    lifecycle.run()
                except (ProcessDied, WrongContent) as error:
                    lifecycle.failures["sync"] = str(error)
                lifecycles.setdefault(peer.name, []).append(lifecycle)
        for peer in selected:
            yield _record(peer, lifecycles.get(peer.name, []), sources, options)


def _names(representative: bool = False) -> str:
    return "; ".join(peer.name for peer in PEERS if peer.representative or not representative)


def _selected(peer: Peer, options: argparse.Namespace) -> bool:
    named = not options.only or any(text in peer.name for text in options.only)
    return named and (peer.representative or not options.representative)


def _max_objects(peer: Peer, options: argparse.Namespace) -> int | None:
    limits = [peer.max_objects, None if peer.representative else options.others]
    return min((limit for limit in limits if limit is not None), default=None)


def _record(
    peer: Peer, lifecycles: list[Lifecycle], sources: dict[int | None, Source], options: argparse.Namespace
) -> Record:
    about: Record = {"benchmark": options.benchmark, "kind": options.kind, "peer": peer.name, "family": peer.family}
    if peer.absent:
        return about | {"record": "absent", "why": peer.absent}
    objects = sources[_max_objects(peer, options)].about["objects"]
    rounds: list[Figures] = [
        each.figures | derived(each.figures, objects) for each in lifecycles if "sync" not in each.failures
    ]
    last = lifecycles[-1]
    return about | {
        "record": "peer",
        "metadata": peer.metadata,
        "objects": objects,
        "rounds": len(rounds),
        "versions": last.versions,
        "failures": {phase: why for each in lifecycles for phase, why in each.failures.items()},
        "figures": spreads(rounds) if rounds else {},  # type: ignore[arg-type]
        "timeline": last.timeline,
    }


def verdict(records: list[Record]) -> int:
    """Returns exit code 1 if kinform itself failed.

    A failure of another peer is a result.
    """
    return int(any(each.get("family") == "kinform" and each.get("failures") for each in records))


def progress(text: str) -> None:
    """Reports progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    lines = list[str]()
    for about in (each for each in records if each["record"] == "collection"):
        raw, pruned = (about[name] / about["objects"] for name in ("raw_bytes", "pruned_bytes"))
        rates = ", ".join(f"{name} {found['objects_per_second']:,.0f}" for name, found in about["ceiling"].items())
        lines.append(f"{about['objects']:,} {about['kind']} of {raw:,.0f} B, {pruned:,.0f} B without managedFields")
        lines.append(f"throughput of the server over {transport(about)}, objects a second: {rates}\n")
        lines.append(f"{'whole process; median, min, max':66}{'objects':>9}")
    for each in records:
        if each["record"] == "peer":
            lines.append(f"\n{each['peer']:66}{each['objects']:>9,}")
            lines += rows((*MEMORY, *CPU_TIME), each["figures"])
            lines += [f"    failed: {phase}: {why}" for phase, why in each["failures"].items()]
    lines += [f"{each['peer']:66} absent: {each['why']}" for each in records if each["record"] == "absent"]
    return "\n".join(lines)
