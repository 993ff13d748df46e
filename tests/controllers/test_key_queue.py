"""The rules of the work queue agree with a naive model, and nothing piles up."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kinform.controllers._queue.key_queue import KeyQueue
from tests.support.oracles.work_queue import WorkQueueOracle

KEYS = [*(f"shop/web-{n}" for n in range(6)), 7, ("shop", "web"), None]


class AgreesWithTheModel(RuleBasedStateMachine):
    """Random calls, with a clock that never shows a time twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queue: KeyQueue[object] = KeyQueue()
        self.oracle = WorkQueueOracle()

    def tick(self, seconds: float = 1e-6) -> float:
        self.now += seconds
        return self.now

    @rule(key=st.sampled_from(KEYS), priority=st.integers(-2, 2), delay=st.sampled_from([0.0, -1.0, 0.5, 1.0, 2.0]))
    def put(self, key: object, priority: int, delay: float) -> None:
        now = self.tick()
        self.queue.put(key, priority, now, delay)
        self.oracle.put(key, priority, now, delay)

    @precondition(lambda self: self.oracle.ready())
    @rule()
    def pop(self) -> None:
        expected = self.oracle.waiting[self.oracle.ready()[0]]
        item = self.queue.pop()
        assert item is not None
        assert (item.key, item.priority) == (self.oracle.pop(), expected.priority)

    @precondition(lambda self: not self.oracle.ready())
    @rule()
    def pop_nothing(self) -> None:
        assert self.queue.pop() is None

    @rule(key=st.sampled_from(KEYS))
    def done(self, key: object) -> None:
        if key in self.oracle.processing:
            assert self.queue.done(key) is not None
            self.oracle.done(key)
        else:
            assert self.queue.done(key) is None

    @rule(seconds=st.sampled_from([0.3, 1.0]))
    def advance(self, seconds: float) -> None:
        now = self.tick(seconds)
        self.queue.advance(now)
        self.oracle.advance(now)

    @invariant()
    def counts_are_equal(self) -> None:
        due = [each.due for each in self.oracle.waiting.values() if each.due is not None]
        assert self.queue.depth == len(self.oracle.ready())
        assert self.queue.delayed == len(due)
        assert self.queue.next_due() == min(due, default=None)
        assert set(self.queue.processing) == self.oracle.processing


TestAgreesWithTheModel = AgreesWithTheModel.TestCase
TestAgreesWithTheModel.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


def entries(queue: KeyQueue[str]) -> int:
    return len(queue._heap) + sum(map(len, queue._levels.values()))


def test_raised_priorities_leave_no_entries_behind():
    queue: KeyQueue[str] = KeyQueue()
    for n in range(1_000):
        queue.put(f"low-{n}", -1, 0.0)
    for n in range(10_000):
        queue.put("raised", 0, 0.0)
        queue.put("raised", n + 1, 0.0)
        item = queue.pop()
        assert item is not None
        assert item.key == "raised"
        queue.done("raised")
    assert entries(queue) <= 2 * 1_000 + 1


def test_shortened_delays_leave_no_entries_behind():
    queue: KeyQueue[str] = KeyQueue()
    for n in range(10_000):
        queue.put("a", 0, 0.0, 1e6 - n)
    assert queue.delayed == 1
    assert entries(queue) < 200
    assert queue.next_due() == 1e6 - 9_999


def test_many_priorities_leave_no_levels_behind():
    queue: KeyQueue[str] = KeyQueue()
    for n in range(1_000):
        queue.put("a", n, 0.0)
        queue.pop()
        queue.done("a")
    assert not queue._levels
    assert not queue._priorities
