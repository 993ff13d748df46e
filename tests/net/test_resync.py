"""Resyncs: listeners get all objects again, and changes come first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import kinform
from kinform.testing import Gone
from tests.net.informers import in_sync, quick
from tests.support.server_behaviours import BadTransport, healthy
from tests.support.virtual_time import run
from tests.support.waiting import until

PODS = "v1/pods"
PERIOD = 100


def test_all_listeners_get_all_objects_again_without_a_request():
    updates: list[tuple[str, bool]] = []
    events: list[tuple[str, str]] = []
    keys: list[str] = []
    added: list[Any] = []

    async def live() -> list[str]:
        transport = BadTransport(healthy)
        options = kinform.WatchOptions(initial="list")
        pods = kinform.Informer(transport, PODS, options=options, resync_period=PERIOD)
        pods.on_add(added.append)
        pods.on_update(lambda old, new: updates.append((new["metadata"]["name"], old is new)))
        pods.on_change(keys.append)

        async def read() -> None:
            async for change in pods.changes():
                if isinstance(change, kinform.Updated):
                    assert change.old is change.object
                events.append((type(change).__name__, change.key))

        async with pods:
            reading = asyncio.create_task(read())
            await pods.synced()
            await asyncio.sleep(0.89 * PERIOD)
            assert (len(updates), len(keys), len(events)) == (0, 2, 3)
            await asyncio.sleep(10 * PERIOD)
        await reading
        return [kind for _, kind in transport.asked]

    asked = run(live())
    rounds = len(updates) / 2
    assert 9 <= rounds <= 12
    assert updates == [("p0", True), ("p1", True)] * int(rounds)
    assert keys == ["shop/p0", "shop/p1"] * int(rounds + 1)
    assert events[3:] == [("Updated", "shop/p0"), ("Updated", "shop/p1")] * int(rounds)
    assert len(added) == 2
    assert asked.count("list") == 1


def test_a_slow_listener_gets_no_second_resync_at_the_same_time():
    calls: list[str] = []

    async def live() -> None:
        options = kinform.WatchOptions(initial="list")
        pods = kinform.Informer(BadTransport(healthy), PODS, options=options, resync_period=PERIOD)

        @pods.on_change
        async def slow(key: str) -> None:
            calls.append(key)
            await asyncio.sleep(3 * PERIOD)

        async with pods:
            await asyncio.sleep(14 * PERIOD)

    run(live())
    assert calls == ["shop/p0", "shop/p1", "shop/p0", "shop/p1", "shop/p0"]


async def test_a_change_comes_before_the_rest_of_a_resync(server, api):
    keys = server.generate(PODS, 50)
    updates: list[tuple[str, bool]] = []
    keyed: list[str] = []
    free = asyncio.Event()
    async with kinform.Informer(api, PODS, options=quick(), resync_period=0.05) as pods:

        @pods.on_update
        async def updated(old: Any, new: Any) -> None:
            metadata = new["metadata"]
            updates.append((f"{metadata['namespace']}/{metadata['name']}", old is new))
            await free.wait()

        await pods.synced(timeout=10)

        @pods.on_change
        async def changed(key: str) -> None:
            keyed.append(key)
            if len(keyed) > len(keys):
                await free.wait()

        await until(lambda: updates and len(keyed) > len(keys))
        server.touch(PODS, keys[-1])
        await until(lambda: in_sync(pods.store, server, PODS))
        free.set()
        await until(lambda: len(updates) > 1 and len(keyed) > len(keys) + 1)
        assert updates[1] == (keys[-1], False)
        assert keyed[len(keys) + 1] == keys[-1]
        await until(lambda: len(updates) > 200)


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_no_version_comes_before_its_change(server, api, initial):
    keys = server.generate(PODS, 300)
    seen: dict[str, str] = {}
    resynced = 0
    options = quick(initial=initial)
    async with kinform.Informer(api, PODS, options=options, queue_bound=10_000, resync_period=0.001) as pods:

        async def read() -> None:
            nonlocal resynced
            async for change in pods.changes():
                match change:
                    case kinform.Added(key, found):
                        assert key not in seen
                        seen[key] = found["metadata"]["resourceVersion"]
                    case kinform.Updated(key, found, old):
                        assert old["metadata"]["resourceVersion"] == seen[key]
                        resynced += old is found
                        seen[key] = found["metadata"]["resourceVersion"]
                    case kinform.Deleted(key):
                        del seen[key]

        reading = asyncio.create_task(read())
        await pods.synced(timeout=10)
        for round in range(5):
            await server.wait_for_watchers(1)
            before = resynced
            server.fault(Gone(), on="watch")
            server.disconnect()
            for key in keys[round::2]:
                server.touch(PODS, key)
            server.delete(PODS, keys[299 - round])
            keys.remove(keys[299 - round])
            await until(lambda: in_sync(pods.store, server, PODS), within=20)
            await until(lambda: resynced > before + 100 or reading.done())  # noqa: B023
            assert not reading.done(), reading.exception()
        await until(lambda: {key: version for key, (_, version) in server.versions(PODS).items()} == seen)
    await reading


async def test_deleted_objects_are_not_repeated(server, api):
    keys = server.generate(PODS, 3)
    calls: list[str] = []
    blocked, free = asyncio.Event(), asyncio.Event()
    async with kinform.Informer(api, PODS, options=quick(), resync_period=0.05) as pods:
        await pods.synced(timeout=10)

        @pods.on_change
        async def changed(key: str) -> None:
            calls.append(key)
            if len(calls) == 4:  # the first of a resync
                blocked.set()
                await free.wait()

        await blocked.wait()
        (gone,) = {calls[1]} - {calls[3]}
        server.delete(PODS, gone)
        await until(lambda: gone not in pods.store)
        free.set()
        await until(lambda: len(calls) > 8)
        assert calls[4:].count(gone) == 1
    assert len(keys) == 3


async def test_each_informer_of_a_factory_has_its_own_period(server, api):
    server.generate(PODS, 2)
    calls: dict[str, list[str]] = {"often": [], "never": []}
    async with kinform.Factory(api) as factory:
        often = factory.informer(PODS, options=quick(), resync_period=0.02)
        never = factory.informer(PODS, options=quick())
        often.on_change(calls["often"].append)
        never.on_change(calls["never"].append)
        await until(lambda: len(calls["often"]) > 20)
        assert len(calls["never"]) == 2
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("kinform ")]


@pytest.mark.parametrize("period", [0, -1, "60", float("inf")])
def test_a_wrong_period_raises(period):
    with pytest.raises(kinform.OptionError) as caught:
        kinform.Informer(BadTransport(healthy), PODS, resync_period=period)
    assert caught.value.field == "resync_period"
