"""Informers that fail: who gets the error, and when."""

from __future__ import annotations

import asyncio

import pytest

import kinform
from kinform.testing import InternalError, Invalid
from tests.net.informers import fails, quick
from tests.support.waiting import until

PODS = "v1/pods"


@pytest.fixture
def failing(server, pods):
    """An informer that fails as soon as it starts."""
    server.fault(Invalid(), times=None)
    return pods


async def test_failed_returns_the_error_and_the_block_raises_it(failing):
    async with fails(failing, kinform.BadRequestError) as pods:
        failure = await pods.failed()
        assert isinstance(failure, kinform.BadRequestError)
        assert pods.state == "failed"
    assert await failing.failed() is failure


async def test_a_block_that_only_has_handlers_raises(server):
    server.generate(PODS, 50)
    added = []
    async with kinform.connect(server.url) as api:
        pods = kinform.Informer(api, PODS, options=quick(), memory_limit=1)
        pods.on_add(added.append)
        async with fails(pods, kinform.MemoryLimitError):
            await until(lambda: pods.state == "failed")


async def test_the_block_raises_its_own_error_rather_than_the_failure(failing):
    async def run() -> None:
        async with failing as pods:
            await pods.failed()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run()


async def test_a_cancelled_block_stays_cancelled_after_a_failure(failing):
    failed = asyncio.Event()

    async def run() -> None:
        async with failing as pods:
            await pods.failed()
            failed.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(run())
    await failed.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert failing.state == "stopped"


async def test_failed_waits_through_faults_and_ends_with_the_block(server, pods):
    server.generate(PODS, 3)
    server.fault(InternalError(), times=3)
    async with pods:
        waiting = asyncio.create_task(pods.failed())
        await pods.synced(timeout=10)
        assert not waiting.done()
    with pytest.raises(kinform.KinformError, match="v1/pods: the informer is not running"):
        await waiting


async def test_waits_and_changes_raise_before_the_block_is_entered(server, pods):
    server.generate(PODS, 1)
    changes = pods.changes()
    with pytest.raises(kinform.KinformError, match=r"v1/pods: the informer has not started"):
        await anext(changes)
    not_started = r"v1/pods: the informer has not started: enter its block first"
    for wait in (pods.synced, pods.failed, lambda: pods.wait_for("1")):
        with pytest.raises(kinform.KinformError, match=not_started):
            await wait()
    async with pods:
        assert isinstance(await anext(changes), kinform.Added)


@pytest.mark.parametrize("timeout", ["x", True, float("nan")])
async def test_a_timeout_that_is_no_number_is_refused(server, timeout):
    server.generate(PODS, 1)
    scope = kinform.Scope(namespaces=["shop"])
    async with (
        kinform.connect(server.url) as api,
        kinform.Factory(api) as factory,
        kinform.Informer(api, PODS, scope=scope) as pods,
    ):
        await pods.synced(timeout=10)
        for wait in (
            lambda: pods.synced(timeout),
            lambda: pods.wait_for("1", timeout),
            lambda: pods.add_namespace("till", timeout),
            lambda: factory.synced(timeout),
        ):
            with pytest.raises(kinform.OptionError, match="a number of seconds, or None") as caught:
                await wait()
            assert caught.value.field == "timeout"
        assert list(pods.stats().streams) == ["shop"]
        await pods.synced(timeout=-1)
