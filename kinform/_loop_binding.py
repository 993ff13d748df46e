"""The event loop, thread and process that an object belongs to.

Turns a call from anywhere else into a clear error. Without it, such a call could lose a wake-up and wait forever, or
use the connections of the parent process after a fork.
"""

from __future__ import annotations

import asyncio
import os
from threading import get_ident

from kinform._errors import KinformError


class LoopBinding:
    """Checks that calls come from one event loop and its thread.

    Args:
        name: The name of the owner, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = self._process = 0
        self._released = False

    @property
    def bound(self) -> bool:
        """True after `bind`. Before it, every check passes."""
        return self._loop is not None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop, after `bind`."""
        assert self._loop is not None
        return self._loop

    @property
    def forked(self) -> bool:
        """True in a process that was forked after `bind`."""
        return self.bound and os.getpid() != self._process

    def bind(self) -> None:
        """Binds to the running event loop.

        Raises:
            KinformError: It is bound to another one, and was not released.
        """
        if not self._released:
            self.check()
        self._loop = asyncio.get_running_loop()
        self._thread, self._process = get_ident(), os.getpid()
        self._released = False

    def release(self) -> None:
        """Permits `bind` in another event loop, because the owner has ended in this one.

        Until then, calls from elsewhere are still refused.
        """
        self._released = True

    def check(self) -> None:
        """Checks the caller. Code of the same thread outside of any loop passes.

        Raises:
            KinformError: The caller is in another event loop, thread or process.
        """
        if self._loop is None:
            return
        if os.getpid() != self._process:
            raise KinformError(
                f"{self._name}: this process was forked after the start; here stores can be read, but their objects no "
                "longer change, and nothing else works"
            )
        if get_ident() != self._thread:
            raise KinformError(
                f"{self._name}: called from another thread than the one of its event loop; from other threads, only "
                "reads of stores are allowed. Use `loop.call_soon_threadsafe` or `asyncio.run_coroutine_threadsafe`"
            )
        if _running_loop() not in (None, self._loop):
            raise KinformError(f"{self._name}: called from another event loop than the one in which it was started")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
