"""A controller starts in order, and ends in order for each reason."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import kinform
from kinform.controllers import Controller, LeaderElection
from kinform.controllers._reconcile.sigterm import on_sigterm
from kinform.testing import Forbidden, Server, Unavailable
from tests.controllers.running import Recorder, idle, running
from tests.net.informers import fails, quick
from tests.support.loops import on_each_loop, other_tasks
from tests.support.waiting import until

PODS, NODES = "v1/pods", "v1/nodes"
ROOT = Path(__file__).parents[2]


def pod(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {}}


class Work:
    """A `reconcile` that waits until it may end."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[str] = []
        self.gate = asyncio.Event()

    async def __call__(self, key: str) -> None:
        self.started.append(key)
        await self.gate.wait()
        self.ended.append(key)


def own_tasks() -> list[str]:
    """Returns the tasks of controllers that are left."""
    names = [task.get_name() for task in other_tasks()]
    return [name for name in names if name.endswith(" of controller of v1/pods")]


# Ends


@on_each_loop
async def test_a_cancellation_waits_for_running_calls():
    async with Server() as server:
        server.generate(PODS, 10)
        work = Work()
        async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
            task = asyncio.create_task(Controller(pods, work, workers=2).run())
            await until(lambda: len(work.started) == 2)
            task.cancel()
            await asyncio.sleep(0.05)
            assert not task.done()
            work.gate.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert own_tasks() == []
        assert sorted(work.ended) == sorted(work.started)
        assert len(work.started) == 2, "keys that wait are dropped"


async def test_a_call_beyond_the_drain_timeout_is_cancelled(server: Server):
    server.generate(PODS, 10)
    work = Work()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        task = asyncio.create_task(Controller(pods, work, drain_timeout=0.05).run())
        await until(lambda: len(work.started) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert work.ended == []


async def test_a_second_cancellation_ends_the_drain(server: Server):
    server.generate(PODS, 10)
    work = Work()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        task = asyncio.create_task(Controller(pods, work).run())
        await until(lambda: len(work.started) == 1)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0.02)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert own_tasks() == []
    assert work.ended == []


async def test_a_failed_informer_ends_the_controller_with_its_error(server: Server):
    server.generate(PODS, 10)
    work = Work()
    async with kinform.connect(server.url) as api:
        async with fails(kinform.Informer(api, PODS, memory_limit=1 << 20), kinform.MemoryLimitError) as pods:
            task = asyncio.create_task(Controller(pods, work).run())
            await until(lambda: len(work.started) == 1)
            server.generate(PODS, 5_000)
            await pods.failed()
            await asyncio.sleep(0.05)
            assert not task.done(), "it waits for the running call"
            work.gate.set()
            with pytest.raises(kinform.MemoryLimitError):
                await task


async def test_an_informer_that_stops_ends_the_controller(server: Server):
    recorder = Recorder()
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS) as pods:
            server.put(PODS, pod("a"))
            task = asyncio.create_task(Controller(pods, recorder).run())
            await recorder.called("shop/a")
        with pytest.raises(kinform.KinformError, match="v1/pods: the informer is not running"):
            await task


async def test_a_system_exit_of_a_call_ends_the_controller(server: Server):
    server.put(PODS, pod("a"))
    program = PROGRAM.replace("await asyncio.sleep(0)", "raise SystemExit(3)")
    assert await asyncio.to_thread(_exit_code, program, server.url, None) == 3


PROGRAM = """
import asyncio, sys
import kinform
from kinform.controllers import Controller, LeaderElection

async def main(url):
    async with kinform.connect(url) as api, kinform.Factory(api) as factory:
        pods, nodes = factory.informer("v1/pods"), factory.informer("v1/nodes")
        async def reconcile(key):
            await asyncio.sleep(0)
            print("reconciled", flush=True)
            await asyncio.sleep(0.2)
            print("finished", flush=True)
        await asyncio.gather(Controller(pods, reconcile).run(), Controller(nodes, reconcile).run())
    print("end", flush=True)

asyncio.run(main(sys.argv[1]))
"""


def _exit_code(program: str, url: str, to_send: signal.Signals | None) -> int:
    command = [sys.executable, "-c", program, url]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        if to_send is not None:
            assert process.stdout.readline() == "reconciled\n"
            process.send_signal(to_send)
        try:
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
        if to_send is not None:
            assert "finished" in out
            assert "Traceback" not in err or to_send is signal.SIGINT
        return process.returncode


