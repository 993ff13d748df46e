"""The worker thread of the process, for work that would block an event loop.

It runs one function at a time. All informers share it, because malloc keeps the memory that a thread freed for the same
thread: some MB after training. Many threads would multiply it.
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

MALLOC_BLOCK_BYTES = 96 << 10  # malloc maps larger blocks separately
BLOCKS = 64  # together they exceed the free memory of the heap

_thread: ThreadPoolExecutor


def _create() -> None:
    global _thread
    _thread = ThreadPoolExecutor(1, thread_name_prefix="kinform")  # starts its thread at the first call


_create()
os.register_at_fork(after_in_child=_create)  # a thread does not survive a fork

_can_trim = False
with contextlib.suppress(OSError, AttributeError):  # not every C library has malloc_trim
    _c = ctypes.CDLL(None)
    _malloc, _free, _trim = _c.malloc, _c.free, _c.malloc_trim
    _malloc.restype, _free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    _can_trim = True


async def in_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Calls the function in the worker thread, after the calls queued before.

    Cancellation does not stop a call that has started.
    """
    return await asyncio.get_running_loop().run_in_executor(_thread, lambda: function(*args, **kwargs))


def trim_heap() -> None:
    """Returns free memory of the C heap to the system: 2 or 3 MB after training.

    `malloc_trim` skips the free memory at the end of a thread's arena, which is most of it. So a block is allocated at
    the very end first. Then all free memory lies between used blocks.
    """
    if _can_trim:
        blocks = [_malloc(MALLOC_BLOCK_BYTES) for _ in range(BLOCKS)]
        for block in blocks[:-1]:
            _free(block)
        _trim(0)
        _free(blocks[-1])
