"""Memory that a table takes from the system and returns, measured from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any

import pytest

from benchmarks.harness.process import ROOT
from kinform.cli._process_memory import Gauge
from tests.memory.follower import MIB

PROGRAM = """
import json, random, resource, sys
from kinform_ext._table import Table
from tests.ext.resembling import take

table, rng, version, rollouts = Table(), random.Random(1), 0, 0
PATTERNS = []
for pattern in take(sys.argv[1], 80):
    pattern["metadata"] |= {"name": "@name", "namespace": "shop", "uid": "@uid", "resourceVersion": "@rv"}
    pattern["metadata"]["annotations"] = {"example.com/hash": "@hash", "example.com/rollout": "@rollout"}
    for container in pattern["spec"].get("containers", ()):
        container["image"] = container["image"].rpartition(":")[0] + ":1.2.@rollout"
    PATTERNS.append(json.dumps(pattern, separators=(",", ":")).encode())
UIDS = [f"{rng.getrandbits(32):08x}-1111-2222-3333-{rng.getrandbits(48):012x}" for _ in range(60_000)]

def name_of(at):
    return f"web-{at % 80}-{UIDS[at][:5]}-{at}"

def made(at, rv):
    raw = PATTERNS[at % 80].replace(b"@name", name_of(at).encode()).replace(b"@uid", UIDS[at].encode())
    raw = raw.replace(b"@rv", b"%d" % rv).replace(b"@hash", b"%016x" % rng.getrandbits(64))
    return raw.replace(b"@rollout", b"%d" % rollouts)

def put(at, initial=False, rv=None):
    global version
    version += 1
    rv = rv or version
    table.put(0, "shop", name_of(at), UIDS[at], str(rv), made(at, rv), initial, False)

def fill(count):
    for at in range(len(table), count):
        put(at, rv=1)

def relist(count, rv=None):
    table.begin(0)
    for at in range(count):
        put(at, True, rv)
    table.commit(0)
    while table.sweep(0, 1000, False)[1]:
        pass

def thin(keep_every, count):
    for at in range(count):
        if at % keep_every:
            table.delete(0, f"shop/{name_of(at)}", False)
    settle()

def update(times, count):
    for _ in range(times):
        put(int(rng.random() * count))

def settle():
    while table.compact(1 << 20):
        pass

def rewrite(count, times, rollout):
    '''Writes all objects again, several times, each time with new contents.'''
    global rollouts
    for _ in range(times):
        rollouts += rollout
        for at in rng.sample(range(count), count):
            put(at)
    settle()

def starve():
    '''Fills the table under a limit on the address space. It must stay intact when an allocation fails.'''
    global version
    held = dict.fromkeys(range(60_000))  # allocated before, so that it cannot fail after a put
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    refused = 0
    blobs = [rng.randbytes(rng.randrange(100, 500)) for _ in range(1000)]
    for step in range(400):
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + rng.randrange(300_000), hard))
        ids = versions = None
        try:
            if step % 7 == 0:
                ids = table.ids()
            if step % 5 == 0:
                versions = [table.version_of(id) for id in table.ids()]
            for _ in range(2000):
                at = rng.randrange(60_000)
                version += 1
                raw = blobs[at % 1000] * 40 if at % 100 == 0 else made(at, version) if at % 3 else blobs[at % 1000]
                table.put(0, "shop", str(at), UIDS[at], str(version), raw, False, False)
                held[at] = raw
        except MemoryError:
            refused += 1
        finally:
            del ids, versions
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        assert len(table) == len(held) - list(held.values()).count(None)
    for at, raw in held.items():
        assert table.raw(f"shop/{at}") == raw
        assert (f"shop/{at}" in table) == (raw is not None)
    for at in held:
        table.delete(0, f"shop/{at}", False)
    stats = table.stats()
    assert (stats["record_bytes"], stats["limbo_records"], stats["templates"]) == (0, 0, 0)
    assert refused > 200, refused

