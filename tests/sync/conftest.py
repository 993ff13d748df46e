"""Fixtures: programs in threads, next to a server in the loop of the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

R = TypeVar("R")

SECONDS = 30
"""Seconds after which a thread of a test is taken to hang."""

OnServer = Callable[..., Any]


@pytest.fixture
async def on_server() -> OnServer:
    """Returns a function that calls another one in the loop of the test.

    Programs in threads use it to call methods of the server.
    """
    loop = asyncio.get_running_loop()

    def run(function: Callable[..., Any], *arguments: Any) -> Any:
        async def call() -> Any:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), loop).result(SECONDS)

    return run


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Requires that no thread of kinform is left after the test."""
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("kinform")] == []


class InThread:
    """A function that runs in a thread of its own.

    Args:
        function: The function.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """Waits for the end, and returns the result, or raises what the function raised."""
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "the thread hangs"
        if self._error is not None:
            raise self._error
        return self._result

    @property
    def runs(self) -> bool:
        """True until the function has ended."""
        return self._thread.is_alive()
