"""`settled`, `at_most` and `writes` of kinform.testing, with controllers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

import kinform
from kinform.controllers import Controller, Requeue
from kinform.testing import InternalError, Server, at_most, settled, writes
from tests.controllers.running import running as run
from tests.net.informers import quick
from tests.support.waiting import until

MAPS = "v1/configmaps"


def put(server: Server, name: str) -> None:
    server.put(MAPS, {"metadata": {"namespace": "shop", "name": name}, "data": {"n": "0"}})


@asynccontextmanager
async def running(
    server: Server, reconcile: Callable[[kinform.Connection, str], Awaitable[Requeue | None]]
) -> AsyncIterator[Controller]:
    async with kinform.connect(server.url) as api, kinform.Informer(api, MAPS, options=quick()) as maps:
        controller = Controller(maps, lambda key: reconcile(api, key))
        task = asyncio.create_task(controller.run())
        await maps.synced(timeout=10)
        yield controller
        task.cancel()
        await asyncio.wait([task])


async def test_it_waits_for_reconciles_and_their_writes(server: Server):
    async def reconcile(api: kinform.Connection, key: str) -> None:
        await asyncio.sleep(0.02)
        await api.patch(MAPS, key, {"data": {"n": "1"}})

    async with running(server, reconcile) as controller:
        for name in ("a", "b", "c"):
            put(server, name)
        await settled(server, controller)
        found = [(server.get(MAPS, f"shop/{name}") or {})["data"] for name in ("a", "b", "c")]
    assert found == [{"n": "1"}] * 3
    assert {each.verb for each in writes(server)} == {"patch"}


async def test_a_hot_loop_never_settles_and_is_named(server: Server):
    count = 0

    async def reconcile(api: kinform.Connection, key: str) -> None:
        nonlocal count
        count += 1
        await api.patch(MAPS, key, {"data": {"n": str(count)}})

    async with running(server, reconcile) as controller:
        put(server, "a")
        with pytest.raises(
            TimeoutError, match=r"not idle after 1 s: .*patch /api/v1/namespaces/shop/configmaps/a \(\d+\)"
        ):
            await settled(server, controller, timeout=1)


async def test_a_timeout_names_the_keys_that_fail(server: Server):
    async def reconcile(api: kinform.Connection, key: str) -> None:
        if key != "shop/busy":
            raise ValueError("secret contents")
        await asyncio.Event().wait()

    async with running(server, reconcile) as controller:
        for name in ("a", "b"):
            put(server, name)
        await until(lambda: controller.queue.stats().failing == 2)
        put(server, "busy")
        failure = r"2 with retries \(the last failure: shop/[ab]: ValueError at test_settled\.py:\d+\)"
        with pytest.raises(TimeoutError, match=f"and 1 processed keys, {failure}; "):
            await settled(server, controller, timeout=0.5)


async def test_a_controller_that_was_not_started_is_named(server: Server):
    async def reconcile(key: str) -> None: ...

    async with kinform.connect(server.url) as api, kinform.Informer(api, MAPS, options=quick()) as maps:
        controller = Controller(maps, reconcile, name="shop")
        with pytest.raises(TimeoutError, match=r"not idle after 0\.3 s: shop was not started: .* run\(\)"):
            await settled(server, controller, timeout=0.3)
        waiting = asyncio.create_task(settled(server, controller))
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        async with run(controller):
            await waiting


async def test_a_later_requeue_does_not_keep_it_waiting(server: Server):
    async def reconcile(api: kinform.Connection, key: str) -> Requeue:
        return Requeue(after=600)

    async with running(server, reconcile) as controller:
        put(server, "a")
        await settled(server, controller)
        assert controller.queue.stats().delayed == 1


async def test_at_most_names_the_writes_beyond_its_number(server: Server):
    async with kinform.connect(server.url) as api:
        put(server, "a")

        async def patch(times: int) -> None:
            with at_most(server, 1):
                for number in range(times):
                    await api.patch(MAPS, "shop/a", {"data": {"n": str(number)}})
                    await api.get(MAPS, "shop/a")

        await patch(1)
        with pytest.raises(AssertionError, match=r"expected at most 1 writes: 2 requests, .*patch .*/a \(2\)"):
            await patch(2)


async def test_at_most_counts_refused_writes(server: Server):
    async with kinform.connect(server.url) as api:
        put(server, "a")

        async def patch() -> None:
            with at_most(server, 0), suppress(kinform.StatusError):
                await api.patch(MAPS, "shop/a", {"data": {"n": "1"}})

        server.fault(InternalError(), on="patch", times=1)
        with pytest.raises(AssertionError, match="expected at most 0 writes"):
            await patch()
