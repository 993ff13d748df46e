"""An event loop whose clock moves only while all tasks wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer as soon as there is nothing else to do.

    Without a timer, all tasks would wait forever: the loop raises.

    Args:
        monkeypatch: Replaces `time.monotonic` until the end of the test.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        super().__init__()

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        timers: Any = self._scheduled  # type: ignore[attr-defined]
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            pending = [timer for timer in timers if not timer.cancelled()]
            assert pending, "every task waits, and no timer will wake one"
            self.now = max(self.now, min(timer.when() for timer in pending))
        super()._run_once()  # type: ignore[misc]


def run_in_fake_time(monkeypatch: pytest.MonkeyPatch, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a coroutine in an event loop with a fake clock, and returns its result."""
    with asyncio.Runner(loop_factory=lambda: FakeTimeLoop(monkeypatch)) as runner:
        return runner.run(main())
