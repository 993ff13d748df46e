"""What the store's operations take, beside the same on two plain dicts: of pruned bytes, and of decoded objects.

What each contender does is not the same, and the bias is ours to state. The store compresses what it takes; each reader
gets an object of his own. The dict of bytes decodes as the store does, and pays in memory. The dict of dicts pays most,
and hands out the very object that it holds: whoever changes it changes it for all; bytes and structs it has to make.
Both have an index by hand, and a relist makes them anew. Every answer is checked before any time is told. Every round
runs all contenders, one operation after another. Times are CPU times of the one thread: what the store does later, in
the background, is not in them; `benchmarks memory` counts it. Python's garbage collector rests, as with timeit: the
objects of the dict of dicts, through which it would have to go again and again, would burden all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

import kinform
from benchmarks.corpus import dump, pod
from benchmarks.harness.gauge import QUIET_CPU_SECONDS, QUIET_SECONDS
from benchmarks.harness.machine import machine
from benchmarks.corpus import touch
from benchmarks.harness.spread import spread
from kinform._paths import compile
from kinform_ext._scan import Batch, Scanner

CHUNK = 128 << 10
NODE = "spec.nodeName"
STREAM = ""
END = dump(
    {
        "type": "BOOKMARK",
        "object": {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": "1000000000", "annotations": {"k8s.io/initial-events-end": "true"}},
        },
    }
)

Operation = Callable[[], int]
"""Does it for many objects; returns how many."""


class Metadata(msgspec.Struct, gc=False):
    """Of a small struct."""

    name: str
    labels: dict[str, str] = {}


class Spec(msgspec.Struct, gc=False):
    """Of a small struct."""

    nodeName: str = ""


class Small(msgspec.Struct, gc=False):
    """What a controller may want of a pod."""

    metadata: Metadata
    spec: Spec


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    told = asyncio.run(measure(options))
    print(json.dumps(told, indent=2) if options.json else table(told))
    return 0


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Fills each contender, checks it, and goes through all operations."""
    where, pods = machine(), Pods(options.objects, options.seed)
    async with Kinform.filled(pods) as ours:
        contenders = (ours, DictOfBytes(pods), DictOfDicts(pods))
        for contender in contenders:
            check(contender, pods)
        operations = {each.title: each.operations(pods) for each in contenders}
        gc.collect()
        gc.disable()
        rounds = [await run(operations, options.seconds) for _ in range(options.rounds)]
        gc.enable()
        for contender in contenders:
            contender.put(pods.initial)
            check(contender, pods)
    results = {
        name: {title: spread(each[name, title] for each in rounds) for title in operations}
        for name in operations[ours.title]
    }
    return {
        "benchmark": "store",
        "unit": "ns",
        "objects": len(pods.objects),
        "pruned_bytes_an_object": round(sum(map(len, pods.raw.values())) / len(pods.raw)),
        "seed": options.seed,
        "rounds": options.rounds,
        "machine": where,
        "results": {
            name: {title: found | {"per_second": 1e9 / found["median"]} for title, found in each.items()}
            for name, each in results.items()
        },
    }


async def run(operations: dict[str, dict[str, Operation]], seconds: float) -> dict[tuple[str, str], float]:
    """Nanoseconds a piece of each operation of each contender, in one round."""
    found = {}
    for name in next(iter(operations.values())):
        for title, known in operations.items():
            done, begun = 0, time.thread_time_ns()
            while (taken := time.thread_time_ns() - begun) < seconds * 1e9 or not done:
                done += known[name]()
            found[name, title] = taken / done
            await asyncio.sleep(0)
    return found


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks store", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    parser.add_argument("--objects", type=int, default=5_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--seconds", type=float, default=0.1, help="each operation goes on for at least so long a round"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


class Pods:
    """The objects, and the batches that a scanner makes of them as they come.

    Attributes:
        body: What a server sends of them, to the end of the initial events.
        objects: Decoded, without managedFields, by key.
        raw: Their bytes, likewise.
        initial: As batches.
        changed: The same objects after a change of each, as batches.
        keys: All keys, shuffled.
        nodes: The values of the index, shuffled.
    """

    def __init__(self, count: int, seed: int) -> None:
        made = [pod((seed << 32) + number) for number in range(count)]
        self.body = b"".join(lines(made)) + END + b"\n"
        self.initial = list(scanned(made))
        for number, found in enumerate(made):
            touch(found, 10**9 + number, "2026-04-01T00:00:00Z")
        self.changed = list(scanned(made))
        pairs = [(batch.key(i), batch.raw(i)) for batch in self.initial for i in range(len(batch))]
        self.raw = dict(pairs)
        self.objects = {key: json.loads(raw) for key, raw in pairs}
        self.by_node: dict[str, list[str]] = defaultdict(list)
        for key in sorted(self.objects):
            self.by_node[self.objects[key]["spec"]["nodeName"]].append(key)
        rng = random.Random(seed)
        self.keys = rng.sample(list(self.raw), len(self.raw))
        self.nodes = rng.sample(list(self.by_node), len(self.by_node))


