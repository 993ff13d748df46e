"""Threads that read give way to the writer, and only while it writes."""

from __future__ import annotations

import asyncio
import threading

import pytest

import kinform
from kinform._events import Applied
from kinform._store import turns
from tests.core.wire import batch


class Clock:
    """The clock of the module, and the sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[int] = []

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds == turns.PAUSE_SECONDS
        self.sleeps.append(threading.get_ident())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turns, "perf_counter", clock.perf_counter)
    monkeypatch.setattr(turns, "sleep", clock.sleep)
    return clock


def written(clock: Clock) -> turns.Turns:
    """Returns turns of which another thread has the last write."""
    found = turns.Turns()
    thread = threading.Thread(target=found.note_write)
    thread.start()
    thread.join()
    return found


def test_a_reader_gives_way_once_in_each_time_slice(clock):
    found = written(clock)
    for _ in range(1000):
        found.give_way()
        clock.now += turns.READ_SECONDS / 50
    assert 15 <= len(clock.sleeps) <= 21


def test_a_reader_does_not_give_way_if_nothing_arrives(clock):
    found = written(clock)
    clock.now += turns.ACTIVE_SECONDS
    found.give_way()
    turns.Turns().give_way()
    assert clock.sleeps == []


def test_the_writer_does_not_give_way(clock):
    found = turns.Turns()
    found.note_write()
    clock.now += 2 * turns.READ_SECONDS
    found.give_way()
    assert clock.sleeps == []


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
    READS[read](store)
    assert clock.sleeps == []
    await asyncio.to_thread(READS[read], store)
    assert len(clock.sleeps) == 1
