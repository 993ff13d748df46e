"""The one thread of the process in which what takes long is done beside the loops, one thing after another.

One for all, because malloc keeps what a thread freed for that thread: some MB after training, which many threads
would multiply.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


_thread: ThreadPoolExecutor


def _begin() -> None:
    global _thread  # a thread does not outlive a fork
    _thread = ThreadPoolExecutor(1, thread_name_prefix="kinform")  # starts its thread when first needed


_begin()
os.register_at_fork(after_in_child=_begin)

_trim = None
with contextlib.suppress(OSError, AttributeError):  # not every C library has it
    _trim = ctypes.CDLL(None).malloc_trim


async def in_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Calls it in the thread, when it is its turn. Cancelled, it is still carried out if it had begun."""
    return await asyncio.get_running_loop().run_in_executor(_thread, lambda: function(*args, **kwargs))


def give_back() -> None:
    """Returns to the system what was freed but is still in malloc's hands: 2 or 3 MB after training."""
    if _trim is not None:
        _trim(0)
