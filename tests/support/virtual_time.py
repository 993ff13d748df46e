"""An event loop with a virtual clock: a wait ends at once, and moves the clock on.

Hours of waiting take milliseconds, and a program that only waits behaves the same in each run.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import selectors
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

from kinform._informer import handle, healer, report
from kinform._listwatch import pacing, stream
from kinform.controllers._election import election
from kinform.controllers._queue import work_queue

T = TypeVar("T")


class _VirtualSelector(selectors.SelectSelector):
    """Moves the clock on instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing is scheduled: the program would wait forever"
        self.now += max(timeout, 0.0)
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a program in virtual time, from 0.

    Informers, elections and work queues have the same clock.
    """
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        clock = SimpleNamespace(monotonic=runner.get_loop().time, time=runner.get_loop().time)
        with ExitStack() as stack:
            for module in (election, work_queue, handle, healer, pacing, report, stream):
                stack.enter_context(patch.object(module, "time", clock))
            return runner.run(main)


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs an async test in virtual time. It cannot use async fixtures."""

    @functools.wraps(test)
    def run_test(**arguments: Any) -> None:
        run(test(**arguments))

    del run_test.__wrapped__  # pytest would await it
    run_test.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run_test


def now() -> float:
    """Returns the virtual time of the running loop."""
    return asyncio.get_running_loop().time()
