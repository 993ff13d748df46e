"""Controllers of several replicas divide the objects by shards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

import kinform
from kinform._sharding import ShardSet
from kinform.controllers import Controller, LeadershipLost, Requeue, Shards
from kinform.testing import Server, Stall
from tests.controllers.running import idle, running
from tests.net.informers import quick
from tests.support.waiting import until

MAPS, PODS = "v1/configmaps", "v1/pods"
COUNT = 4
KEYS = {f"shop/c{number}" for number in range(40)}

Work = Callable[["Replica", str], Awaitable[Requeue | None]]


class Replica:
    """A replica with shards and a controller.

    Attributes:
        found: The keys that were reconciled, with an object in the store.
        missing: The others.
    """

    def __init__(self, server: Server, identity: str, work: Work | None = None) -> None:
        self.identity = identity
        self.found: list[str] = []
        self.missing: list[str] = []
        self._server = server
        self._work = work
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        enter = self._stack.enter_async_context
        self.api = await enter(kinform.connect(self._server.url))
        self.shards = await enter(
            Shards(
                self.api,
                "shop/shards",
                count=COUNT,
                identity=self.identity,
                lease_seconds=5,
                renew_deadline=3.5,
                retry_seconds=0.5,
            )
        )
        scope = kinform.Scope(shards=self.shards)
        self.maps = await enter(kinform.Informer(self.api, MAPS, scope=scope, options=quick()))
        self.pods = await enter(kinform.Informer(self.api, PODS))
        self.controller = Controller(self.maps, self._reconcile, owns=[self.pods], workers=50)
        self.task = await enter(running(self.controller))

    async def stop(self) -> None:
        await self._stack.aclose()

    async def _reconcile(self, key: str) -> Requeue | None:
        (self.found if key in self.maps.store else self.missing).append(key)
        return None if self._work is None else await self._work(self, key)

    @property
    def owned(self) -> list[int]:
        return self.shards.stats().owned


def config_map(key: str) -> dict[str, Any]:
    namespace, name = key.split("/")
    return {"metadata": {"namespace": namespace, "name": name}}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as server:
        for key in sorted(KEYS):
            server.put(MAPS, config_map(key))
        yield server


async def started(*replicas: Replica) -> None:
    for each in replicas:
        await each.start()
    await settled(*replicas)


async def settled(*replicas: Replica) -> None:
    """Waits until each of all replicas has its share, and has reconciled it."""
    await until(lambda: all(len(each.owned) == COUNT // len(replicas) for each in replicas))
    await until(lambda: sum(len(each.maps.store) for each in replicas) == len(KEYS))
    for each in replicas:
        await until(lambda each=each: set(each.maps.store) <= set(each.found))  # type: ignore[misc]
        await idle(each.controller)


async def test_a_key_is_reconciled_where_its_shard_is(server: Server):
    replicas = [Replica(server, "a"), Replica(server, "b")]
    await started(*replicas)
    key = next(iter(replicas[1].maps.store))
    for each in replicas:
        each.found.clear()
    for step in (server.touch, server.delete):
        step(MAPS, key)
        await until(lambda: len(replicas[1].found) + len(replicas[1].missing) >= 1)
        await idle(replicas[1].controller)
    await until(lambda: replicas[1].missing == [key])
    assert set(replicas[1].found) <= {key}
    assert (replicas[0].found, replicas[0].missing) == ([], [])
    for each in replicas:
        await each.stop()


async def test_a_shard_that_moves_is_no_deletion(server: Server):
    a, b = Replica(server, "a"), Replica(server, "b")
    await started(a)
    assert set(a.found) == KEYS
    a.found.clear()
    await b.start()
    await until(lambda: len(b.owned) == COUNT // 2 and set(b.maps.store) <= set(b.found))
    await until(lambda: len(a.maps.store) + len(b.maps.store) == len(KEYS))
    await idle(a.controller)
    await idle(b.controller)
    assert a.found == []
    moved = set(b.maps.store)
    assert set(b.found) == moved
    await b.stop()
    await until(lambda: moved <= set(a.found))
    await idle(a.controller)
    assert set(a.found) == moved
    assert (a.missing, b.missing) == ([], [])
    await a.stop()


async def test_a_deletion_during_a_move_is_no_call_of_another_replica(server: Server):
    a, b = Replica(server, "a"), Replica(server, "b")
    await started(a, b)
    deleted = set(list(a.maps.store)[:3]) | set(list(b.maps.store)[:3])
    for key in deleted:
        server.delete(MAPS, key)
    await until(lambda: set(a.missing) | set(b.missing) == deleted)
    assert Counter(a.missing + b.missing) == Counter(deleted)
    await b.stop()
    await a.stop()


async def test_a_call_has_ended_before_its_shard_moves(server: Server):
    running_now: set[str] = set()
    twice: list[str] = []
    cancelled: list[str] = []
    gate = asyncio.Event()

    async def work(replica: Replica, key: str) -> None:
        if key in running_now:
            twice.append(key)
        running_now.add(key)
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.2)  # a cleanup
            cancelled.append(key)
            raise
        finally:
            running_now.discard(key)

    a, b = Replica(server, "a", work), Replica(server, "b", work)
    await a.start()
    await until(lambda: running_now == KEYS)
    await b.start()
    await until(lambda: len(b.found) == len(cancelled) > 0)
    await until(lambda: len(a.maps.store) + len(b.maps.store) == len(KEYS))
    assert (twice, a.missing) == ([], [])
    assert running_now == KEYS
    assert set(cancelled) == set(b.maps.store)
    assert a.controller.queue.stats().retries == 0, "a call that a move cancels has not failed"
    gate.set()
    for each in (a, b):
        await idle(each.controller)
        await each.stop()


async def test_an_own_write_of_another_shard_is_not_in_the_store(server: Server):
    made: dict[str, dict[str, Any]] = {}

    async def work(replica: Replica, key: str) -> None:
        if not made:
            for number in range(20):
                answer = await replica.api.create(MAPS, config_map(f"shop/made{number}"))
                made[f"shop/made{number}"] = answer
                owned = replica.shards.owns(answer["metadata"]["uid"])
                assert (f"shop/made{number}" in replica.maps.store) == owned
                shown.append(owned)

    shown: list[bool] = []
    a, b = Replica(server, "a"), Replica(server, "b", work)
    await a.start()
    await b.start()
    await until(lambda: len(shown) == 20)
    assert set(shown) == {True, False}
    for each in (a, b):
        await each.stop()


async def test_an_owner_of_another_shard_is_ignored(server: Server):
    a, b = Replica(server, "a"), Replica(server, "b")
    await started(a, b)
    key = next(iter(b.maps.store))
    meta = b.maps.store[key]["metadata"]
    for each in (a, b):
        each.found.clear()
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"], "controller": True}
    server.put(PODS, {"metadata": {"namespace": "shop", "name": "p", "ownerReferences": [owner]}, "spec": {}})
    await until(lambda: b.found == [key])
    await until(lambda: "shop/p" in a.pods.store)
    await idle(a.controller)
    assert (a.found, a.missing) == ([], [])
    for each in (a, b):
        await each.stop()


async def test_a_fixed_shard_reconciles_its_objects_only(server: Server):
    calls: list[tuple[str, bool]] = []

    async def work(key: str) -> None:
        calls.append((key, key in maps.store))

    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, MAPS, scope=kinform.Scope(shard=(1, 4))) as maps:
            controller = Controller(maps, work)
            async with running(controller):
                await until(lambda: {key for key, _ in calls} == set(maps.store) != set())
                assert len(calls) == len(maps.store) < len(KEYS)
                calls.clear()
                controller.queue.add(next(iter(KEYS - set(maps.store))))
                key = next(iter(maps.store))
                server.delete(MAPS, key)
                await until(lambda: bool(calls))
                await idle(controller)
                assert calls == [(key, False)]


class Source:
    """Shards that a test changes."""

    name = "a test"
    entered = True

    def __init__(self, *indices: int) -> None:
        self.current = ShardSet(2, frozenset(indices))
        self._listeners: list[Callable[[ShardSet], None]] = []

    def subscribe(self, listener: Callable[[ShardSet], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def set(self, *indices: int) -> None:
        self.current = ShardSet(2, frozenset(indices))
        for listener in self._listeners:
            listener(self.current)


async def test_a_shard_that_is_back_at_once_is_no_deletion(server: Server):
    calls: list[tuple[str, bool]] = []

    async def work(key: str) -> None:
        calls.append((key, key in maps.store))

    source = Source(0, 1)
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, MAPS, scope=kinform.Scope(shards=source), options=quick()) as maps:
            controller = Controller(maps, work)
            async with running(controller):
                await until(lambda: {key for key, _ in calls} == KEYS)
                await idle(controller)
                calls.clear()
                lost = next(iter(KEYS))
                server.fault(Stall(), on="list")
                source.set()
                source.set(0, 1)
                server.delete(MAPS, lost)
                await until(lambda: set(maps.store) == KEYS - {lost})
                await until(lambda: (lost, False) in calls)
                await until(lambda: {key for key, found in calls if found} == KEYS - {lost})
                assert [key for key, found in calls if not found] == [lost]


async def test_keys_of_a_lost_shard_leave_the_queue(server: Server):
    calls: list[str] = []
    gate = asyncio.Event()

    async def work(key: str) -> None:
        calls.append(key)
        await gate.wait()

    source = Source(0, 1)
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, MAPS, scope=kinform.Scope(shards=source), options=quick()) as maps:
            controller = Controller(maps, work)
            async with running(controller):
                await until(lambda: len(controller.queue) == len(KEYS) - 1)
                source.set(0)
                kept = set(maps.store)
                gate.set()
                await idle(controller)
                assert set(calls[1:]) == kept - {calls[0]}
                assert len(kept) < len(KEYS)
                assert len(controller.queue) == controller.queue.stats().delayed == 0


async def test_objects_of_a_new_shard_come_after_live_changes(server: Server):
    order: list[str] = []
    gate = asyncio.Event()

    async def work(key: str) -> None:
        order.append(key)
        await gate.wait()

    source = Source(0)
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, MAPS, scope=kinform.Scope(shards=source), options=quick()) as maps:
            await maps.synced()
            mine = list(maps.store)
            controller = Controller(maps, work)
            async with running(controller):
                await until(lambda: len(order) == 1)
                source.set(0, 1)
                await until(lambda: set(maps.store) == KEYS)
                await until(lambda: len(controller.queue) == len(KEYS) - 1)
                live = next(key for key in mine if key != order[0])
                server.touch(MAPS, live)
                await asyncio.sleep(0.1)
                gate.set()
                await until(lambda: len(order) == len(KEYS))
    assert order[1] == live


async def test_a_lost_lead_of_another_block_is_a_failure(server: Server, caplog: pytest.LogCaptureFixture):
    async def work(replica: Replica, key: str) -> None:
        if replica.found.count(key) == 1:
            raise LeadershipLost("shop/other", "for a test")

    a = Replica(server, "a", work)
    await a.start()
    await until(lambda: len(a.found) == 2 * len(KEYS))
    assert "leadership of shop/other lost: for a test" in caplog.text
    await a.stop()
