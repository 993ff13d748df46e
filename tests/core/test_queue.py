"""Changes that wait for a slow reader: in order, bounded, the newest of each key never lost."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import NamedTuple

import pytest

from kinform._dispatch import queue as queue_module
from kinform._dispatch.queue import Entry, Queue


class Version(NamedTuple):
    """As much of a version as a queue looks at."""

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
async def test_in_a_full_queue_changes_of_one_object_are_merged_and_never_across_uids(first, second, left):
    queue = Queue(1)
    queue.push(first)
    queue.push(second)
    assert queue.depth == len(left)
    assert await drain(queue) == left


async def test_a_storm_on_few_objects_stays_bounded_and_ends_with_the_newest_of_each():
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


async def test_objects_that_come_and_go_in_a_full_queue_leave_nothing_in_it():
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


def test_what_waits_is_nothing_that_pythons_collector_looks_at():
    assert not gc.is_tracked(updated(1, 2))


async def test_after_close_nothing_is_taken():
    queue = Queue(2)
    queue.close()
    queue.push(added(1))
    assert queue.depth == 0
    assert await queue.pop() is None


async def test_what_waits_for_one_handler_is_not_merged_with_what_is_for_all():
    queue = Queue(1)
    queue.push(Entry("added", "shop/web", version("u1", 1), only=print))
    queue.push(updated(1, 2))
    assert queue.depth == 2


async def test_old_versions_are_let_go_beyond_the_stated_bytes(monkeypatch):
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
