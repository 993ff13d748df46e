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

BLOCK_BYTES = 96 << 10  # malloc would map a larger one on its own
BLOCKS = 64  # together more than is free

_thread: ThreadPoolExecutor


def _begin() -> None:
    global _thread  # a thread does not outlive a fork
    _thread = ThreadPoolExecutor(1, thread_name_prefix="kinform")  # starts its thread when first needed


_begin()
os.register_at_fork(after_in_child=_begin)

_trims = False
with contextlib.suppress(OSError, AttributeError):  # not every C library does
    _c = ctypes.CDLL(None)
    _malloc, _free, _trim = _c.malloc, _c.free, _c.malloc_trim
    _malloc.restype, _free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    _trims = True


async def in_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Calls it in the thread, when it is its turn. Cancelled, it is still carried out if it had begun."""
    return await asyncio.get_running_loop().run_in_executor(_thread, lambda: function(*args, **kwargs))


def give_back() -> None:
    """Returns to the system what was freed but is still in malloc's hands: 2 or 3 MB after training.

    `malloc_trim` passes over what is free at the end of a thread's arena, and that is most of it. So a block is put at
    the very end before, and all that is free lies between others.
    """
    if _trims:
        blocks = [_malloc(BLOCK_BYTES) for _ in range(BLOCKS)]
        for block in blocks[:-1]:
            _free(block)
        _trim(0)
        _free(blocks[-1])
