"""Shards through faults, other numbers of shards, and cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import kinform
from kinform.controllers import Shards
from kinform.testing import Server, Stall
from tests.controllers.garbled_leases import GARBLED
from tests.controllers.shard_replicas import (
    COUNT,
    LEASE,
    LEASES,
    NAME,
    Replica,
    fair,
    in_stores,
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
    async with running(server, "a", "b") as found:
        yield found


def periods(replica: Replica) -> list[tuple[float, float]]:
    """Returns the times from which and until which a replica had shards."""
    return sorted((begin, end) for times in replica.times.values() for begin, end in times)


async def test_garbled_leases_give_no_object_two_replicas(server: Server, replicas: list[Replica]) -> None:
    for fields in GARBLED:
        for key in server.keys(LEASES):
            server.update(LEASES, key, lambda lease: lease["spec"].update(fields))  # noqa: B023
        await asyncio.sleep(0.4)
    await until(lambda: fair(*replicas), within=20)
    await until(lambda: in_stores(server, *replicas))
    assert no_overlap(*replicas)


async def test_leases_that_vanish_move_no_shard(server: Server, replicas: list[Replica]) -> None:
    owned = [each.owned for each in replicas]
    for _ in range(3):
        keys = set(server.keys(LEASES))
        for key in keys:
            server.delete(LEASES, key)
        await until(lambda: set(server.keys(LEASES)) == keys)  # noqa: B023
    await asyncio.sleep(0.6)
    assert [each.owned for each in replicas] == owned
    assert no_overlap(*replicas)


async def test_a_holder_without_a_new_term_ends_the_work(server: Server, replicas: list[Replica]) -> None:
    first = replicas[0]
    index = first.owned[0]
    server.update(LEASES, f"{NAME}-{index}", lambda lease: lease["spec"].update(holderIdentity="thief"))
    await until(lambda: index not in first.owned)
    assert first.shards.stats().lost == 1
    await until(lambda: fair(*replicas), within=20)
    assert no_overlap(*replicas)


async def test_two_replicas_with_one_name_share_no_shard(server: Server) -> None:
    async with running(server, "same", "same") as replicas:
        await until(lambda: in_stores(server, *replicas))
        await asyncio.sleep(LEASE)
        assert fair(*replicas)
        assert no_overlap(*replicas)
        assert len({each.shards.identity for each in replicas}) == 2


@pytest.mark.parametrize(("count", "other"), [(8, 16), (16, 8)])
async def test_replicas_with_another_count_wait(server: Server, count: int, other: int) -> None:
    async with running(server, "a", "b", count=count) as old:
        new = [Replica(server, each, count=other) for each in ("c", "d")]
        for each in new:
            await each.start()
        try:
            await until(lambda: all(len(each.shards.stats().waits_for) == 2 for each in new))
            await asyncio.sleep(0.6)
            assert fair(*old, count=count)
            await old[0].stop()
            await until(lambda: fair(old[1], count=count), within=20)
            restarted = Replica(server, "a", count=count)
            await restarted.start()  # came last: it waits for the new ones, and has no shard
            assert sorted(restarted.shards.stats().waits_for) == sorted(each.shards.identity for each in new)
            await old[1].stop()
            await until(lambda: fair(*new, count=other), within=20)
            assert not periods(restarted)
            await restarted.stop()
            last = max(end for each in old for _, end in periods(each))
            assert last < min(begin for each in new for begin, _ in periods(each))
        finally:
            for each in new:
                await each.stop()


async def test_a_replica_that_was_dead_waits_for_another_count(server: Server) -> None:
    async with running(server, "a", count=8) as (old,):
        new = Replica(server, "b", count=16)
        await new.start()
        try:
            old.proxy.stop_forwarding()
            await until(lambda: fair(new, count=16), within=20)
            old.proxy.resume_forwarding()
            await until(lambda: old.shards.stats().waits_for == [new.shards.identity], within=20)
            assert fair(new, count=16)
            assert max(end for _, end in periods(old)) < min(begin for begin, _ in periods(new))
        finally:
            await new.stop()
        await until(lambda: fair(old, count=8), within=20)


async def test_a_silent_watch_is_replaced(server: Server, replicas: list[Replica]) -> None:
    assert server.interrupt(Stall(), LEASES) == 2
    newcomer = Replica(server, "c")
    await newcomer.start()
    try:
        await until(lambda: fair(*replicas, newcomer), within=20)
        assert no_overlap(*replicas, newcomer)
    finally:
        await newcomer.stop()


async def test_the_block_ends_while_the_server_is_silent(server: Server) -> None:
    async with kinform.connect(server.url) as api:
        shards = Shards(api, NAME, count=COUNT, lease_seconds=2, renew_deadline=1.4, retry_seconds=0.5)
        async with asyncio.timeout(20):
            async with shards:
                await until(lambda: len(shards.stats().owned) == COUNT)
                server.freeze()
        assert shards.stats().owned == []
        server.thaw()


async def test_a_cancelled_end_of_the_block_leaves_nothing_running(server: Server) -> None:
    async with kinform.connect(server.url) as api:
        shards = Shards(api, NAME, count=COUNT, lease_seconds=60, renew_deadline=40, retry_seconds=0.5)
        before = asyncio.all_tasks()
        entered = asyncio.Event()

        async def run() -> None:
            async with shards:
                await until(lambda: len(shards.stats().owned) == COUNT)
                server.freeze()
                await asyncio.sleep(0.7)  # renewals hang
                entered.set()

        task = asyncio.create_task(run())
        await entered.wait()
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (shards.stats().owned, shards.current.indices) == ([], frozenset())
        await until(lambda: not {each for each in asyncio.all_tasks() - before if "kinform shard" in each.get_name()})
        server.thaw()
        async with shards:
            await until(lambda: len(shards.stats().owned) == COUNT, within=20)


async def test_an_error_in_the_loop_is_reported_and_the_loop_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    advance, failures = Shards._advance, iter([ValueError("a bug")] * 3)

    def fails_at_first(shards: Shards, now: float) -> float:
        for error in failures:
            raise error
        return advance(shards, now)

    monkeypatch.setattr(Shards, "_advance", fails_at_first)
    async with running(server, "a") as (replica,):
        await until(lambda: len(replica.owned) == COUNT, within=20)
    assert "ValueError" in caplog.text
    assert "a bug" not in caplog.text


async def test_leases_are_followed_again_after_a_fatal_error(
    server: Server, replicas: list[Replica], caplog: pytest.LogCaptureFixture
) -> None:
    await until(lambda: fair(*replicas), within=20)
    before = [replica.shards._leases for replica in replicas]
    for informer in before:
        for stream in informer._collection.streams.values():
            stream.fail(kinform.KinformError("ended by the test"))
    await until(lambda: all(replica.shards._leases is not old for replica, old in zip(replicas, before, strict=True)))
    assert "ended by the test" in caplog.text
    third = Replica(server, "c")
    await third.start()
    try:
        await until(lambda: fair(*replicas, third), within=30)
    finally:
        await third.stop()
    assert no_overlap(*replicas, third)


async def test_a_failed_informer_keeps_no_lease_at_the_end(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async with kinform.connect(server.url) as api:
        async with Shards(api, NAME, count=COUNT, lease_seconds=60, renew_deadline=40, retry_seconds=30) as shards:
            await until(lambda: len(shards.stats().owned) == COUNT)
            for stream in shards._leases._collection.streams.values():
                stream.fail(kinform.KinformError("ended by the test"))
            await until(lambda: shards._leases.state == "failed")
    assert "ended by the test" in caplog.text
    found = [server.get(LEASES, f"{NAME}-{index}") for index in range(COUNT)]
    assert [lease["spec"]["holderIdentity"] for lease in found if lease] == [""] * COUNT


async def test_an_end_that_is_cancelled_at_any_step_leaves_no_task(server: Server) -> None:
    async with kinform.connect(server.url) as api:
        for steps in range(4):
            shards = Shards(api, NAME, count=2, lease_seconds=60, renew_deadline=40, retry_seconds=0.5)
            ending = asyncio.Event()

            async def run(shards: Shards = shards, ending: asyncio.Event = ending) -> None:
                async with shards:
                    ending.set()

            task = asyncio.create_task(run())
            await ending.wait()
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0)
            assert not [each for each in asyncio.all_tasks() if each.get_name().startswith("kinform")], steps
