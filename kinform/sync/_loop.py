"""The event loop of the process: one, in a daemon thread, while anything uses it.

It starts with its first user and stops after the last one. A forked child has no loop until it has a user of its own.
At the end of the program, the loop ends all users, so that no task and no connection is destroyed unfinished.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, ParamSpec, Protocol, TypeVar

from kinform import KinformError

P = ParamSpec("P")
R = TypeVar("R")

EXIT_SECONDS = 5.0
"""Seconds at the end of a program that kinform waits for the end of a user."""

_log = logging.getLogger("kinform.sync")
_lock = threading.Lock()
_loops: list[EventLoop] = []  # of this process; the last one may take users, the others are stopping
_exiting = False


class User(Protocol):
    """A user of the loop. The loop calls its methods."""

    async def live(self) -> None:
        """Runs while the user needs the loop."""
        ...

    async def request_end(self) -> None:
        """Makes `live` return soon."""
        ...


class EventLoop:
    """An event loop in a thread. `use_loop` makes it.

    Any thread can call its methods.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._users: dict[User, Future[None]] = {}  # in the order of their start
        self._last_left = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="kinform event loop", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the process has too many threads
            self._loop.close()
            raise

    @property
    def forked(self) -> bool:
        """True in a process that was forked after the start of the loop."""
        return os.getpid() != self._process

    @property
    def runs_here(self) -> bool:
        """True if the calling thread runs this loop."""
        return threading.current_thread() is self._thread

    def submit(
        self, function: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> Future[R] | None:
        """Starts a coroutine in the loop; returns None if the loop is stopping.

        The future is always done in the end: if the loop stops first, the coroutine is cancelled.
        """
        with _lock:  # before the stop, which the loop gets after this coroutine
            return self._submit(function(*args, **kwargs)) if self._users else None

    def join_if_stopping(self) -> None:
        """Waits until the thread has ended, if the loop has no users."""
        if not self._users:
            self._thread.join()

    def end_users(self) -> None:
        """Ends all users, the last one first, and waits until the thread has ended.

        Gives up after `EXIT_SECONDS` for each. The thread of a user that goes on does not end.
        """
        for user, life in reversed(list(self._users.items())):
            self.submit(user.request_end)
            wait([life], EXIT_SECONDS)
        if not self._users:
            self._thread.join(EXIT_SECONDS)

    def _add(self, user: User) -> Future[None]:
        life = self._users[user] = self._submit(self._live(user))
        return life

    def _submit(self, coroutine: Coroutine[Any, Any, R]) -> Future[R]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _live(self, user: User) -> None:
        try:
            await user.live()
        finally:
            with _lock:
                self._users.pop(user, None)
                if not self._users:
                    self._last_left.set()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._last_left.wait())
            except BaseException as error:  # a function of the user has raised SystemExit
                _log.error("the event loop of kinform.sync has ended: %s", type(error).__name__)
            finally:
                with _lock:
                    self._users.clear()  # from now on, nothing is submitted
        with _lock:
            _loops.remove(self)


def use_loop(user: User) -> tuple[EventLoop, Future[None]]:
    """Adds a user to the loop of this process. Starts the loop if necessary.

    Returns:
        The loop, and the future of `user.live`.

    Raises:
        KinformError: The program ends.
        RuntimeError: The process cannot start a thread.
    """
    with _lock:
        if _exiting:
            raise KinformError("the program ends: nothing can be started any more")
        if not _loops or not _loops[-1]._users:
            _loops.append(EventLoop())
        return _loops[-1], _loops[-1]._add(user)


def runs_in_loop() -> bool:
    """Returns whether the calling thread runs an event loop of kinform.sync."""
    return any(loop.runs_here for loop in _loops.copy())


def _end_all() -> None:
    global _exiting
    with _lock:
        _exiting = True
    for loop in _loops.copy():
        loop.end_users()


def _forget_parent() -> None:
    """Starts anew in a forked child: the threads of the parent do not run here."""
    global _lock, _loops
    _lock = threading.Lock()  # another thread of the parent may hold it
    _loops = []


atexit.register(_end_all)
os.register_at_fork(after_in_child=_forget_parent)
