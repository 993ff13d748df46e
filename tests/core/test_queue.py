"""The queue of a slow reader: ordered, bounded, and with the newest of each key."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import NamedTuple

import pytest

from kinform._dispatch import queue as queue_module
from kinform._dispatch.queue import Entry, Queue


class Version(NamedTuple):
    """The part of a Version that a queue uses."""

    uid: str
    resource_version: str
    nbytes: int


def version(uid: str, number: int, size: int = 2) -> Version:
    return Version(uid, str(number), size)


def added(number: int, uid: str = "u1", key: str = "shop/web") -> Entry:
    return Entry("added", key, version(uid, number))


def updated(old: int, new: int, uid: str = "u1", key: str = "shop/web") -> Entry:
    return Entry("updated", key, version(uid, new), version(uid, old))


def deleted(number: int, uid: str = "u1", key: str = "shop/web") -> Entry:
    return Entry("deleted", key, None, version(uid, number))


async def drain(queue: Queue) -> list[tuple[str, str | None, str | None]]:
    entries = [await queue.pop() for _ in range(queue.depth)]
    return [
        (entry.kind, entry.old and entry.old.resource_version, entry.new and entry.new.resource_version)
        for entry in entries
    ]


async def test_below_the_bound_nothing_is_merged():
    queue = Queue(10)
    for entry in (added(1), updated(1, 2), updated(2, 3), deleted(3)):
        queue.push(entry)
    assert await drain(queue) == [
        ("added", None, "1"),
        ("updated", "1", "2"),
        ("updated", "2", "3"),
        ("deleted", "3", None),
    ]


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        (added(1), updated(1, 2), [("added", None, "2")]),
        (updated(1, 2), updated(2, 3), [("updated", "1", "3")]),
        (added(1), deleted(1), []),
        (updated(1, 2), deleted(2), [("deleted", "2", None)]),
        (deleted(1), added(2, "u2"), [("deleted", "1", None), ("added", None, "2")]),
        (added(1), deleted(2, "u2"), [("added", None, "1"), ("deleted", "2", None)]),
    ],
)
async def test_a_full_queue_merges_changes_of_one_uid_only(first, second, left):
    queue = Queue(1)
    queue.push(first)
    queue.push(second)
    assert queue.depth == len(left)
    assert await drain(queue) == left


async def test_a_storm_on_few_objects_stays_bounded_with_the_newest():
    queue = Queue(5)
    for number in range(1, 1000):
        for name in range(3):
            queue.push(updated(number - 1, number, key=f"shop/{name}"))
    assert queue.depth <= 8
    newest: dict[str, str] = {}
    for _ in range(queue.depth):
        entry = await queue.pop()
        newest[entry.key] = entry.new.resource_version
    assert newest == {"shop/0": "999", "shop/1": "999", "shop/2": "999"}


async def test_additions_and_deletions_in_a_full_queue_cancel_out():
    queue = Queue(2)
    queue.push(added(1, key="shop/first"))
    queue.push(added(1, key="shop/second"))
    objects = [version(f"u{number}", 1) for number in range(100)]
    came = [Entry("added", f"shop/{number}", found) for number, found in enumerate(objects)]
    for number, found in enumerate(objects):
        queue.push(came[number])
        queue.push(Entry("deleted", f"shop/{number}", None, found))
    assert queue.depth == 2
    assert sum(sys.getrefcount(came[number]) > 2 for number in range(100)) <= 4
    del found
    assert {sys.getrefcount(objects[number]) for number in range(100)} == {2}  # the list's, and the call's


def test_entries_are_not_tracked_by_the_garbage_collector():
    assert not gc.is_tracked(updated(1, 2))


async def test_push_after_close_is_ignored():
    queue = Queue(2)
    queue.close()
    queue.push(added(1))
    assert queue.depth == 0
    assert await queue.pop() is None


async def test_entries_for_one_handler_are_not_merged_with_others():
    queue = Queue(1)
    queue.push(Entry("added", "shop/web", version("u1", 1), only=print))
    queue.push(updated(1, 2))
    assert queue.depth == 2


async def test_old_versions_are_released_beyond_the_bytes_limit(monkeypatch):
    monkeypatch.setattr(queue_module, "MAX_PINNED_BYTES", 100)
    queue = Queue(10)
    for number in range(3):
        queue.push(Entry("updated", f"shop/{number}", version("u", 2), version("u", 1, size=60)))
    assert queue.dropped_old == 2
    assert [(await queue.pop()).old is not None for _ in range(3)] == [True, False, False]
    queue.push(Entry("updated", "shop/9", version("u", 2), version("u", 1, size=60)))
    assert (await queue.pop()).old is not None


async def test_pop_waits_for_a_push_and_ends_at_close():
    queue = Queue(10)
    waiting = asyncio.ensure_future(queue.pop())
    await asyncio.sleep(0)
    queue.push(added(1))
    assert (await waiting).kind == "added"
    waiting = asyncio.ensure_future(queue.pop())
    await asyncio.sleep(0)
    queue.close()
    assert await waiting is None


async def test_each_of_several_tasks_that_wait_is_served():
    queue = Queue(10)
    waiting = [asyncio.ensure_future(queue.pop()) for _ in range(4)]
    await asyncio.sleep(0)
    waiting.pop().cancel()
    queue.push(added(1, key="shop/a"))
    queue.push(added(1, key="shop/b"))
    await asyncio.sleep(0)
    queue.close()
    async with asyncio.timeout(10):
        found = await asyncio.gather(*waiting)
    assert [entry and entry.key for entry in found] == ["shop/a", "shop/b", None]


async def test_a_sealed_queue_merges_nothing_into_what_waits():
    queue = Queue(1)
    queue.push(added(1))
    queue.seal()
    queue.push(deleted(1))
    assert await drain(queue) == [("added", None, "1"), ("deleted", "1", None)]
