"""Many informers, opened and cancelled at random times, leave nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import kinform
from kinform.testing import Server
from tests.net.informers import quick
from tests.support.loops import on_each_loop, open_sockets, other_tasks
from tests.support.tls import CERTIFICATES, tls_front
from tests.support.waiting import until

INFORMERS = 250  # on each loop, with and without TLS
AT_ONCE = 10
MAX_ITERATIONS = 40
"""Iterations of the event loop. Some informers are cancelled before they connect, and some when they are synced."""
SPARE_MAPPINGS = 8


def mappings() -> int:
    """Returns the number of memory mappings of this process."""
    return Path("/proc/self/maps").read_bytes().count(b"\n")


async def follow(
    connect: Callable[[], kinform.Connection], shared: kinform.Connection | None, random_: random.Random
) -> bool:
    """Cancels an informer after a random time; returns whether it was synced.

    Without a shared connection, it has one of its own, which is cancelled with it.
    """
    synced = False

    async def run(api: kinform.Connection) -> None:
        nonlocal synced
        options = quick(initial=random_.choice(["list", "stream"]))
        async with kinform.Informer(api, random_.choice(["v1/pods", "v1/services"]), options=options) as informer:
            await informer.synced()
            synced = True
            await asyncio.Event().wait()

    async def connect_and_run() -> None:
        async with connect() as api:
            await run(api)

    task = asyncio.create_task(run(shared) if shared is not None else connect_and_run())
    for _ in range(random_.randrange(MAX_ITERATIONS)):
        await asyncio.sleep(0)
    task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError)
    return synced


@pytest.mark.parametrize("tls", [False, True])
@on_each_loop
async def test_cancelled_informers_leave_no_task_socket_or_mapping(tls: bool) -> None:
    asyncio.get_running_loop().set_debug(False)  # which takes more time than all the rest
    seed = int(os.environ.get("KINFORM_SEED", random.randrange(1 << 32)))
    print(f"KINFORM_SEED={seed}")
    random_ = random.Random(seed)
    async with Server() as server, tls_front(server.url) as front:
        server.generate("v1/pods", 20)
        tasks, sockets = other_tasks(), open_sockets()
        target, ca = (front, CERTIFICATES / "ca.pem") if tls else (server.url, None)
        connect = partial(kinform.connect, target, ca=ca)

        async def follow_some(count: int) -> int:
            async with connect() as api:
                return sum([await follow(connect, random_.choice([api, None]), random_) for _ in range(count)])

        await follow_some(10)
        before = mappings()
        synced = sum(await asyncio.gather(*(follow_some(INFORMERS // AT_ONCE) for _ in range(AT_ONCE))))
        print(f"{synced} of {INFORMERS} were synced")
        assert 0 < synced < INFORMERS
        await until(lambda: other_tasks() <= tasks and open_sockets() == sockets)
        gc.collect()
        assert mappings() <= before + SPARE_MAPPINGS
