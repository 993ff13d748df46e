"""The worker thread of the process, for work that would block an event loop.

It runs one function at a time. All informers share it, because malloc keeps the memory that a thread freed for the same
thread: some MB after training. Many threads would multiply it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from kinform_ext._table import trim_heap

__all__ = ["in_thread", "trim_heap"]

P = ParamSpec("P")
R = TypeVar("R")

_thread: ThreadPoolExecutor


def _create() -> None:
    global _thread
    _thread = ThreadPoolExecutor(1, thread_name_prefix="kinform")  # starts its thread at the first call


_create()
os.register_at_fork(after_in_child=_create)  # a thread does not survive a fork


async def in_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Calls the function in the worker thread, after the calls queued before.

    Cancellation does not stop a call that has started.
    """
    return await asyncio.get_running_loop().run_in_executor(_thread, lambda: function(*args, **kwargs))
