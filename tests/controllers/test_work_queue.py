"""The work queue behaves as that of client-go, with priorities.

Over 500 lines: one file shows which rules of the queue have a test.
Source: the tests of client-go's `util/workqueue` and of controller-runtime's `priorityqueue`.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

import kinform
from kinform.controllers import QueueShutDown, WorkQueue
from tests.support.virtual_time import in_virtual_time, now

EXACT = kinform.Backoff(initial=0.005, maximum=1000.0, jitter=0.0)
UNLIMITED = {"backoff": EXACT, "rate": None}


async def take_all(queue: WorkQueue[str]) -> list[str]:
    """Gets and finishes all ready keys."""
    taken = []
    while len(queue):
        async with queue.item() as key:
            taken.append(key)
    return taken


async def parked(queue: WorkQueue[str]) -> asyncio.Task[str]:
    """Returns a call of `get` that waits."""
    task = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not task.done()
    return task


# Dirty and processing


async def test_a_waiting_key_is_not_added_again():
    queue = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert await take_all(queue) == ["a", "b"]
    assert queue.stats().adds == 2


async def test_a_key_added_while_processed_waits_for_done():
    queue = WorkQueue()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    getter = await parked(queue)
    queue.done("a")
    assert await getter == "a"
    queue.done("a")
    assert len(queue) == 0
    assert queue.stats().adds == 2


async def test_a_dirty_key_goes_to_the_end():
    queue = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("b")
    queue.done("a")
    assert await take_all(queue) == ["b", "a"]


async def test_one_key_is_never_with_two_workers():
    queue = WorkQueue()
    working: set[str] = set()
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        while True:
            async with queue.item() as key:
                assert key not in working
                working.add(key)
                queue.add("ab"[rounds % 2])
                await asyncio.sleep(0)
                working.remove(key)
                rounds += 1

    tasks = [asyncio.create_task(work()) for _ in range(4)]
    for key in "abab":
        queue.add(key)
    while rounds < 1_000:
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


async def test_keys_come_in_the_order_of_their_addition():
    queue = WorkQueue()
    keys = [f"shop/web-{n}" for n in range(100)]
    for key in keys:
        queue.add(key)
    assert await take_all(queue) == keys


async def test_len_counts_only_ready_keys():
    queue = WorkQueue()
    queue.add("a")
    queue.add("b")
    queue.add_after("c", 60)
    await queue.get()
    assert len(queue) == 1
    queue.shutdown()


async def test_keys_can_be_any_hashable():
    queue = WorkQueue[object]()
    for key in (None, 0, ("shop", "web"), frozenset({"a"})):
        queue.add(key)
    assert await take_all(queue) == [None, 0, ("shop", "web"), frozenset({"a"})]


async def test_a_popped_key_is_not_kept_alive():
    class Key:
        pass

    async def work(queue: WorkQueue[Key]) -> weakref.ref[Key]:
        key = Key()
        queue.add(key)
        queue.add(key, priority=1)
        queue.add_rate_limited(key)
        assert await queue.get() is key
        queue.forget(key)
        queue.done(key)
        return weakref.ref(key)

    queue = WorkQueue[Key]()
    found = await work(queue)
    gc.collect()
    assert found() is None


async def test_done_without_get_is_refused():
    queue = WorkQueue()
    queue.add("a")
    with pytest.raises(kinform.OptionError, match="key: 'a' is not allowed; expected a key that `get` has returned"):
        queue.done("a")


# Get and shutdown


async def test_get_waits_for_an_addition():
    queue = WorkQueue()
    getters = [await parked(queue) for _ in range(3)]
    for key in "abc":
        queue.add(key)
    assert [await getter for getter in getters] == ["a", "b", "c"]


async def test_a_cancelled_get_loses_no_key():
    queue = WorkQueue()
    first, second = await parked(queue), await parked(queue)
    queue.add("a")
    first.cancel()
    assert await second == "a"
    with pytest.raises(asyncio.CancelledError):
        await first
    third = await parked(queue)
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)
    queue.done("a")
    queue.add("b")
    assert await queue.get() == "b"


async def test_a_key_passes_over_gets_cancelled_just_before():
    queue = WorkQueue()
    cancelled, waiting = [await parked(queue) for _ in range(3)], await parked(queue)
    for getter in cancelled:
        getter.cancel()  # its task runs after the addition
    queue.add("a")
    assert await waiting == "a"
    results = await asyncio.gather(*cancelled, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


async def test_shutdown_passes_over_gets_cancelled_just_before():
    queue = WorkQueue()
    cancelled, waiting = await parked(queue), await parked(queue)
    cancelled.cancel()
    queue.shutdown()
    with pytest.raises(QueueShutDown):
        await waiting
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_additions_after_shutdown_are_ignored():
    queue = WorkQueue()
    queue.shutdown()
    queue.add("a")
    queue.add_after("b", 1)
    queue.add_rate_limited("c")
    assert len(queue) == queue.stats().delayed == 0


async def test_get_hands_out_what_is_left_after_shutdown():
    queue = WorkQueue()
    queue.add("a")
    queue.add("b")
    queue.shutdown()
    assert await queue.get() == "a"
    assert await queue.get() == "b"
    with pytest.raises(QueueShutDown, match="work queue: the queue was shut down"):
        await queue.get()


async def test_shutdown_wakes_every_get():
    queue = WorkQueue()
    getters = [await parked(queue) for _ in range(3)]
    queue.shutdown()
    results = await asyncio.gather(*getters, return_exceptions=True)
    assert [type(result) for result in results] == [QueueShutDown] * 3


async def test_get_does_not_wait_for_delayed_keys_after_shutdown():
    queue = WorkQueue()
    queue.add_after("a", 3600)
    getter = await parked(queue)
    queue.shutdown()
    with pytest.raises(QueueShutDown):
        await getter


async def test_drain_waits_until_all_keys_are_done():
    queue = WorkQueue()
    queue.add("a")
    queue.add("b")
    await queue.get()
    await queue.get()
    drain = asyncio.create_task(queue.drain())
    await asyncio.sleep(0)
    queue.add("c")
    queue.done("a")
    await asyncio.sleep(0)
    assert not drain.done()
    queue.done("b")
    await drain
    assert len(queue) == 0


async def test_drain_includes_a_key_added_while_processed():
    queue = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    drain = asyncio.create_task(queue.drain())
    await asyncio.sleep(0)
    queue.done("a")
    await asyncio.sleep(0)
    assert not drain.done()
    assert await queue.get() == "a"
    queue.done("a")
    await drain


async def test_drain_of_an_empty_queue_returns_at_once():
    queue = WorkQueue()
    await queue.drain()
    with pytest.raises(QueueShutDown):
        await queue.get()


async def test_shutdown_ends_a_drain():
    queue = WorkQueue()
    queue.add("a")
    await queue.get()
    drains = [asyncio.create_task(queue.drain()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.shutdown()
    await asyncio.gather(*drains)
    queue.done("a")


async def test_shutdown_ends_a_drain_with_a_dirty_key():
    queue = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    drain = asyncio.create_task(queue.drain())
    await asyncio.sleep(0)
    queue.done("a")
    await asyncio.sleep(0)
    assert not drain.done()
    queue.shutdown()
    await drain
    assert await queue.get() == "a"
    queue.done("a")
    with pytest.raises(QueueShutDown):
        await queue.get()


async def test_drain_follows_an_earlier_shutdown():
    queue = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.shutdown()
    drain = asyncio.create_task(queue.drain())
    await asyncio.sleep(0)
    assert not drain.done()
    queue.done("a")
    await drain


# Delays


@in_virtual_time
async def test_a_delayed_key_gets_ready_at_its_time():
    queue = WorkQueue()
    queue.add_after("late", 20)
    queue.add_after("early", 10)
    assert (await queue.get(), now()) == ("early", 10)
    assert (await queue.get(), now()) == ("late", 20)


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_delay_that_is_not_positive_is_an_addition(seconds: float):
    queue = WorkQueue()
    queue.add_after("a", seconds)
    assert await take_all(queue) == ["a"]


@in_virtual_time
async def test_the_earliest_time_wins():
    queue = WorkQueue()
    for seconds in (30, 10, 20):
        queue.add_after("a", seconds)
    assert queue.stats().delayed == 1
    assert (await queue.get(), now()) == ("a", 10)
    queue.done("a")
    await asyncio.sleep(100)
    assert len(queue) == 0


@in_virtual_time
async def test_an_addition_ends_a_delay():
    queue = WorkQueue()
    queue.add_after("a", 600)
    queue.add("a")
    assert queue.stats().delayed == 0
    assert (await queue.get(), now()) == ("a", 0)


@in_virtual_time
async def test_a_delay_does_not_defer_a_ready_key():
    queue = WorkQueue()
    queue.add("a")
    queue.add_after("a", 600)
    assert (await queue.get(), now()) == ("a", 0)
    queue.done("a")
    assert queue.stats().delayed == 0


@in_virtual_time
async def test_a_delayed_key_of_a_worker_waits_for_done():
    queue = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add_after("a", 10)
    await asyncio.sleep(30)
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


@in_virtual_time
async def test_due_keys_wake_as_many_workers():
    queue = WorkQueue()
    getters = [await parked(queue) for _ in range(3)]
    for key, seconds in (("a", 10.0), ("b", 10.0), ("c", 5.0)):
        queue.add_after(key, seconds)
    assert sorted(await asyncio.gather(*getters)) == ["a", "b", "c"]
    assert now() == 10


async def test_a_delay_can_begin_before_the_event_loop():
    queue = await asyncio.to_thread(_with_a_delayed_key)
    assert await queue.get() == "a"


def _with_a_delayed_key() -> WorkQueue[str]:
    queue = WorkQueue[str]()
    queue.add_after("a", 0.01)
    return queue


# Rate limits


@in_virtual_time
async def test_the_backoff_of_a_key_doubles_up_to_its_maximum():
    queue = WorkQueue(**UNLIMITED)
    delays = [queue.add_rate_limited("a") for _ in range(20)]
    assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
    assert delays[-3:] == [655.36, 1000, 1000]
    assert queue.add_rate_limited("b") == 0.005
    assert queue.num_requeues("a") == 20


async def test_the_backoff_of_a_key_does_not_overflow():
    queue = WorkQueue(**UNLIMITED)
    for _ in range(5_000):
        assert queue.add_rate_limited("a") <= 1000
    queue.shutdown()


async def test_the_jitter_of_the_backoff_is_bounded():
    queue = WorkQueue(backoff=kinform.Backoff(initial=1.0, maximum=1.0, jitter=0.5), rate=None)
    delays = [queue.add_rate_limited(str(n)) for n in range(200)]
    assert 1 <= min(delays) < max(delays) <= 1.5
    queue.shutdown()


@in_virtual_time
async def test_forget_resets_the_backoff_and_keeps_the_key():
    queue = WorkQueue(**UNLIMITED)
    for _ in range(10):
        queue.add_rate_limited("a")
    queue.forget("a")
    assert queue.num_requeues("a") == 0
    assert queue.stats().delayed == 1
    assert (await queue.get(), now()) == ("a", 0.005)
    assert queue.add_rate_limited("a") == 0.005


@in_virtual_time
async def test_the_rate_limits_all_keys_together():
    queue = WorkQueue(backoff=kinform.Backoff(initial=0.001, maximum=1.0, jitter=0.0))
    delays = [queue.add_rate_limited(f"shop/web-{n}") for n in range(103)]
    assert delays[:100] == [0.001] * 100
    assert delays[100:] == pytest.approx([0.1, 0.2, 0.3])
    await asyncio.sleep(1)
    assert queue.add_rate_limited("later") == 0.001
    await asyncio.sleep(3600)
    assert [queue.add_rate_limited(f"shop/api-{n}") for n in range(101)][99:] == pytest.approx([0.001, 0.1])


@in_virtual_time
async def test_the_longer_one_of_both_delays_counts():
    queue = WorkQueue(backoff=kinform.Backoff(initial=4.0, maximum=4.0, jitter=0.0), rate=0.5, burst=1)
    assert [queue.add_rate_limited(key) for key in "abcd"] == [4, 4, 4, 6]


# Priorities


async def test_higher_priorities_come_first():
    queue = WorkQueue()
    for key, priority in (("low", -100), ("a", 0), ("high", 7), ("b", 0)):
        queue.add(key, priority=priority)
    assert await take_all(queue) == ["high", "a", "b", "low"]


async def test_a_raised_priority_goes_to_the_end_of_its_level():
    queue = WorkQueue()
    for key, priority in (("a", 0), ("b", 0), ("c", 1), ("a", 1)):
        queue.add(key, priority=priority)
    assert len(queue) == 3
    assert await take_all(queue) == ["c", "a", "b"]
    assert queue.stats().adds == 3


async def test_a_priority_is_never_lowered():
    queue = WorkQueue()
    for key, priority in (("a", 1), ("b", 1), ("a", 0)):
        queue.add(key, priority=priority)
    assert await take_all(queue) == ["a", "b"]


@in_virtual_time
async def test_a_delayed_key_keeps_the_highest_priority():
    queue = WorkQueue()
    queue.add_after("a", 10, priority=5)
    queue.add_after("a", 5)
    queue.add_after("b", 5, priority=1)
    await asyncio.sleep(6)
    assert await take_all(queue) == ["a", "b"]


@in_virtual_time
async def test_a_retry_keeps_the_priority_of_its_get():
    queue = WorkQueue(**UNLIMITED)
    queue.add("a", priority=-100)
    await queue.get()
    queue.add_rate_limited("a")
    queue.done("a")
    await asyncio.sleep(1)
    queue.add("b", priority=-50)
    assert await take_all(queue) == ["b", "a"]


# Misuse


async def test_a_call_from_another_thread_is_refused():
    queue = WorkQueue[str]()
    queue.add_rate_limited("b")
    await parked(queue)
    calls: list[Callable[[], object]] = [
        lambda: queue.add("a"),
        lambda: queue.add_after("a", 1),
        lambda: queue.add_rate_limited("b"),
        lambda: queue.forget("b"),
        queue.shutdown,
    ]
    for call in calls:
        with pytest.raises(kinform.KinformError, match="called from another thread"):
            await asyncio.to_thread(call)
    assert len(queue) == 0
    assert (queue.stats().retries, queue.num_requeues("b")) == (1, 1)
    queue.shutdown()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": 7}, "name: 7 is not allowed; expected a text"),
        ({"backoff": 5}, "backoff: 5 is not allowed; expected a Backoff"),
        ({"rate": 0}, "rate: 0 is not allowed; expected a positive number of retries per second, or None"),
        ({"burst": 0}, "burst: 0 is not allowed; expected a positive number of retries"),
    ],
)
def test_an_option_that_is_not_valid_is_refused(options, message):
    with pytest.raises(kinform.OptionError, match=message):
        WorkQueue(**options)


async def test_a_priority_or_a_delay_of_another_type_is_refused():
    queue = WorkQueue()
    with pytest.raises(kinform.OptionError, match=r"priority: 1.5 is not allowed; expected an integer"):
        queue.add("a", priority=1.5)
    with pytest.raises(kinform.OptionError, match="seconds: inf is not allowed; expected a finite number of seconds"):
        queue.add_after("a", float("inf"))
    assert len(queue) == 0


# Counts


@in_virtual_time
async def test_stats_count_and_measure():
    queue = WorkQueue(name="widgets", **UNLIMITED)
    queue.add("a")
    queue.add("b")
    await asyncio.sleep(2)
    await queue.get()
    await queue.get()
    await asyncio.sleep(3)
    queue.done("a")
    queue.add_rate_limited("a")
    queue.add_after("c", 60)
    stats = queue.stats()
    assert (stats.depth, stats.delayed, stats.processing, stats.adds, stats.retries) == (0, 2, 1, 2, 2)
    assert (stats.unfinished_seconds, stats.longest_running_seconds) == (3, 3)
    assert stats.queue_durations.total_seconds == 4
    assert {bound: n for bound, n in stats.queue_durations.counts.items() if n} == {10: 2}
    assert stats.work_durations.total_seconds == 3
    assert sum(stats.work_durations.counts.values()) == 1
    assert repr(queue) == "<kinform.controllers.WorkQueue 'widgets': 0 keys>"
    queue.done("b")
    assert queue.stats().longest_running_seconds == 0
    await asyncio.sleep(60)
    assert queue.stats().adds == 4
