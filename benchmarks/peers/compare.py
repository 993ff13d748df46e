"""kinform and its peers on the same objects and the same loopback server, each in a fresh process, round by round.

Each row is a process read from outside: what it holds idle, after its first sync, at the peak of that and of relists,
when 90 % was deleted, and beside it what a fresh process holds of the rest; objects and events a CPU second. The
server sends bytes that are there already, and its own ceiling is told. Peers that take minutes for all of the objects
are given fewer: their bytes an object, and objects and events a CPU second, hardly depend on that. (kinform's do where
there are few: a dictionary and some megabytes of Python weigh the same for a hundred objects.) A life takes about a
minute for each peer and round, most of it waiting until memory is back. A peer that was not built
is told as absent, and one that never gets over a phase as having given up. One or two peers of each language go
through all rounds, the others through one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.corpus import MADE
from benchmarks.harness.arguments import corpus, count
from benchmarks.harness.ceiling import ceiling
from benchmarks.harness.process import Died, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Row, rows
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.peers.lifecycle import Figures, Life, Source, Wrong, derived

SERVER = "benchmarks/harness/server.py"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=sorted(MADE), default="pods")
    parser.add_argument("--objects", type=count, metavar="N", help="how many; each kind has a number of its own")
    parser.add_argument(
        "--corpus", type=corpus, metavar="FILE", help="objects from `kubectl get -o json`, or one a line"
    )
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help=f"peers with that in their name; repeatable: {_names()}"
    )
    parser.add_argument("--representative", action="store_true", help="one or two peers of each language")
    parser.add_argument("--rounds", type=count, default=3, help="of those that stand for their language; one of others")


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """One record about the server and the objects, and one a peer.

    Raises:
        SystemExit: No peer has such a name.
    """
    if not any(_chosen(peer, options) for peer in PEERS):
        raise SystemExit(f"peers: none has {' or '.join(options.only)} in its name; there are {_names()}")
    kind, objects = options.kind, options.objects
    if objects is None and options.corpus is None:
        objects = MADE[kind][2]
    lives: dict[str, list[Life]] = {}
    with ExitStack() as stack:

        def source(count: int | None) -> Source:
            corpus = options.corpus and str(options.corpus.resolve())
            made = {"resource": kind, "objects": count, "seed": options.seed, "corpus": corpus}
            return Source(stack.enter_context(Process(python(SERVER), **made)))

        sources = {None: source(objects)}
        nothing = source(0)
        about = sources[None].about
        kind = options.kind = about["resource"].rpartition("/")[2]  # a corpus has one of its own
        chosen = [peer for peer in PEERS if _chosen(peer, options)]
        yield {
            "benchmark": options.benchmark,
            "record": "collection",
            "kind": kind,
            **{name: about[name] for name in ("objects", "raw_bytes", "pruned_bytes")},
            "ceiling": ceiling(about["url"], about["path"], about["objects"]),
        }
        for round_ in range(options.rounds):
            for peer in chosen:
                if peer.absent or (round_ and not peer.quick):
                    continue
                if peer.most not in sources:
                    sources[peer.most] = source(min(peer.most or 0, about["objects"]))
                life = Life(peer, sources[peer.most], nothing)
                say(f"{peer.name}, {kind}, round {round_ + 1}")
                try:
                    life.run()
                except (Died, Wrong) as error:
                    life.gave_up["sync"] = str(error)
                lives.setdefault(peer.name, []).append(life)
        for peer in chosen:
            yield _record(peer, lives.get(peer.name, []), sources, options)


def _names() -> str:
    return "; ".join(peer.name for peer in PEERS)


def _chosen(peer: Peer, options: argparse.Namespace) -> bool:
    if options.only:
        return any(text in peer.name for text in options.only)
    return peer.quick or not options.representative


def _record(peer: Peer, lives: list[Life], sources: dict[int | None, Source], options: argparse.Namespace) -> Record:
    about: Record = {"benchmark": options.benchmark, "kind": options.kind, "peer": peer.name, "family": peer.family}
    if peer.absent:
        return about | {"record": "absent", "why": peer.absent}
    served = sources[peer.most].about
    objects = served["objects"]
    rounds: list[Figures] = [
        life.figures | derived(life.figures, objects) for life in lives if "sync" not in life.gave_up
    ]
    last = lives[-1]
    return about | {
        "record": "peer",
        "metadata": peer.metadata,
        "objects": objects,
        "rounds": len(rounds),
        "versions": last.versions,
        "gave_up": {phase: why for life in lives for phase, why in life.gave_up.items()},
        "figures": spreads(rounds) if rounds else {},  # type: ignore[arg-type]
        "timeline": last.timeline,
    }


def verdict(records: list[Record]) -> int:
    """The exit code: 1 if kinform itself did not get through. Of others that is a finding."""
    return int(any(each["gave_up"] for each in records if each.get("family") == "kinform" and "gave_up" in each))


def say(text: str) -> None:
    """Tells who waits what is going on."""
    print(text, file=sys.stderr, flush=True)


COLUMNS: tuple[Row, ...] = (
    ("idle", "idle.rss", "MiB"),
    ("first sync: peak", "sync.peak", "MiB"),
    ("5 s after", "sync.rss", "MiB"),
    ("quiet", "sync.quiet_rss", "MiB"),
    ("bytes an object", "quiet.bytes_per_object", ""),
    ("first sync: objects a CPU s", "sync.per_cpu_second", ""),
    ("and until quiet", "sync.per_all_cpu_second", ""),
    ("events a CPU s", "storm.per_cpu_second", ""),
    ("and until quiet", "storm.per_all_cpu_second", ""),
    ("relist, nothing changed: peak", "unchanged.peak", "MiB"),
    ("5 s after", "unchanged.rss", "MiB"),
    ("relist, all changed: peak", "changed.peak", "MiB"),
    ("5 s after", "changed.rss", "MiB"),
    ("90 % deleted: 5 s after", "deleted.rss", "MiB"),
    ("the rest, in a fresh process", "fresh.quiet_rss", "MiB"),
)


def table(records: list[Record]) -> str:
    """The result for people: a row a peer, MiB of the whole process."""
    lines = list[str]()
    for about in (each for each in records if each["record"] == "collection"):
        raw, pruned = (about[name] / about["objects"] for name in ("raw_bytes", "pruned_bytes"))
        most = ", ".join(f"{name} {found['objects_per_second']:,.0f}" for name, found in about["ceiling"].items())
        lines.append(f"{about['objects']:,} {about['kind']} of {raw:,.0f} B, {pruned:,.0f} B without managedFields")
        lines.append(f"the server's own ceiling, objects a second: {most}\n")
        lines.append(f"{'median (min to max)':42}{'objects':>9}")
        found = [each for each in records if each["record"] == "peer" and each["kind"] == about["kind"]]
        for each in found:
            lines.append(f"\n{each['peer']:42}{each['objects']:>9,}")
            lines += rows(COLUMNS, each["figures"])
            lines += [f"    gave up: {phase}: {why}" for phase, why in each["gave_up"].items()]
    lines += [f"{each['peer']:42} absent: {each['why']}" for each in records if each["record"] == "absent"]
    return "\n".join(lines)