def lines(pods: list[dict[str, Any]]) -> Iterator[bytes]:
    """What a WATCH sends of these pods."""
    about = {"kind": "Pod", "apiVersion": "v1"}
    return (dump({"type": "ADDED", "object": about | found}) + b"\n" for found in pods)


def scanned(pods: list[dict[str, Any]]) -> Iterator[Batch]:
    """What comes of these pods out of a WATCH."""
    scanner = Scanner("watch", compile(("metadata.managedFields",), (), {}))
    whole = b"".join(lines(pods))
    for at in range(0, len(whole), CHUNK):
        for item in scanner.feed(whole[at : at + CHUNK]):
            assert isinstance(item, Batch)
            yield item
    scanner.finish()


class Contender:
    """One way to hold a collection. Each operation goes through many objects in one call."""

    title: str

    def put(self, batches: list[Batch]) -> int:
        """Takes changes."""
        raise NotImplementedError

    def relist(self, batches: list[Batch]) -> int:
        """Takes a whole state."""
        raise NotImplementedError

    def get(self, key: str) -> Any:
        """The object, decoded."""
        raise NotImplementedError

    def struct(self, key: str) -> Any:
        """The object as a small struct."""
        raise NotImplementedError

    def raw(self, key: str) -> Any:
        """The object's bytes."""
        raise NotImplementedError

    def keys(self) -> list[str]:
        """All keys."""
        raise NotImplementedError

    def index_keys(self, node: str) -> list[str]:
        """The keys of the objects on a node, sorted."""
        raise NotImplementedError

    def items(self) -> Iterable[tuple[str, Any]]:
        """All objects, decoded."""
        raise NotImplementedError

    def operations(self, pods: Pods) -> dict[str, Operation]:
        """What is measured, by name."""
        state = [pods.initial, pods.changed]

        def put() -> int:
            state.reverse()
            return self.put(state[0])

        return {
            "put": put,
            "relist, nothing changed": lambda: self.relist(state[0]),
            "get": lambda: _each(self.get, pods.keys),
            "get to a struct": lambda: _each(self.struct, pods.keys),
            "raw": lambda: _each(self.raw, pods.keys),
            "keys": lambda: len(self.keys()),
            "index look-up": lambda: _each(self.index_keys, pods.nodes),
            "iterate": lambda: sum(1 for _ in self.items()),
        }


def _each(read: Callable[[str], object], names: list[str]) -> int:
    for name in names:
        read(name)
    return len(names)


class Replay:
    """A transport that gives the same initial events to whoever asks, and then nothing more."""

    def __init__(self, body: bytes) -> None:
        self.identity = self
        self.status = 200
        self.headers: Mapping[str, str] = {}
        self._body = body

    async def open(self, request: kinform.Request) -> kinform.Response:
        """Answers whatever is asked."""
        return self

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces."""
        for at in range(0, len(self._body), CHUNK):
            yield self._body[at : at + CHUNK]
        await asyncio.Event().wait()

    async def head(self, limit: int) -> bytes:
        """The beginning of the body."""
        return self._body[:limit]

    async def refresh_credentials(self) -> bool:
        """There are none."""
        return False

    def close(self) -> None:
        """Nothing is open."""


class Kinform(Contender):
    """The stores of informers, once they have nothing to do in the background. A type is an informer's for good."""

    title = "kinform"

    def __init__(self, plain: kinform.Informer, small: kinform.Informer) -> None:
        self._writer = plain._writer
        self._store = plain.store
        self.get = self._store.__getitem__  # type: ignore[assignment,method-assign]
        self.struct = small.store.__getitem__  # type: ignore[assignment,method-assign]
        self.raw = self._store.raw  # type: ignore[method-assign]

    @classmethod
    @asynccontextmanager
    async def filled(cls, pods: Pods) -> AsyncIterator[Kinform]:
        """Two informers that were sent the pods and had the time to do with them what they do."""
        transport, options = Replay(pods.body), kinform.WatchOptions(silence_timeout=86400.0)
        plain = kinform.Informer(transport, "v1/pods", indexes={"node": NODE}, options=options)
        small = kinform.Informer(transport, "v1/pods", type=Small, options=options)
        async with plain, small:
            await plain.synced()
            await small.synced()
            await quiet()
            yield cls(plain, small)

    def put(self, batches: list[Batch]) -> int:
        for batch in batches:
            self._writer.apply(STREAM, batch, initial=False)
        return sum(map(len, batches))

    def relist(self, batches: list[Batch]) -> int:
        self._writer.begin(STREAM)
        for batch in batches:
            self._writer.apply(STREAM, batch, initial=True)
        self._writer.commit(STREAM)
        return sum(map(len, batches))

    def keys(self) -> list[str]:
        return list(self._store.keys())

    def index_keys(self, node: str) -> list[str]:
        return self._store.index_keys("node", node)

    def items(self) -> Iterable[tuple[str, Any]]:
        return self._store.items()