async def test_sigterm_drains_all_controllers_and_ends_with_0(server: Server):
    server.put(PODS, pod("a"))
    assert await asyncio.to_thread(_exit_code, PROGRAM, server.url, signal.SIGTERM) == 0


async def test_a_handler_of_the_program_keeps_sigterm(server: Server):
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
            async with running(Controller(pods, Recorder())) as task:
                await asyncio.sleep(0.05)
                signal.raise_signal(signal.SIGTERM)
                await asyncio.sleep(0.05)
                assert not task.done()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]


async def test_sigterm_is_free_again_after_the_end(server: Server):
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, Recorder())):
            await asyncio.sleep(0.05)
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_a_controller_runs_in_another_thread(server: Server):
    server.put(PODS, pod("a"))
    recorder = Recorder()

    async def main() -> None:
        async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
            async with running(Controller(pods, recorder)):
                await recorder.called("shop/a")

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert recorder.keys == ["shop/a"]


async def test_sigterm_stops_no_controller_of_another_thread():
    stopped: list[str] = []

    async def other() -> None:
        with on_sigterm(lambda: stopped.append("other")):
            inside.set()
            await asyncio.to_thread(outside.wait)

    inside, outside = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(other()))
    with on_sigterm(lambda: stopped.append("main")):
        thread.start()
        await asyncio.to_thread(inside.wait)
        signal.raise_signal(signal.SIGTERM)
        await until(lambda: stopped)
        outside.set()
        await asyncio.to_thread(thread.join)
    assert stopped == ["main"]


# Starts


async def test_a_source_that_does_not_sync_is_named(server: Server):
    server.fault(Unavailable(), resource=NODES, times=None)
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS) as pods, kinform.Informer(api, NODES, options=quick()) as nodes:
            controller = Controller(pods, Recorder(), owns=[nodes], sync_timeout=0.2)
            with pytest.raises(TimeoutError, match=r"not synced after .* s; v1/nodes: retrying"):
                await controller.run()


async def test_a_source_that_is_refused_raises_at_once(server: Server):
    server.fault(Forbidden(), resource=NODES, times=None)
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS) as pods, kinform.Informer(api, NODES, options=quick()) as nodes:
            with pytest.raises(kinform.ForbiddenError, match="v1/nodes"):
                await Controller(pods, Recorder(), owns=[nodes]).run()


async def test_an_informer_that_was_not_entered_is_named(server: Server):
    async with kinform.connect(server.url) as api:
        controller = Controller(kinform.Informer(api, PODS), Recorder())
        with pytest.raises(kinform.KinformError, match="v1/pods: the informer has not started: enter its"):
            await controller.run()


async def test_a_controller_runs_only_once(server: Server):
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        controller = Controller(pods, Recorder())
        async with running(controller):
            await asyncio.sleep(0)
            with pytest.raises(kinform.KinformError, match="a controller runs once"):
                await controller.run()


# Leadership


class Term:
    def __init__(self) -> None:
        self.lost = asyncio.Event()


class Lost(kinform.KinformError):
    pass


class Election:
    """Leads while its test says so.

    As `LeaderElection` does, it cancels the block at a loss, and raises then.
    """

    def __init__(self, *, warm: bool = True) -> None:
        self.warm = warm
        self.leads = asyncio.Event()
        self.terms: list[Term] = []
        self.released = 0
        self._task: asyncio.Task[Any] | None = None

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[Term]:
        await self.leads.wait()
        self._task = asyncio.current_task()
        term = Term()
        self.terms.append(term)
        try:
            yield term
        except asyncio.CancelledError:
            if term.lost.is_set():
                assert self._task is not None
                self._task.uncancel()
                raise Lost("leadership lost") from None
            raise
        finally:
            self.released += 1

    def lose(self) -> None:
        self.leads.clear()
        self.terms[-1].lost.set()
        assert self._task is not None
        self._task.cancel()


async def test_only_a_leader_reconciles(server: Server):
    server.generate(PODS, 5)
    recorder, election = Recorder(), Election()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        controller = Controller(pods, recorder, leader=election)
        async with running(controller):
            await pods.synced()
            server.put(PODS, pod("a"))
            await asyncio.sleep(0.1)
            assert recorder.keys == []
            assert len(controller.queue) == 0, "keys that wait for leadership take no memory"
            election.leads.set()
            await recorder.called(*server.keys(PODS))
        assert election.released == 1