print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    print(json.dumps(table.stats()), flush=True)
"""


class Outside:
    """A process with a table that executes one line at a time.

    Args:
        kind: The kind of its objects.
    """

    def __init__(self, kind: str = "pods") -> None:
        self._kind = kind

    def __enter__(self) -> Outside:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, self._kind],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._gauge = Gauge(self.process.pid)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.stats: dict[str, int] = {}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    def do(self, line: str) -> int:
        """Executes a line and returns the resident bytes after it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._gauge.reset_peak()
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self.stats = json.loads(self.process.stdout.readline())
        return self._gauge.rss()

    def peak(self) -> int:
        """The most that was resident during the last line."""
        return self._gauge.peak()

    @property
    def held(self) -> int:
        """The bytes that the table reports, after the last line."""
        return sum(self.stats[part] for part in ("mapped_bytes", "map_bytes", "coder_bytes", "cached_bytes"))


def show(capsys: pytest.CaptureFixture[str], text: Any) -> None:
    with capsys.disabled():
        print(f"\n{text}")


def test_deleting_90_percent_returns_the_memory():
    with Outside() as outside:
        empty = outside.do("pass")
        full = outside.do("fill(60_000)")
        after = outside.do("thin(10, 60_000)")
    with Outside() as fresh:
        base = fresh.do("pass")
        alike = fresh.do("fill(6_000)")
    assert full - empty > 5 * MIB
    assert after - empty <= alike - base + max(0.05 * (full - empty), 2 * MIB)


def test_a_million_updates_do_not_grow_the_table():
    with Outside("leases") as outside:
        outside.do("fill(1000)")
        first = outside.do("update(100_000, 1000)")
        for _ in range(9):
            ended = outside.do("update(100_000, 1000)")
            assert outside.peak() < first + MIB / 2
    assert ended < first + MIB / 4


def test_a_relist_takes_no_memory_unchanged_and_twice_at_most():
    with Outside() as outside:
        empty = outside.do("pass")
        full = outside.do("relist(50_000, 1)")
        same = outside.do("relist(50_000, 1)")
        assert outside.peak() < full + MIB
        assert same < full + MIB / 2
        outside.do("relist(50_000)")
        assert outside.peak() < empty + 2.05 * (full - empty) + MIB
        after = outside.do("settle()")
        assert after < full + max(0.05 * (full - empty), 2 * MIB)


def test_ten_relists_take_no_more_than_one():
    with Outside() as outside:
        outside.do("relist(20_000)")
        first = outside.do("relist(20_000); settle()")
        for _ in range(9):
            last = outside.do("relist(20_000); settle()")
    assert last < first + MIB / 2


def test_the_reported_bytes_are_those_that_the_process_takes(capsys):
    """Compares what grows with the objects.

    The cache of the process is full after 5,000 pods.
    """
    with Outside() as outside:
        few = outside.do("fill(5_000)")
        reported = outside.held
        many = outside.do("fill(25_000)")
        reported = outside.held - reported
    show(capsys, f"20,000 pods: {(many - few) / 20_000:.0f} B each resident, {reported / 20_000:.0f} B reported")
    assert abs(reported - (many - few)) <= 0.05 * (many - few)


@pytest.mark.parametrize("rollout", [False, True])
def test_ten_rewrites_take_little_more_than_a_fresh_table(rollout, capsys):
    with Outside() as outside:
        outside.do("fill(5_000)")
        once = outside.held
        outside.do(f"rewrite(5_000, 10, {rollout})")
        rewritten, hidden = outside.held, outside.stats["hidden_bytes"]
        outside.do("table = Table(); rewrite(5_000, 1, False)")
        fresh = outside.held
    show(
        capsys,
        f"5,000 pods: {once / 5000:.0f} B each at first, {rewritten / 5000:.0f} B after 10 rewrites"
        f" (of these {hidden / 5000:.0f} B hidden), {fresh / 5000:.0f} B in a fresh table",
    )
    assert rewritten <= 1.3 * fresh


def test_the_table_stays_intact_when_allocation_fails():
    with Outside() as outside:
        outside.do("starve()")
