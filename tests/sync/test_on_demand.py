"""`kinform.sync.OnDemand`: reads of several threads, and the end of the block."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

import kinform
import kinform.sync
from kinform.testing import Server, Stall
from tests.sync.conftest import InThread

NAMESPACES = "v1/namespaces"


async def test_threads_share_one_request(server: Server) -> None:
    server.put(NAMESPACES, {"metadata": {"name": "shop", "labels": {"x": "1"}}})

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.OnDemand(api, NAMESPACES) as cache:
            with ThreadPoolExecutor(8) as threads:
                found = list(threads.map(cache.get, ["shop"] * 8))
            assert {each["metadata"]["labels"]["x"] for each in found if each is not None} == {"1"}
            assert cache.stats().requests == 1
            assert cache.get("none") is None
            assert repr(cache) == "<kinform.sync.OnDemand of v1/namespaces, running, 1 objects>"

    await asyncio.to_thread(program)


async def test_the_end_of_the_block_wakes_a_thread(server: Server) -> None:
    server.fault(Stall(headers=False), on="watch", times=None)
    loop = asyncio.get_running_loop()

    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            with kinform.sync.OnDemand(api, NAMESPACES) as cache:
                reader = InThread(lambda: cache.get("shop"))
                asyncio.run_coroutine_threadsafe(server.wait_for_request(on="watch"), loop).result(10)
            with pytest.raises(kinform.KinformError, match=r"ended during this call|stopped during the read"):
                reader.result()

    await asyncio.to_thread(program)


async def test_a_cache_outside_of_its_block_raises(server: Server) -> None:
    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            cache = kinform.sync.OnDemand(api, NAMESPACES)
            with pytest.raises(kinform.KinformError, match="not started"):
                cache.get("shop")

    await asyncio.to_thread(program)
