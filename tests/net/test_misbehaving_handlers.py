"""Handlers, `on_error` and transforms that misbehave, and what the log says."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

import kinform
from kinform.testing import InternalError
from tests.net.informers import in_sync, quick
from tests.support.waiting import until

PODS = "v1/pods"
KEEP_NAMES = kinform.Prune(keep=["metadata.name"])


def cancel_own_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def cancel_at_once(*_: object) -> None:
    cancel_own_task()


async def cancel_and_wait(*_: object) -> None:
    cancel_own_task()
    await asyncio.sleep(0)


async def cancel_after_a_wait(*_: object) -> None:
    await asyncio.sleep(0)
    cancel_own_task()


async def cancel_and_catch(*_: object) -> None:
    cancel_own_task()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        await asyncio.sleep(0)


def cancel_twice_and_raise(*_: object) -> None:
    cancel_own_task()
    cancel_own_task()
    raise ZeroDivisionError


def place_in(function: Any, line: int) -> str:
    """The place of a line of a function in the log."""
    return f"test_misbehaving_handlers.py:{function.__code__.co_firstlineno + line}"


CANCEL = [cancel_at_once, cancel_and_wait, cancel_after_a_wait, cancel_and_catch, cancel_twice_and_raise]


@pytest.mark.parametrize("register", ["on_add", "on_change"])
@pytest.mark.parametrize("handler", CANCEL)
async def test_a_handler_that_cancels_its_own_task_stops_nothing(server, pods, caplog, register, handler):
    keys = server.generate(PODS, 3)
    received = []
    getattr(pods, register)(handler)
    getattr(pods, register)(received.append)
    async with pods:
        await until(lambda: len(received) == 3)
        assert pods.stats().handler_errors == 3
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    what = "ZeroDivisionError" if handler is cancel_twice_and_raise else "CancelledError"
    if line := {cancel_twice_and_raise: 3, cancel_and_wait: 2}.get(
        handler
    ):  # the others do not wait after their cancel
        what += f" at {place_in(handler, line)}"
    assert record.getMessage().rpartition(" for ")[0] == f"{PODS}: handler {handler.__name__} raised {what}"
    assert record.getMessage().rpartition(" for ")[2] in keys


@pytest.mark.parametrize("register", ["on_add", "on_change"])
async def test_a_handler_that_catches_cancellation_ends_with_the_block(server, pods, register):
    server.generate(PODS, 3)
    started, calls = asyncio.Event(), []

    @getattr(pods, register)
    async def stubborn(found):
        calls.append(found)
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    async with pods:
        await started.wait()
    assert len(calls) == 1


async def test_a_handler_may_use_timeouts_and_groups(server, pods):
    server.generate(PODS, 3)
    ends = []

    @pods.on_add
    async def busy(pod):
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            ends.append("timeout")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.Event().wait()
        except* ZeroDivisionError:
            ends.append("group")

    async def fail() -> None:
        raise ZeroDivisionError

    async with pods:
        await until(lambda: len(ends) == 6)
        assert pods.stats().handler_errors == 0
    assert ends == ["timeout", "group"] * 3


@pytest.mark.parametrize("register", ["on_add", "on_change"])
async def test_a_handler_that_always_raises_is_logged_once(server, pods, caplog, register):
    server.generate(PODS, 20)
    received = []

    def broken(found):
        raise ValueError("hunter2")

    getattr(pods, register)(broken)
    getattr(pods, register)(received.append)
    with caplog.at_level(logging.INFO, "kinform"):
        async with pods:
            await until(lambda: len(received) == 20)
            assert pods.stats().handler_errors == 20
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    cause = f"ValueError at {place_in(broken, 1)}"
    assert record.getMessage().startswith(f"{PODS}: handler {broken.__qualname__} raised {cause} for ")
    assert "hunter2" not in caplog.text


async def test_the_log_at_debug_has_the_text_of_an_exception(server, pods, caplog):
    server.generate(PODS, 2)

    @pods.on_add
    def broken(pod):
        raise ValueError("quoted")

    with caplog.at_level(logging.DEBUG, "kinform.informer"):
        async with pods:
            await until(lambda: pods.stats().handler_errors == 2)
    assert caplog.text.count("ValueError: quoted") == 2


async def test_a_transform_that_returns_text_does_not_end_the_informer(server, caplog):
    keys = server.generate(PODS, 3)
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, PODS, transform=lambda raw: raw.decode(), options=quick()) as pods,
    ):
        await pods.synced(timeout=10)
        server.touch(PODS, keys[0])
        await until(lambda: in_sync(pods.store, server, PODS))
        assert pods.stats().transform_errors == 4
        assert pods.state == "live"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith(f"{PODS}: transform ")


@pytest.mark.parametrize("error", [ValueError("hunter2"), asyncio.CancelledError("hunter2")])
async def test_an_on_error_that_always_raises_is_logged_once(server, caplog, error):
    def broken(_):
        raise error

    server.fault(InternalError(), times=5)
    with caplog.at_level(logging.INFO, "kinform"):
        async with (
            kinform.connect(server.url) as api,
            kinform.Informer(api, PODS, options=quick(on_error=broken)) as pods,
        ):
            await pods.synced(timeout=10)
            assert pods.stats().streams[""].errors == 5
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    place = place_in(broken, 1)
    assert record.getMessage() == f"{PODS}: on_error {broken.__qualname__} raised {type(error).__name__} at {place}"
    assert "hunter2" not in caplog.text


async def test_a_transform_that_raises_cancelled_error_ends_nothing(server):
    def broken(raw):
        raise asyncio.CancelledError

    server.generate(PODS, 3)
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, PODS, transform=broken, options=quick()) as pods,
    ):
        await pods.synced(timeout=10)
        assert pods.stats().transform_errors == 3
        assert in_sync(pods.store, server, PODS)


class Poisoned(msgspec.Struct):
    """A type that some objects raise an error in."""

    metadata: dict[str, str]

    def __post_init__(self) -> None:
        errors = {"a": KeyError, "b": asyncio.CancelledError, "c": StopIteration, "d": StopAsyncIteration}
        if error := errors.get(self.metadata["name"]):
            raise error("hunter2")


async def test_objects_that_raise_in_their_type_stop_no_listener(server, caplog):
    for name in "abcde":
        server.put(PODS, {"metadata": {"name": name, "namespace": "shop"}})
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, PODS, type=Poisoned, options=quick(initial="list"), prune=KEEP_NAMES) as pods,
    ):
        added, updated, keys = [], [], []
        pods.on_add(lambda pod: added.append(pod.metadata["name"]))
        pods.on_update(lambda old, new: updated.append((old, new.metadata["name"])))
        pods.on_change(keys.append)
        changes = pods.changes()
        await pods.synced(timeout=10)
        await until(lambda: len(keys) == 5 and added == ["e"])
        assert pods.stats().undecodable >= 4
        assert [(await anext(changes)).key for _ in range(2)] == ["shop/e", ""]
        for name in "bae":
            server.touch(PODS, f"shop/{name}")
        await until(lambda: len(updated) == 1)
        assert (await anext(changes)).key == "shop/e"
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("register", ["on_add", "on_change"])
@pytest.mark.parametrize("owner", ["informer", "factory"])
async def test_a_handler_cannot_end_its_own_informer(server, register, owner):
    server.generate(PODS, 1)
    errors = []
    async with kinform.connect(server.url) as api, AsyncExitStack() as stack:
        factory = kinform.Factory(api)
        pods = kinform.Informer(api, PODS, options=quick()) if owner == "informer" else factory.informer(PODS)
        await stack.enter_async_context(pods if owner == "informer" else factory)

        @getattr(pods, register)
        async def end(found):
            with pytest.raises(kinform.KinformError) as raised:
                await (pods if owner == "informer" else factory).__aexit__(None, None, None)
            errors.append(str(raised.value))

        await until(lambda: errors)
        await pods.synced(timeout=10)  # it goes on
        await stack.aclose()
        assert pods.state == "stopped"
    assert errors[0].startswith(f"{PODS}: a handler cannot end the block: ")


async def test_a_task_of_a_handler_can_end_its_informer(server):
    server.generate(PODS, 1)
    async with kinform.connect(server.url) as api:
        pods = await kinform.Informer(api, PODS, options=quick()).__aenter__()
        tasks = []
        pods.on_add(lambda pod: tasks.append(asyncio.create_task(pods.__aexit__(None, None, None))))
        await until(lambda: tasks)
        await tasks[0]
        assert pods.state == "stopped"