async def quiet() -> None:
    """Returns when this process does nothing but wait."""
    used = -1.0
    while time.process_time() - used > QUIET_CPU_SECONDS:
        used = time.process_time()
        await asyncio.sleep(QUIET_SECONDS)


class Plain(Contender):
    """What both dicts have in common."""

    def __init__(self, pods: Pods) -> None:
        self._held: dict[str, Any] = {}
        self._by_node: dict[str, set[str]] = {}
        self.put(pods.initial)

    def put(self, batches: list[Batch]) -> int:
        for batch in batches:
            for i in range(len(batch)):
                self._put(batch.key(i), batch.raw(i))
        return sum(map(len, batches))

    def relist(self, batches: list[Batch]) -> int:
        self._held, self._by_node = {}, {}
        return self.put(batches)

    def _put(self, key: str, raw: bytes) -> None:
        raise NotImplementedError

    def _index(self, key: str, old: str | None, new: str) -> None:
        if old != new:
            if old is not None:
                self._by_node[old].discard(key)
            self._by_node.setdefault(new, set()).add(key)

    def keys(self) -> list[str]:
        return list(self._held)

    def index_keys(self, node: str) -> list[str]:
        return sorted(self._by_node[node])


class DictOfBytes(Plain):
    """Key to pruned bytes."""

    title = "dict of bytes"
    _read_dict = staticmethod(msgspec.json.Decoder(dict).decode)
    _read_small = staticmethod(msgspec.json.Decoder(Small).decode)

    def _put(self, key: str, raw: bytes) -> None:
        old = self._held.get(key)
        self._held[key] = raw
        self._index(key, old and self._read_small(old).spec.nodeName, self._read_small(raw).spec.nodeName)

    def get(self, key: str) -> Any:
        return self._read_dict(self._held[key])

    def struct(self, key: str) -> Any:
        return self._read_small(self._held[key])

    def raw(self, key: str) -> Any:
        return self._held[key]

    def items(self) -> Iterable[tuple[str, Any]]:
        return ((key, self._read_dict(raw)) for key, raw in list(self._held.items()))


class DictOfDicts(Plain):
    """Key to decoded object."""

    title = "dict of dicts"
    _read = staticmethod(msgspec.json.Decoder(dict).decode)

    def _put(self, key: str, raw: bytes) -> None:
        old, new = self._held.get(key), self._read(raw)
        self._held[key] = new
        self._index(key, old and old["spec"]["nodeName"], new["spec"]["nodeName"])

    def get(self, key: str) -> Any:
        return self._held[key]

    def struct(self, key: str) -> Any:
        return msgspec.convert(self._held[key], Small)

    def raw(self, key: str) -> Any:
        return msgspec.json.encode(self._held[key])

    def items(self) -> Iterable[tuple[str, Any]]:
        return list(self._held.items())


def check(contender: Contender, pods: Pods) -> None:
    """Every answer to every question, against the objects that were sent first."""
    right = sorted(contender.keys()) == sorted(pods.objects) and dict(contender.items()) == pods.objects
    for key, found in pods.objects.items():
        right = right and contender.get(key) == found and json.loads(contender.raw(key)) == found
        right = right and contender.struct(key) == msgspec.convert(found, Small)
    right = right and all(contender.index_keys(node) == keys for node, keys in pods.by_node.items())
    if not right:
        raise SystemExit(f"store: {contender.title}: a wrong answer; no time is told")


def table(told: dict[str, Any]) -> str:
    """The result for people."""
    size, at = told["pruned_bytes_an_object"], told["machine"]
    lines = [f"{told['objects']} pods of {size} B, pruned; {told['rounds']} rounds; ns a piece"]
    lines.append(f"{at['cpu']}, {at['cores']} cores, {at['kernel']}, {at['python']}")
    for name, each in told["results"].items():
        lines.append(f"\n{name:24}{'median':>10}{'min':>10}{'max':>10}{'a second':>14}{'x kinform':>11}")
        ours = each["kinform"]["median"]
        for title, found in each.items():
            row = "".join(f"{found[end]:10,.0f}" for end in ("median", "min", "max"))
            lines.append(f"  {title:22}{row}{found['per_second']:14,.0f}{found['median'] / ours:11.2f}")
    return "\n".join(lines)
