"""Shards: replicas divide a collection, each behind a proxy of its own."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

import kinform
from kinform.controllers import LeadershipLost, Shards
from kinform.testing import Server
from kinform_ext._scan import shard_of
from tests.controllers.shard_replicas import (
    CONFIGS,
    COUNT,
    LEASE,
    LEASES,
    NAME,
    Replica,
    fair,
    in_stores,
    longest_gap,
    no_overlap,
    running,
    serving,
)
from tests.support.waiting import until


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def replicas(server: Server) -> AsyncIterator[list[Replica]]:
    """Four replicas that have two shards each."""
    async with running(server, *(f"widget-{number}" for number in range(4))) as found:
        yield found


async def test_replicas_have_fair_shares_and_their_objects(server: Server, replicas: list[Replica]) -> None:
    await until(lambda: in_stores(server, *replicas))
    assert [len(each.owned) for each in replicas] == [2, 2, 2, 2]
    assert no_overlap(*replicas)
    shards = replicas[0].shards
    holders = sorted(each.shards.identity for each in replicas for _ in range(2))
    await until(lambda: sorted(shards.stats().holders) == holders)
    stats = shards.stats()
    assert stats.members == [each.shards.identity for each in replicas]
    assert all(each.shards.identity.startswith(each.identity) for each in replicas)
    assert (stats.waits_for, stats.lost, stats.error) == ([], 0, None)


async def test_a_replica_that_stops_hands_over_at_once(server: Server, replicas: list[Replica]) -> None:
    *others, last = replicas
    await last.stop()
    await until(lambda: fair(*others))
    await until(lambda: in_stores(server, *others))
    assert no_overlap(*replicas)
    assert longest_gap(*replicas) < LEASE
    assert sum("member" in key for key in server.keys(LEASES)) == 3
    await until(lambda: others[0].shards.stats().members == [each.shards.identity for each in others])


async def test_a_replica_that_is_cut_off_stops_before_others_begin(server: Server, replicas: list[Replica]) -> None:
    *others, last = replicas
    owned = last.owned
    last.proxy.stop_forwarding()
    await until(lambda: fair(*others), within=20)
    assert not last.owned
    assert not len(last.configs.store)
    assert no_overlap(*replicas)
    assert last.shards.stats().lost == len(owned)
    last.proxy.resume_forwarding()
    await until(lambda: fair(*replicas), within=20)
    assert no_overlap(*replicas)


async def test_work_on_hold_is_awaited_before_its_shard_moves(server: Server, replicas: list[Replica]) -> None:
    uids = [uid for uid, _ in server.versions(CONFIGS).values()]
    ended: dict[int, float] = {}
    *others, last = replicas

    async def work(uid: str) -> None:
        async with last.shards.hold(uid) as term:
            assert term.transitions > 0
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.7)  # longer than a renewal
                ended[shard_of(uid, COUNT)] = asyncio.get_running_loop().time()

    held = [uid for uid in uids if last.shards.owns(uid)]
    tasks = [asyncio.create_task(work(uid)) for uid in held]
    await asyncio.sleep(0)
    newcomers = [Replica(server, f"new-{number}") for number in range(4)]
    await asyncio.gather(*(each.start() for each in newcomers))
    try:
        await until(lambda: fair(*replicas, *newcomers), within=20)
        moved = [shard for shard in ended if shard not in last.owned]
        assert moved
        for shard in moved:
            begins = [times[0] for each in (*others, *newcomers) for times in each.times[shard]]
            assert all(begin > ended[shard] or begin < last.times[shard][0][0] for begin in begins)
        assert no_overlap(*replicas, *newcomers)
    finally:
        for task in tasks:
            task.cancel()
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(error, LeadershipLost | asyncio.CancelledError) for error in errors)
        assert "moves to another replica" in str(next(error for error in errors if isinstance(error, LeadershipLost)))
        for each in newcomers:
            await each.stop()


async def test_the_work_of_a_lost_shard_is_cancelled_in_time(server: Server, replicas: list[Replica]) -> None:
    last = replicas[-1]
    uid = next(uid for uid, _ in server.versions(CONFIGS).values() if last.shards.owns(uid))
    shard = shard_of(uid, COUNT)

    async def work() -> None:
        async with last.shards.hold(uid):
            last.proxy.stop_forwarding()
            await asyncio.sleep(60)

    with pytest.raises(LeadershipLost, match="not renewed in time"):
        await work()
    assert not last.shards.owns(uid)
    assert last.times[shard][-1][1] < math.inf
    with pytest.raises(LeadershipLost, match="does not have the shard"):
        async with last.shards.hold(uid):
            pass
    await until(lambda: fair(*replicas[:-1]), within=20)
    assert no_overlap(*replicas)
    last.proxy.resume_forwarding()


async def test_a_shard_that_another_client_takes_is_lost_at_once(server: Server, replicas: list[Replica]) -> None:
    first = replicas[0]
    index = first.owned[0]

    def take(lease: Any) -> None:
        lease["spec"]["holderIdentity"] = "thief"
        lease["spec"]["leaseTransitions"] += 1

    server.update(LEASES, f"{NAME}-{index}", take)
    await until(lambda: index not in first.owned)
    assert first.shards.stats().lost == 1
    await until(lambda: fair(*replicas), within=20)


async def test_a_lease_that_is_deleted_comes_back(server: Server, replicas: list[Replica]) -> None:
    owned = [each.owned for each in replicas]
    for index in range(COUNT):
        server.delete(LEASES, f"{NAME}-{index}")
    await until(lambda: sum(key in server.keys(LEASES) for key in [f"{NAME}-{i}" for i in range(COUNT)]) == COUNT)
    assert [each.owned for each in replicas] == owned
    assert no_overlap(*replicas)


async def test_at_rest_a_replica_only_writes_its_leases(server: Server, replicas: list[Replica]) -> None:
    await asyncio.sleep(0.6)
    server.requests.clear()
    await asyncio.sleep(1.0)
    verbs = {request.verb for request in server.requests if "/leases" in request.path}
    assert verbs == {"replace"}
    assert 4 * 3 <= len(server.requests) <= 3 * 4 * 3


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"count": 0}, "count"),
        ({"count": 2000}, "count"),
        ({"name": "no-namespace"}, "name"),
        ({"identity": " "}, "identity"),
        ({"lease_seconds": 10}, "lease_seconds"),
        ({"renew_deadline": 10}, "renew_deadline"),
    ],
)
async def test_options_that_cannot_work_raise(change: dict[str, Any], field: str) -> None:
    options: dict[str, Any] = {"name": NAME, "count": 8, **change}
    async with kinform.connect("http://127.0.0.1:1") as api:
        with pytest.raises(kinform.OptionError) as caught:
            Shards(api, options.pop("name"), **options)
        assert caught.value.field == field


async def test_a_refused_right_is_raised_at_the_start(server: Server) -> None:
    server.token = "secret"
    async with kinform.connect(server.url) as api:
        with pytest.raises(kinform.ForbiddenError):
            async with Shards(api, NAME, count=8):
                pass


async def test_shards_belong_to_the_event_loop_of_their_block(server: Server) -> None:
    async with kinform.connect(server.url) as api, Shards(api, NAME, count=COUNT) as shards:

        async def follow() -> None:
            async with kinform.Informer(api, CONFIGS, scope=kinform.Scope(shards=shards)):
                pass

        with pytest.raises(kinform.KinformError, match="event loop"):
            await asyncio.to_thread(asyncio.run, follow())


@pytest.mark.parametrize("start", ["eager", "lazy"])
async def test_an_informer_waits_for_the_block_of_its_shards(server: Server, start: Any) -> None:
    async with kinform.connect(server.url) as api:
        shards = Shards(api, NAME, count=COUNT)
        configs = kinform.Informer(api, CONFIGS, scope=kinform.Scope(shards=shards), start=start)
        message = f"Scope.shards: '{NAME}' is not allowed; expected shards whose block was entered"
        with pytest.raises(kinform.OptionError, match=message):
            await configs.__aenter__()
        factory = kinform.Factory(api)
        factory.informer(CONFIGS, scope=kinform.Scope(shards=shards))
        with pytest.raises(kinform.OptionError, match=message):
            await factory.__aenter__()
        async with shards:
            assert shards.entered
            async with configs:
                await configs.synced(timeout=10)
        assert not shards.entered
        with pytest.raises(kinform.OptionError, match=message):
            await configs.__aenter__()


async def test_a_block_can_be_entered_again(server: Server) -> None:
    async with kinform.connect(server.url) as api:
        shards = Shards(api, NAME, count=COUNT)
        for _ in range(2):
            async with shards:
                await until(lambda: shards.stats().owned == list(range(COUNT)))
                with pytest.raises(kinform.KinformError, match="entered already"):
                    await shards.__aenter__()
            assert shards.stats().owned == []
    assert not [key for key in server.keys(LEASES) if "member" in key]


async def test_a_dead_member_is_forgotten(server: Server) -> None:
    dead = {"holderIdentity": "dead", "leaseDurationSeconds": 1, "leaseTransitions": 1}
    key = f"{NAME}-member-{COUNT}-00"
    server.put(LEASES, {"metadata": {"name": key.split("/")[1], "namespace": "shop"}, "spec": dead})
    async with kinform.connect(server.url) as api:
        options = {"lease_seconds": 0.5, "renew_deadline": 0.3, "retry_seconds": 0.2}
        async with Shards(api, NAME, count=COUNT, **options) as shards:
            assert shards.stats().members == sorted(["dead", shards.identity])
            await until(lambda: shards.stats().owned == list(range(COUNT)))
            await until(lambda: key not in server.keys(LEASES), within=20)
            assert shards.stats().members == [shards.identity]


async def test_shards_come_back_after_an_outage_of_the_server(server: Server, replicas: list[Replica]) -> None:
    await server.stop()
    await until(lambda: not any(each.owned for each in replicas), within=20)
    assert not any(len(each.configs.store) for each in replicas)
    await server.start()
    await until(lambda: fair(*replicas), within=30)
    await until(lambda: in_stores(server, *replicas), within=20)
    assert no_overlap(*replicas)


async def test_a_short_outage_moves_no_shard(server: Server, replicas: list[Replica]) -> None:
    times = [copy.deepcopy(each.times) for each in replicas]
    await server.stop()
    await asyncio.sleep(0.6)
    await server.start()
    await asyncio.sleep(LEASE)
    assert [each.times for each in replicas] == times
    assert [each.shards.stats().lost for each in replicas] == [0, 0, 0, 0]
