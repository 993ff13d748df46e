"""Runs async tests on asyncio and uvloop; checks that they leave nothing."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from kinform._transport.read_buffer import ReadBuffer

SECONDS = 60.0
SERVER_FAILED = "Error on transport creation for incoming connection"
"""A test's server reports this in debug mode if a client gives up the TLS handshake."""


def _uvloop() -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = pytest.importorskip("uvloop").new_event_loop()
    return loop


LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(_uvloop, id="uvloop")]


def on_each_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an async test on asyncio and on uvloop, both in debug mode.

    The test fails if it leaves a task or a socket, or if the loop reports an error. It cannot use async fixtures.
    """

    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop], **arguments: Any) -> None:
        unhandled: list[dict[str, Any]] = []
        before = open_sockets()
        with asyncio.Runner(debug=True, loop_factory=new_loop) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: unhandled.append(context))
            runner.get_loop().slow_callback_duration = float("inf")  # which depends on the load of the machine
            runner.run(_with_deadline(test(**arguments)))
        unhandled = [context for context in unhandled if context["message"] != SERVER_FAILED]
        assert not unhandled, unhandled
        assert open_sockets() == before

    signature = inspect.signature(test)
    added = inspect.Parameter("new_loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), added])  # type: ignore[attr-defined]
    parametrized: Callable[..., None] = pytest.mark.parametrize("new_loop", LOOPS)(run)
    return parametrized


async def _with_deadline(test: Awaitable[None]) -> None:
    async with asyncio.timeout(SECONDS):
        await test
        for _ in range(5):
            await asyncio.sleep(0)  # a server's task ends after a failed TLS handshake
        assert other_tasks() == set()


def other_tasks() -> set[asyncio.Task[Any]]:
    """Returns all tasks of the loop but this one."""
    current = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not current}


def open_sockets() -> int:
    """Returns the number of sockets that this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the folder itself, which listdir had open
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return count


def pending_timers() -> list[asyncio.TimerHandle]:
    """Returns the timers of the running loop that will run.

    Without that of the read buffer, which ends by itself. Returns none on uvloop, which does not say them.
    """
    timers = getattr(asyncio.get_running_loop(), "_scheduled", [])
    return [timer for timer in timers if not timer.cancelled() and not _is_of_read_buffer(timer)]


def _is_of_read_buffer(timer: Any) -> bool:
    return isinstance(getattr(timer._callback, "__self__", None), ReadBuffer)