async def test_an_election_passes_from_one_controller_to_another(server: Server):
    server.put(PODS, pod("a"))
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        recorders = [Recorder(), Recorder()]
        elections = [
            LeaderElection(api, "shop/operator", lease_seconds=3, renew_deadline=2, retry_seconds=0.1) for _ in range(2)
        ]
        async with running(Controller(pods, recorders[0], leader=elections[0])) as first:
            await recorders[0].called("shop/a")
            async with running(Controller(pods, recorders[1], leader=elections[1])):
                await asyncio.sleep(0.2)
                assert recorders[1].keys == []
                first.cancel()
                await recorders[1].called("shop/a")


async def test_a_lost_lead_cancels_the_work_and_stands_by_again(server: Server):
    server.put(PODS, pod("a"))
    work, election = Work(), Election()
    election.leads.set()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        controller = Controller(pods, work, leader=election)
        async with running(controller) as task:
            await until(lambda: work.started == ["shop/a"])
            election.lose()
            await until(lambda: election.released == 1)
            assert controller.queue.stats().processing == 0
            assert work.ended == []
            server.put(PODS, pod("b"))
            await asyncio.sleep(0.05)
            assert work.started == ["shop/a"]
            work.gate.set()
            election.leads.set()
            await until(lambda: set(work.ended) == {"shop/a", "shop/b"})
            await idle(controller)
            assert not task.done()
    assert election.released == 2


async def test_idle_and_busy_workers_continue_after_a_lost_lead(server: Server):
    server.put(PODS, pod("a"))
    work, election = Work(), Election()
    election.leads.set()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        controller = Controller(pods, work, workers=3, leader=election)
        async with running(controller) as task:
            for term in (1, 2):
                await until(lambda: work.started == ["shop/a"])  # one is busy, two wait for a key
                election.lose()
                await until(lambda term=term: election.released == term)
                assert controller.queue.stats().processing == 0
                assert not [name for name in own_tasks() if "worker" in name]
                work.started.clear()
                election.leads.set()
            await until(lambda: work.started == ["shop/a"])
            server.put(PODS, pod("b"))
            server.put(PODS, pod("c"))
            await until(lambda: sorted(work.started) == ["shop/a", "shop/b", "shop/c"])
            assert controller.queue.stats().processing == 3, "each of the three has a key"
            work.gate.set()
            await until(lambda: sorted(work.ended) == ["shop/a", "shop/b", "shop/c"])
            await idle(controller)
            assert not task.done()
    assert len(election.terms) == 3


async def test_a_call_that_ignores_a_lost_lead_is_the_last_one(server: Server):
    async def work(key: str) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ignored.append(key)

    server.put(PODS, pod("a"))
    server.put(PODS, pod("b"))
    ignored: list[str] = []
    recorder, election = Recorder(work), Election()
    election.leads.set()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder, leader=election)):
            await until(lambda: len(recorder.keys) == 1)
            election.lose()
            await until(lambda: election.released == 1)
            assert recorder.keys == ignored


async def test_a_leader_releases_after_the_drain(server: Server):
    server.put(PODS, pod("a"))
    work, election = Work(), Election()
    election.leads.set()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        task = asyncio.create_task(Controller(pods, work, leader=election).run())
        await until(lambda: work.started == ["shop/a"])
        task.cancel()
        await asyncio.sleep(0.05)
        assert election.released == 0
        work.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert election.released == 1


async def test_a_standby_ends_by_cancellation(server: Server):
    election = Election()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        task = asyncio.create_task(Controller(pods, Recorder(), leader=election).run())
        await pods.synced()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert election.terms == []


@pytest.mark.parametrize(("warm", "state"), [(True, "live"), (False, "idle")])
async def test_a_warm_standby_syncs_its_sources(server: Server, warm: bool, state: str):
    election, recorder = Election(warm=warm), Recorder()
    server.put(PODS, pod("a"))
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS, start="lazy") as pods:
        async with running(Controller(pods, recorder, leader=election)):
            await asyncio.sleep(0.1)
            await until(lambda: pods.state == state)
            election.leads.set()
            await recorder.called("shop/a")
