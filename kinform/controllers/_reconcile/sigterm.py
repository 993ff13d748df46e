"""SIGTERM ends the controllers of a program, unless the program handles it itself.

Several controllers share one handler.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_running: list[Callable[[], None]] = []


@contextmanager
def on_sigterm(stop: Callable[[], None]) -> Iterator[None]:
    """Calls a function at each SIGTERM, during a block in the main thread.

    Has no effect in another thread, and if the program has a handler of its own.
    """
    if threading.current_thread() is not threading.main_thread() or not (_running or _is_free()):
        yield
        return
    loop = asyncio.get_running_loop()
    if not _running:
        loop.add_signal_handler(signal.SIGTERM, _stop_all)
    _running.append(stop)
    try:
        yield
    finally:
        _running.remove(stop)
        if not _running:
            loop.remove_signal_handler(signal.SIGTERM)


def _is_free() -> bool:
    return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def _stop_all() -> None:
    for stop in _running:
        stop()
