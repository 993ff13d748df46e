"""The event loop of kinform.sync, and calls from places where they cannot work."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import kinform
import kinform.sync
from kinform.sync._lifetime import Lifetime
from tests.net.informers import quick
from tests.support.kubeconfig import write_contexts
from tests.support.server_behaviours import BadTransport, healthy
from tests.sync.conftest import InThread
from tests.sync.programs import until

PODS = "v1/pods"

CALLS: dict[str, Callable[[kinform.sync.Informer], Any]] = {
    "synced": lambda pods: pods.synced(timeout=1),
    "failed": lambda pods: pods.failed(timeout=1),
    "wait_for": lambda pods: pods.wait_for("1", timeout=1),
    "add_namespace": lambda pods: pods.add_namespace("shop"),
    "remove_namespace": lambda pods: pods.remove_namespace("shop"),
}
LISTENERS: dict[str, Callable[[kinform.sync.Informer], Any]] = {
    "on_add": lambda pods: pods.on_add(print),
    "on_update": lambda pods: pods.on_update(print),
    "on_delete": lambda pods: pods.on_delete(print),
    "on_change": lambda pods: pods.on_change(print),
    "changes": lambda pods: pods.changes(),
}


def loops() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kinform event loop"]


async def test_all_blocks_share_one_loop_that_the_last_one_ends(server):
    def program() -> None:
        assert loops() == []
        with kinform.sync.connect(server.url) as first:
            (thread,) = loops()
            assert thread.daemon
            with kinform.sync.connect(server.url) as second:
                with kinform.sync.Informer(first, PODS) as pods, kinform.sync.Informer(second, PODS) as others:
                    pods.synced(timeout=10)
                    others.synced(timeout=10)
                    assert loops() == [thread]
            assert loops() == [thread]
        assert loops() == []
        with kinform.sync.connect(server.url) as third:
            assert loops() != [thread]
            with kinform.sync.Informer(third, PODS) as pods:
                pods.synced(timeout=10)
        assert loops() == []

    await asyncio.to_thread(program)


async def test_threads_that_start_and_stop_at_once_leave_no_loop(server):
    server.generate(PODS, 3)

    def program() -> int:
        for _ in range(5):
            with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:
                pods.synced(timeout=20)
                assert len(pods.store) == 3
        return 5

    threads = [InThread(program) for _ in range(8)]
    for thread in threads:
        assert await asyncio.to_thread(thread.result) == 5
    assert loops() == []


async def test_a_connection_has_the_namespace_of_its_context(tmp_path):
    context = {"name": "one", "context": {"cluster": "one", "user": "one", "namespace": "shop"}}
    path = write_contexts(tmp_path / "one", "one", contexts=[context])

    def program() -> str:
        with kinform.sync.connect(path) as api:
            return api.namespace

    assert await asyncio.to_thread(program) == "shop"


async def test_construction_starts_nothing(server):
    api = kinform.sync.connect(server.url)
    pods = kinform.sync.Informer(api, PODS)
    pods.on_add(print)
    pods.changes().close()
    assert loops() == []
    assert server.requests == []
    assert repr(api) == f"<kinform.sync.Connection to {server.url}, not open yet>"


async def test_an_end_without_a_start_does_nothing(server):
    api = kinform.sync.connect(server.url)
    api.__exit__(None, None, None)
    kinform.sync.Informer(api, PODS).__exit__(None, None, None)


async def test_a_failed_start_leaves_no_loop(server, tmp_path):
    config = server.write_kubeconfig(tmp_path / "config")
    api = kinform.sync.connect(config)
    config.write_text("clusters: 7")

    def program() -> None:
        with pytest.raises(kinform.OptionError), api:
            pytest.fail("entered")

    await asyncio.to_thread(program)
    assert loops() == []


async def test_a_second_start_raises(server):
    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            with pytest.raises(kinform.KinformError, match=f"^{server.url}: is started already"):
                api.__enter__()
            with kinform.sync.Informer(api, PODS) as pods:
                with pytest.raises(kinform.KinformError, match=r"^v1/pods: is started already"):
                    pods.__enter__()
        with pytest.raises(kinform.OptionError, match="a connection that has not been entered before"):
            api.__enter__()

    await asyncio.to_thread(program)


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_before_the_start_raises(server, call):
    pods = kinform.sync.Informer(kinform.sync.connect(server.url), PODS)
    with pytest.raises(kinform.KinformError, match="v1/pods: not started: enter its `with` block first"):
        await asyncio.to_thread(CALLS[call], pods)


@pytest.mark.parametrize("call", [*CALLS, *LISTENERS])
async def test_a_call_after_the_end_raises(server, call):
    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            with kinform.sync.Informer(api, PODS) as pods:
                pods.synced(timeout=10)
            with pytest.raises(kinform.KinformError, match="v1/pods: its `with` block has ended"):
                (CALLS | LISTENERS)[call](pods)
            pods.__exit__(None, None, None)
            assert pods.state == "stopped"
            assert pods.stats().state == "stopped"

    await asyncio.to_thread(program)


async def test_a_start_after_the_end_of_its_connection_says_so(server):
    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            pods = kinform.sync.Informer(api, PODS)
            with pods:
                pods.synced(timeout=10)
        with pytest.raises(kinform.OptionError, match="closed> is not allowed; expected a connection inside its block"):
            pods.__enter__()

    await asyncio.to_thread(program)


async def test_a_call_that_waits_raises_at_the_end_of_the_block(server):
    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            with kinform.sync.Informer(api, PODS) as pods:
                pods.synced(timeout=10)
                calls = [InThread(lambda: pods.wait_for("99999999")), InThread(pods.failed)]
                time.sleep(0.1)
                assert all(call.runs for call in calls)
            for call in calls:
                with pytest.raises(kinform.KinformError, match="v1/pods: the informer is not running"):
                    call.result()

    await asyncio.to_thread(program)


@pytest.mark.parametrize("call", [*CALLS, *LISTENERS])
async def test_a_call_in_a_running_event_loop_raises(server, call):
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    informers: list[kinform.sync.Informer] = []
    started, go_on = threading.Event(), threading.Event()

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:
            pods.synced(timeout=10)
            informers.append(pods)
            started.set()
            loop.call_soon_threadsafe(done.set)
            go_on.wait(20)

    running = InThread(program)
    await done.wait()
    with pytest.raises(kinform.KinformError, match=r"v1/pods: called in a running event loop.*use `kinform` instead"):
        (CALLS | LISTENERS)[call](informers[0])
    assert informers[0].state == "live"
    assert len(informers[0].store) == 0
    assert informers[0].health().ok
    go_on.set()
    await asyncio.to_thread(running.result)


async def test_a_block_cannot_start_in_a_running_event_loop(server):
    api = kinform.sync.connect(server.url)
    with pytest.raises(kinform.KinformError, match="called in a running event loop"), api:
        pytest.fail("entered")
    assert loops() == []


async def test_a_call_from_the_loop_of_kinform_raises(server):
    server.generate(PODS, 1)
    errors: list[str] = []

    def program() -> None:
        def transform(raw: bytes) -> bytes:
            for call in (*CALLS.values(), *LISTENERS.values(), lambda pods: pods.__exit__(None, None, None)):
                with pytest.raises(kinform.KinformError) as caught:
                    call(pods)
                errors.append(str(caught.value))
            return raw

        with kinform.sync.connect(server.url) as api:
            pods = kinform.sync.Informer(api, PODS, transform=transform)
            with pods:
                pods.synced(timeout=10)

    await asyncio.to_thread(program)
    assert len(errors) == len(CALLS) + len(LISTENERS) + 1
    assert all("v1/pods: called from the event loop of kinform.sync" in error for error in errors)


async def test_a_function_that_exits_ends_the_loop_and_no_call_hangs(server, caplog):
    server.generate(PODS, 1)

    def program() -> None:
        def leave(raw: bytes) -> bytes:
            raise SystemExit

        with (
            kinform.sync.connect(server.url) as api,
            kinform.sync.Informer(api, PODS, transform=leave, options=quick()) as pods,
        ):
            with pytest.raises(kinform.KinformError):
                pods.synced(timeout=10)
            until(lambda: not loops())
            assert pods.changes  # the block still ends

    await asyncio.to_thread(program)
    assert "the event loop of kinform.sync has ended: SystemExit" in caplog.text


async def test_only_what_threads_can_use_is_an_api(server):
    async with kinform.connect(server.url) as api:
        for wrong in (api, 42, kinform.sync.Connection, kinform.Connection):
            with pytest.raises(kinform.OptionError, match=r"api: .*a connection from kinform\.sync\.connect"):
                kinform.sync.Informer(wrong, PODS)
            with pytest.raises(kinform.OptionError, match=r"api: .*a connection from kinform\.sync\.connect"):
                kinform.sync.watcher(wrong, PODS)
    with pytest.raises(kinform.OptionError, match="api: "):
        kinform.Informer(kinform.sync.connect(server.url), PODS)


async def test_a_transport_runs_in_the_loop_of_kinform(server):
    threads = set()
    server.generate(PODS, 2)

    class Wrapped:
        def __init__(self, connection: kinform.Connection) -> None:
            self._connection = connection

        @property
        def identity(self) -> object:
            return self

        async def open(self, request: kinform.Request) -> kinform.Response:
            threads.add(threading.current_thread().name)
            if not self._connection._binding.bound:
                await self._connection.__aenter__()
            return await self._connection.open(request)

        async def refresh_credentials(self) -> bool:
            return False

    def program() -> None:
        with kinform.sync.Informer(Wrapped(kinform.connect(server.url)), PODS) as pods:
            pods.synced(timeout=10)
            assert len(pods.store) == 2

    await asyncio.to_thread(program)
    assert threads == {"kinform event loop"}


async def test_an_informer_is_freed_without_the_garbage_collector(server):
    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            pods = kinform.sync.Informer(api, PODS)
            pods.on_add(print)
            with pods:
                pods.synced(timeout=10)
                for _ in pods.changes():
                    break
            freed = weakref.ref(pods), weakref.ref(pods._informer)
            del pods, _
            assert [found() for found in freed] == [None, None]

    gc.disable()
    try:
        await asyncio.to_thread(program)
    finally:
        gc.enable()


async def test_many_blocks_leave_no_object(server):
    def program() -> None:
        def follow() -> None:
            with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:
                pods.synced(timeout=10)
                pods.changes().close()

        for _ in range(3):
            follow()
        gc.collect()
        kinds = (kinform.sync.Informer, kinform.sync.Connection, kinform.Informer, asyncio.Task)
        before = sum(isinstance(found, kinds) for found in gc.get_objects())
        for _ in range(10):
            follow()
        gc.collect()
        after = sum(isinstance(found, kinds) for found in gc.get_objects())
        assert after <= before + 2  # tasks of the server

    await asyncio.to_thread(program)


async def test_a_connection_has_a_namespace_only_in_its_block(server):
    def program() -> None:
        api = kinform.sync.connect(server.url)
        with pytest.raises(kinform.OptionError, match="a connection inside its"):
            _ = api.namespace
        with api:
            assert api.namespace == "default"

    await asyncio.to_thread(program)


async def test_an_informer_can_be_entered_after_a_failed_start(server):
    server.generate(PODS, 2)
    added: list[str] = []

    def program() -> None:
        api = kinform.sync.connect(server.url)
        pods = kinform.sync.Informer(api, PODS)
        pods.on_change(added.append)
        for _ in range(2):
            with pytest.raises(kinform.OptionError, match="a connection inside its block"):
                pods.__enter__()
        with api, pods:
            pods.synced(timeout=10)
            assert len(pods.store) == 2
            until(lambda: len(added) == 2)

    await asyncio.to_thread(program)


async def test_a_left_informer_can_be_entered_in_a_later_loop():
    pods = kinform.sync.Informer(BadTransport(healthy), PODS)
    added: list[dict[str, Any]] = []
    pods.on_add(added.append)

    def program() -> None:
        for times in range(1, 4):
            assert loops() == []
            with pods:
                waiting = InThread(pods.failed)
                pods.synced(timeout=10)
                events = pods.changes()
                while not isinstance(events.next(timeout=10), kinform.Synced):
                    pass
                until(lambda times=times: len(added) == times)
                assert len(pods.store) == 1
            with pytest.raises(kinform.KinformError, match="not running"):
                waiting.result()
            assert events.next(timeout=10) is None

    await asyncio.to_thread(program)


async def test_a_loop_that_dies_during_a_start_is_a_clear_error():
    started = threading.Event()

    class Slow:
        async def __aenter__(self) -> None:
            started.set()
            await asyncio.Event().wait()

        async def __aexit__(self, *_: object) -> None: ...

    def leave() -> None:
        raise SystemExit

    def program() -> None:
        waiting = Lifetime("slow", Slow())
        entering = InThread(waiting.enter)
        started.wait(20)
        waiting.post(leave)
        with pytest.raises(kinform.KinformError, match=r"^slow: its `with` block has ended during this call"):
            entering.result()

    await asyncio.to_thread(program)
