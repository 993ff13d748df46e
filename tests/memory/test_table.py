"""Memory that a table takes from the system and returns, measured from outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

from kinform.cli._process_memory import Gauge

ROOT = Path(__file__).parents[2]

PROGRAM = """
import random, resource, sys
from kinform_ext._table import Table

table, rng, version = Table(), random.Random(1), 0
BLOBS = [rng.randbytes(rng.randrange(100, 500)) for _ in range(1000)]
UIDS = [f"{rng.getrandbits(32):08x}-1111-2222-3333-{rng.getrandbits(48):012x}" for _ in range(100_000)]

def put(at, initial=False, rv=None):
    global version
    version += 1
    table.put(0, "shop", f"pod-{at:06d}", UIDS[at], str(rv or version), BLOBS[version % 1000], initial, False)

def fill(count):
    for at in range(count):
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
            table.delete(0, f"shop/pod-{at:06d}", False)
    settle()

def update(times, count):
    for _ in range(times):
        put(int(rng.random() * count))

def settle():
    while table.compact(1 << 20):
        pass

def starve():
    '''Fills the table under a limit on the address space. It must stay intact when an allocation fails.'''
    held = dict.fromkeys(range(100_000))  # allocated before, so that it cannot fail after a put
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    refused = 0
    for step in range(400):
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + rng.randrange(300_000), hard))
        ids = None
        try:
            if step % 7 == 0:
                ids = table.ids()
            for at in range(3000):
                at = rng.randrange(100_000)
                raw = BLOBS[at % 1000] * (1 if at % 100 else 40)
                table.put(0, "shop", str(at), UIDS[at], str(step), raw, False, False)
                held[at] = raw
        except MemoryError:
            refused += 1
        finally:
            del ids
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        assert len(table) == len(held) - list(held.values()).count(None)
    for at, raw in held.items():
        assert table.raw(f"shop/{at}") == raw
        assert (f"shop/{at}" in table) == (raw is not None)
    for at in held:
        table.delete(0, f"shop/{at}", False)
    assert table.stats()["record_bytes"] == 0
    assert refused > 200, refused

print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    print("ready", flush=True)
"""


class Outside:
    """A process with a table that executes one line at a time."""

    def __enter__(self) -> Outside:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._gauge = Gauge(self.process.pid)
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    def _wait(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def do(self, line: str) -> int:
        """Executes a line and returns the resident bytes after it."""
        assert self.process.stdin is not None
        self._gauge.reset_peak()
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self._wait()
        return self._gauge.rss()

    def peak(self) -> int:
        """The most that was resident during the last line."""
        return self._gauge.peak()


MIB = 1 << 20


def test_deleting_90_percent_returns_the_memory():
    with Outside() as outside:
        empty = outside.do("pass")
        full = outside.do("fill(100_000)")
        after = outside.do("thin(10, 100_000)")
    with Outside() as fresh:
        base = fresh.do("pass")
        alike = fresh.do("fill(10_000)")
    assert full - empty > 30 * MIB
    assert after - empty <= alike - base + max(0.05 * (full - empty), 2 * MIB)


def test_a_million_updates_do_not_grow_the_table():
    with Outside() as outside:
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


def test_the_table_stays_intact_when_allocation_fails():
    with Outside() as outside:
        outside.do("starve()")
