"""Threads that read give way to the writer, and only while it writes."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import kinform
from kinform._events import Applied
from kinform._store import turns
from tests.core.wire import batch


class Clock:
    """The clock of the module, and the sleeps.

    Attributes:
        now: The time.
        sleeps: The threads that slept, in order.
        late: Seconds by which each sleep lasts too long.
        writer: A thread that writes. It lives as long as the clock: another one could get its identifier.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[int] = []
        self.late = 0.0
        self.writer = ThreadPoolExecutor(1)

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.sleeps.append(threading.get_ident())
        self.now += seconds + self.late


class Reader:
    """A thread that reads when a test says so."""

    def __init__(self, found: turns.Turns, clock: Clock) -> None:
        self._found, self._clock = found, clock
        self._thread = ThreadPoolExecutor(1)
        self.ident = self._thread.submit(threading.get_ident).result()

    def read(self, seconds: float = 0.0) -> None:
        """Reads again and again for a number of seconds; 0: once."""
        end = self._clock.now + seconds
        while True:
            self._thread.submit(self._found.give_way).result(10)
            if self._clock.now >= end:
                return
            self._clock.now += turns.AWAY_SECONDS / 2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turns, "perf_counter", clock.perf_counter)
    monkeypatch.setattr(turns, "sleep", clock.sleep)
    return clock


def written(clock: Clock) -> turns.Turns:
    """Returns turns of which another thread has the last write."""
    found = turns.Turns()
    clock.writer.submit(found.note_write).result()
    return found


def test_a_lone_reader_gives_way_once_in_each_slice(clock):
    reader = Reader(written(clock), clock)
    reader.read(20 * turns.READ_SECONDS)
    assert 18 <= len(clock.sleeps) <= 20


def test_a_lone_reader_reads_on_if_nothing_arrives(clock):
    found = written(clock)
    clock.now += turns.ACTIVE_SECONDS
    Reader(found, clock).read(20 * turns.QUIET_READ_SECONDS)
    Reader(turns.Turns(), clock).read(20 * turns.QUIET_READ_SECONDS)
    assert clock.sleeps == []


def test_the_writer_does_not_give_way(clock):
    found = turns.Turns()
    found.note_write()
    for _ in range(100):
        found.give_way()
        clock.now += turns.AWAY_SECONDS / 2
    assert clock.sleeps == []


def test_a_reader_with_pauses_does_not_sleep(clock):
    reader = Reader(written(clock), clock)
    for _ in range(20):
        reader.read()
        clock.now += turns.READ_SECONDS + 2 * turns.AWAY_SECONDS
    assert clock.sleeps == []


def test_a_reader_waits_for_the_end_of_the_others_slice(clock):
    found = written(clock)
    first, second = Reader(found, clock), Reader(found, clock)
    second.read(turns.READ_SECONDS / 2)
    first.read()
    clock.now += turns.READ_SECONDS / 2
    start = clock.now
    second.read()
    assert clock.sleeps == [second.ident]
    assert clock.now == pytest.approx(start + turns.READ_SECONDS / 2, abs=2 * turns.PAUSE_SECONDS)


def test_readers_that_share_a_store_pause_if_nothing_arrives(clock):
    found = turns.Turns()
    first, second = Reader(found, clock), Reader(found, clock)
    first.read()
    second.read(10 * turns.QUIET_READ_SECONDS)
    assert 9 <= len(clock.sleeps) <= 11


def test_readers_pause_while_the_writer_is_busy_but_not_for_ever(clock):
    found = written(clock)
    first, second = Reader(found, clock), Reader(found, clock)
    first.read()
    clock.late = 2 * turns.LATE_SECONDS
    second.read(turns.READ_SECONDS)
    pauses = turns.MAX_PAUSE_SECONDS / clock.late
    assert pauses - 1 <= len(clock.sleeps) <= pauses + 2


def test_a_reader_leaves_a_queue_that_a_fork_has_copied(clock, monkeypatch):
    monkeypatch.setattr(turns, "QUEUE_SECONDS", 0.01)
    found = written(clock)
    first, second = Reader(found, clock), Reader(found, clock)
    first.read()
    found._queue.acquire()  # by a thread that the new process lacks
    second.read(turns.READ_SECONDS)
    assert set(clock.sleeps) == {second.ident}


READS = {
    "get": lambda store: store.get("shop/a"),
    "getitem": lambda store: store["shop/a"],
    "raw": lambda store: store.raw("shop/a"),
    "items": lambda store: list(store.items()),
    "values": lambda store: list(store.values(label_selector="app=web", on_undecodable="skip")),
    "index": lambda store: store.index("name", "a"),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("cached", [None, 10])
async def test_each_read_of_objects_in_another_thread_gives_way(clock, read, cached):
    writer, store = kinform.store(indexes={"name": "metadata.name"}, decoded_cache=cached)
    found = {"metadata": {"namespace": "shop", "name": "a", "uid": "u", "labels": {"app": "web"}}}
    await writer.write("", Applied(batch(found), False))

    def read_twice() -> None:
        READS[read](store)
        clock.now += turns.READ_SECONDS
        READS[read](store)

    read_twice()
    assert clock.sleeps == []
    await asyncio.to_thread(read_twice)
    assert len(clock.sleeps) == 1
