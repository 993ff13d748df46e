"""Contenders as processes on a real kube-apiserver, through faults of all kinds.

In each of them, no two act at once, no deposed leader writes, and one leads again soon. The logs of the contenders
and the audit log of the server show it.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kinform.controllers._leases.lease_requests import LEASES
from tests.controllers.arena import Arena, Contender, arena, now
from tests.controllers.garbled_leases import GARBLED
from tests.support.audit import audit_events, audit_flags, written_config_maps
from tests.support.clusters import RealCluster, real_cluster
from tests.support.controlplane.pool import ControlPlanePool

TIMES = {"lease_seconds": 3, "renew_deadline": 2, "retry_seconds": 0.5}
TAKE_OVER = TIMES["lease_seconds"] + 1.2 * TIMES["retry_seconds"]
SLACK = 3.0  # of a busy machine, in which processes of Python start


@pytest.fixture(scope="module")
def audit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture
async def audited(control_plane_pool: ControlPlanePool, audit_folder: Path) -> AsyncIterator[RealCluster]:
    async with real_cluster(await control_plane_pool.get(*audit_flags(audit_folder))) as cluster:
        yield cluster


def counted(events: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Returns the number and the token of each successful write, in their order."""
    return [(int(each["data"]["number"]), int(each["data"]["token"])) for each in written_config_maps(events)]


def check(contest: Arena, folder: Path, namespace: str) -> None:
    """Checks that no two contenders acted at once, and that no deposed leader wrote."""
    assert contest.overlap() <= 0.5
    tokens = [token for token, _, _ in contest.terms()]
    assert tokens == sorted(set(tokens))
    print(f"{len(tokens)} terms, longest overlap {contest.overlap():.3f} s")
    writes = counted(audit_events(folder, namespace))
    assert all(first < then for (first, _), (then, _) in itertools.pairwise(writes))
    assert all(first <= then for (_, first), (_, then) in itertools.pairwise(writes))
    assert {token for _, token in writes} <= set(tokens)
    assert writes


Fault = Callable[[Arena, Contender], Awaitable[None]]


async def kill(contest: Arena, leader: Contender) -> None:
    leader.kill()


async def stop(contest: Arena, leader: Contender) -> None:
    leader.send(signal.SIGSTOP)


async def hang(contest: Arena, leader: Contender) -> None:
    leader.proxy.stop_forwarding()


async def delay(contest: Arena, leader: Contender) -> None:
    leader.proxy.delay = 0.7  # and as long again for the answer: more than an attempt may take


async def drop(contest: Arena, leader: Contender) -> None:
    await leader.proxy.refuse_connections()
    leader.proxy.reset_connections()


async def heal(contest: Arena, leader: Contender, fault: Fault) -> None:
    """Ends a fault of a leader."""
    if fault is kill:
        leader.start()
    elif fault is stop:
        leader.send(signal.SIGCONT)
    leader.proxy.delay = 0.0
    leader.proxy.resume_forwarding()
    await leader.proxy.accept_connections()


async def test_a_leader_that_fails_is_replaced_in_time(audited: RealCluster, audit_folder: Path, tmp_path: Path):
    async with arena(audited, tmp_path, "a", "b", "c", **TIMES) as contest:
        leader = await contest.ready()
        took: list[float] = []
        for fault in (kill, stop, hang, delay, drop):
            before = now()
            await fault(contest, leader)
            # Delayed renewals arrive until the leader gives up.
            within = TAKE_OVER + SLACK + (TIMES["renew_deadline"] if fault is delay else 0)
            following = await contest.leader(other_than=leader, after=before, within=within)
            took.append(contest.terms()[-1][1] - before)
            await asyncio.sleep(1)  # both would act
            await heal(contest, leader, fault)
            leader = following
            await asyncio.sleep(1)
        print(f"taken over after {', '.join(f'{each:.1f}' for each in took)} s")
        check(contest, audit_folder, audited.namespace)


async def test_a_lease_changed_by_others_lets_no_two_act(audited: RealCluster, audit_folder: Path, tmp_path: Path):
    async with arena(audited, tmp_path, "a", "b", "c", **TIMES) as contest:
        await contest.ready()
        for fields in GARBLED:
            await contest.edit(**fields)
            await asyncio.sleep(0.8)
        for _ in range(3):
            await contest.api.delete(LEASES, contest.lease)
            await asyncio.sleep(0.8)
        before = now()
        await contest.edit(holderIdentity="a third party")
        await contest.leader(after=before + TIMES["lease_seconds"])
        check(contest, audit_folder, audited.namespace)


async def test_an_outage_of_the_server_lets_no_two_act(audited: RealCluster, audit_folder: Path, tmp_path: Path):
    async with arena(audited, tmp_path, "a", "b", "c", **TIMES) as contest:
        await contest.ready()
        await audited.crash()
        await asyncio.sleep(TIMES["renew_deadline"] + 1)
        acting = [line for line in contest.lines() if line.what == "act" and line.at > now() - 0.5]
        assert not acting
        await audited.recover()
        before = now()
        await contest.leader(after=before)
        await audited.freeze()
        await asyncio.sleep(TIMES["lease_seconds"] + 1)
        await audited.thaw()
        before = now()
        await contest.leader(after=before)
        check(contest, audit_folder, audited.namespace)


async def test_contenders_at_rest_send_one_request_a_period(audited: RealCluster, audit_folder: Path, tmp_path: Path):
    async with arena(audited, tmp_path, "a", "b", "c", **TIMES) as contest:
        await contest.ready()
        await asyncio.sleep(1)
        begin = datetime.datetime.now(datetime.UTC).isoformat()
        await asyncio.sleep(5)
        end = datetime.datetime.now(datetime.UTC).isoformat()
        events = [
            event["verb"]
            for event in audit_events(audit_folder, audited.namespace)
            if event["objectRef"]["resource"] == "leases" and begin <= event["requestReceivedTimestamp"] <= end
        ]
        periods = 5 / TIMES["retry_seconds"]
        print(f"{events.count('update')} writes and {events.count('get')} reads in {periods:.0f} periods")
        assert periods / 2 <= events.count("update") <= periods + 1
        assert periods / 2 <= events.count("get") <= 2 * periods + 2
        assert set(events) == {"get", "update"}
        check(contest, audit_folder, audited.namespace)
