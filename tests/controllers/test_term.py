"""The block of a term: how its body ends at the loss, and what the block raises."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import kinform
from kinform.controllers import LeaderElection, LeadershipLost, Term
from tests.controllers.lease_server import KEY, LeaseServer, Link
from tests.support.loops import on_each_loop, other_tasks, pending_timers
from tests.support.virtual_time import in_virtual_time, now


def elected(identity: str = "a", server: LeaseServer | None = None) -> tuple[LeaderElection, Link]:
    link = Link(server or LeaseServer(), identity)
    return LeaderElection(link, KEY, identity=identity), link


def pause(seconds: float) -> None:
    """Lets time pass as SIGSTOP does: nothing runs, and the monotonic clock goes on."""
    loop: Any = asyncio.get_running_loop()
    loop._virtual.now += seconds


async def lead(election: LeaderElection, body: Callable[[Term], Awaitable[None]]) -> None:
    async with election.leading() as term:
        await body(term)


@in_virtual_time
async def test_the_body_is_cancelled_and_the_block_raises():
    election, link = elected()

    async def body(term: Term) -> None:
        link.hang()
        try:
            await asyncio.sleep(1000)
        finally:
            assert term.lost.is_set()

    with pytest.raises(LeadershipLost) as raised:
        await lead(election, body)
    assert now() >= 30
    assert raised.value.name == KEY
    assert isinstance(raised.value.__cause__, kinform.StalledError)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    await asyncio.sleep(0)


@in_virtual_time
async def test_a_body_that_ignores_the_cancellation_raises_at_its_end():
    election, link = elected()

    async def body(term: Term) -> None:
        link.hang()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(5)

    with pytest.raises(LeadershipLost):
        await lead(election, body)
    await asyncio.sleep(0)


@in_virtual_time
async def test_an_error_of_the_body_is_not_replaced():
    election, link = elected()

    async def body(term: Term) -> None:
        link.hang()
        try:
            await asyncio.sleep(1000)
        finally:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await lead(election, body)
    await asyncio.sleep(0)


@in_virtual_time
async def test_a_body_that_is_over_at_the_loss_raises():
    election, _ = elected()

    async def body(term: Term) -> None:
        assert election._block is not None
        election._block.lose("test")

    with pytest.raises(LeadershipLost):
        await lead(election, body)
    await asyncio.sleep(0)  # the cancellation was delivered


@in_virtual_time
async def test_a_cancellation_from_elsewhere_goes_on():
    election, link = elected()

    async def work() -> None:
        async with election.leading():
            link.hang()
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(1000)  # until the loss

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert now() >= 30
    assert task.cancelled()


@in_virtual_time
async def test_a_task_group_in_the_body_ends_before_the_block():
    election, link = elected()
    ended = []

    async def worker() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(now())

    async def body(term: Term) -> None:
        async with asyncio.TaskGroup() as tasks:
            link.hang()
            for _ in range(3):
                tasks.create_task(worker())

    with pytest.raises(LeadershipLost):
        await lead(election, body)
    assert ended == [pytest.approx(30)] * 3


@in_virtual_time
async def test_a_timeout_around_the_block_is_a_timeout():
    election, _ = elected()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(15), election.leading():
            await asyncio.sleep(1000)
    with pytest.raises(TimeoutError):
        async with election.leading(), asyncio.timeout(15):
            await asyncio.sleep(1000)


@in_virtual_time
async def test_a_stopped_process_does_no_step_after_its_deadline():
    election, _ = elected()
    steps = []

    async def body(term: Term) -> None:
        asyncio.get_running_loop().call_later(10.5, pause, 100)
        while True:
            steps.append(now())
            assert now() < term.deadline
            await asyncio.sleep(1)

    with pytest.raises(LeadershipLost):
        await lead(election, body)
    assert len(steps) == 11


@in_virtual_time
async def test_a_lease_taken_too_late_begins_no_term():
    server = LeaseServer()
    election, _ = elected(server=server)
    answer, stops = server.answer, iter([100])

    def stop_once(candidate: str, request: kinform.Request) -> Any:
        reply = answer(candidate, request)
        if request.method == "PUT" and (seconds := next(stops, 0)):
            pause(seconds)
        return reply

    server.answer = stop_once  # type: ignore[method-assign]
    async with election.leading() as term:
        assert now() < term.deadline
    assert next(stops, 0) == 0
    assert len({spec.get("leaseTransitions") for _, _, spec in server.writes} - {None}) == 2


@in_virtual_time
async def test_the_deadline_moves_with_each_renewal():
    election, _ = elected()
    async with election.leading() as term:
        seen = []
        for _ in range(4):
            seen.append(term.deadline)
            await asyncio.sleep(10.1)
    assert seen == [pytest.approx(deadline, abs=0.5) for deadline in (30, 40, 50, 60)]


@in_virtual_time
async def test_only_one_block_of_an_election_can_be_open():
    election, _ = elected()
    async with election.leading():
        with pytest.raises(kinform.KinformError, match="only one at a time"):
            async with election.leading():
                pass
    async with election.leading():
        pass


@in_virtual_time
async def test_each_term_has_a_higher_token():
    server = LeaseServer()
    seen = []
    for identity in "aabba":
        election, _ = elected(identity, server)
        async with election.leading() as term:
            seen.append(term.transitions)
    assert seen == sorted(set(seen))


@in_virtual_time
async def test_a_candidate_cancelled_while_it_waits_can_try_again():
    server = LeaseServer()
    election, _ = elected("a", server)
    other, _ = elected("b", server)
    async with other.leading():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(50), election.leading():
                pass
    async with election.leading():
        pass


async def test_health_and_statistics_work_in_every_thread():
    election, _ = elected()
    found: list[Any] = []
    async with election.leading() as term:
        thread = threading.Thread(target=lambda: found.extend([election.health(), election.stats(), term.deadline]))
        thread.start()
        thread.join()  # blocks the event loop
    assert found[0].ok
    assert found[1].leading


def test_a_term_shows_its_token():
    async def shown() -> str:
        return repr(Term(7, 0.0))

    assert asyncio.run(shown()) == "<kinform.controllers.Term 7>"


async def test_a_connection_that_is_not_open_is_an_error():
    election = LeaderElection(kinform.connect("http://127.0.0.1:1"), KEY)
    with pytest.raises(kinform.OptionError, match="a connection inside"):
        await lead(election, body=lambda _: asyncio.sleep(0))


@on_each_loop
async def test_a_block_leaves_no_task_and_no_timer():
    times = {"lease_seconds": 0.6, "renew_deadline": 0.4, "retry_seconds": 0.1}
    server = LeaseServer()
    link = Link(server, "a")
    election = LeaderElection(link, KEY, **times)
    await lead(election, body=lambda _: asyncio.sleep(0.3))

    async def body(term: Term) -> None:
        link.hang()
        await asyncio.sleep(10)

    with pytest.raises(LeadershipLost):
        await lead(election, body)
    assert len(pending_timers()) <= 1  # that of the test
    assert other_tasks() == set()
