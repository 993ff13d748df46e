"""Measures the memory that parts of kinform add to a process of `program.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness.process import SERVER, Process, python
from benchmarks.harness.waiting import wait_until_idle
from kinform.testing import Server

PROGRAM = "benchmarks/parts/program.py"
IDLE_TIMEOUT = 60.0
HANDLES = 20
SERVICES = 2_000
KEYS = 100_000
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
"""The variables of a process that keeps bytecode: to compile a module takes memory."""


def added_by_import() -> float:
    """Returns the bytes that `import kinform.sync` adds to `import kinform`."""
    with _program("") as first:
        first.do("load", module="kinform.sync")  # compiles it
    with _program("") as process:
        before = at_rest(process)
        process.do("load", module="kinform.sync")
        return at_rest(process) - before


def added_by_handles() -> float:
    """Returns the bytes of each further informer on one stream of a factory."""
    with Process(python(SERVER), resource="services", objects=SERVICES, seed=0, corpus=None) as server:
        about = server.do("open")
        with _program(about["url"]) as process:
            check("handles", process.do("share", resource=about["resource"], handles=1), [SERVICES])
            before = at_rest(process)
            found = process.do("share", resource=about["resource"], handles=HANDLES)
            check("handles", found, [SERVICES] * (HANDLES + 1))
            return (at_rest(process) - before) / HANDLES


def added_by_queue(*, delay: float) -> float:
    """Returns the bytes of keys that wait in a work queue.

    They wait for a worker, or for `delay` seconds and more if it is not 0.
    """
    with _program("") as process:
        check("queue", process.do("queue", keys=1, delay=delay), 1)  # imports the package
        before = at_rest(process)
        check("queue", process.do("queue", keys=KEYS, delay=delay), KEYS)
        return at_rest(process) - before


def added_by_writes() -> float:
    """Returns the bytes that requests leave in a process with one informer."""
    return asyncio.run(_added_by_writes())


async def _added_by_writes() -> float:
    async with Server() as server:
        with _program(server.url) as process:
            objects = await asyncio.to_thread(process.do, "follow", resource="v1/namespaces")
            check("writes", objects, len(server.keys("v1/namespaces")))
            before, requests = await asyncio.to_thread(at_rest, process), len(server.requests)
            sent = await asyncio.to_thread(process.do, "write")
            check("writes", sent, len(server.requests) - requests)
            return await asyncio.to_thread(at_rest, process) - before


@contextmanager
def _program(url: str) -> Iterator[Process]:
    with Process(python(PROGRAM), environment=COMPILED, url=url) as process:
        yield process


def at_rest(process: Process) -> int:
    """Returns the resident bytes of a process, once it has nothing to do."""
    wait_until_idle(process.gauge, IDLE_TIMEOUT)
    return process.gauge.rss()


def check(part: str, found: object, expected: object) -> None:
    """Ends the benchmark if an answer is wrong."""
    if found != expected:
        raise SystemExit(f"parts: {part}: a wrong answer: {found}, not {expected}; no figures are reported")
