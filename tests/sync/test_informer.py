"""The informer of kinform.sync, on the simulator and on a real API server."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time

import msgspec
import pytest

import kinform
import kinform.sync
from kinform.testing import Forbidden
from tests.net.informers import in_sync, quick
from tests.support import waiting
from tests.sync.conftest import InThread
from tests.sync.programs import until

PODS = "v1/pods"


class Metadata(msgspec.Struct):
    name: str
    namespace: str = ""
    resourceVersion: str = ""


class Config(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] = {}


def version(pod) -> str:
    return pod["metadata"]["resourceVersion"]


async def test_a_program_follows_a_collection_in_a_thread(cluster):
    await cluster.create("a", data={"k": "1"})
    scope = kinform.Scope(namespaces=[cluster.namespace])
    events: list[tuple[str, str]] = []

    def program() -> None:
        with (
            kinform.sync.connect(cluster.url, **cluster.connect_options) as api,
            kinform.sync.Informer(api, cluster.resource, scope=scope, type=Config) as configs,
        ):
            configs.synced(timeout=20)
            key = f"{cluster.namespace}/a"
            assert configs.store[key].data == {"k": "1"}
            for change in configs.changes():
                events.append((type(change).__name__, change.key))
                if isinstance(change, kinform.Deleted):
                    assert configs.store.get(key) is None
                    return

    running = InThread(program)
    await waiting.until(lambda: any(name == "Synced" for name, _ in events) or not running.runs)
    replaced = await cluster.replace("a", data={"k": "2"})
    assert replaced["data"] == {"k": "2"}
    await cluster.delete("a")
    await asyncio.to_thread(running.result)
    mine = [name for name, key in events if key.endswith("/a")]
    assert mine == ["Added", "Updated", "Deleted"]
    assert [name for name, _ in events].count("Synced") == 1


async def test_an_own_write_is_read_after_wait_for(cluster):
    scope = kinform.Scope(namespaces=[cluster.namespace])
    started, written = threading.Event(), threading.Event()
    made = {}

    def program() -> dict[str, str]:
        with (
            kinform.sync.connect(cluster.url, **cluster.connect_options) as api,
            kinform.sync.Informer(api, cluster.resource, scope=scope, type=Config) as configs,
        ):
            configs.synced(timeout=20)
            started.set()
            written.wait(20)
            configs.wait_for(made["metadata"]["resourceVersion"], timeout=20)
            return configs.store[f"{cluster.namespace}/mine"].data

    running = InThread(program)
    assert await asyncio.to_thread(started.wait, 20)
    made = await cluster.create("mine", data={"k": "v"})
    written.set()
    assert await asyncio.to_thread(running.result) == {"k": "v"}


async def test_waits_have_the_errors_of_the_async_face(server):
    server.fault(Forbidden(), on="list", times=100)
    server.fault(Forbidden(), on="watch", times=100)

    def program() -> None:
        with (
            kinform.sync.connect(server.url) as api,
            kinform.sync.Informer(api, PODS, options=quick()) as pods,
        ):
            with pytest.raises(kinform.ForbiddenError, match="v1/pods"):
                pods.synced(timeout=10)
            with pytest.raises(kinform.OptionError, match=r"resource_version: 'one' is .* a string of digits"):
                pods.wait_for("one")
            with pytest.raises(TimeoutError, match=r"v1/pods: no failure after 0.05 s"):
                pods.failed(timeout=0.05)
            assert pods.state == "forbidden"
            assert not pods.health().ok

    await asyncio.to_thread(program)


async def test_namespaces_are_added_and_removed(server):
    server.generate(PODS, 2, namespace="shop")
    server.generate(PODS, 3, namespace="till")
    scope = kinform.Scope(namespaces=["shop"])

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS, scope=scope) as pods:
            pods.synced(timeout=10)
            pods.add_namespace("till", timeout=10)
            assert len(pods.store) == 5
            pods.remove_namespace("shop")
            assert len(pods.store) == 3
            assert pods.stats().streams.keys() == {"till"}
            assert pods.name == "v1/pods in shop"

    await asyncio.to_thread(program)


async def test_a_failed_informer_raises_at_the_end_of_the_block(server):
    server.generate(PODS, 50)

    def program() -> kinform.MemoryLimitError:
        entered = False
        try:
            with (
                kinform.sync.connect(server.url) as api,
                kinform.sync.Informer(api, PODS, memory_limit=1) as pods,
            ):
                entered = True
                found = pods.failed(timeout=10)
                assert isinstance(found, kinform.MemoryLimitError)
                with pytest.raises(kinform.MemoryLimitError):
                    list(pods.changes())
        except kinform.MemoryLimitError as error:
            assert entered
            return error
        pytest.fail("the end of the block raised nothing")

    assert (await asyncio.to_thread(program)).limit_bytes == 1


async def test_an_error_of_the_block_passes_unchanged(server):
    server.generate(PODS, 50)

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS, memory_limit=1) as pods:
            pods.failed(timeout=10)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await asyncio.to_thread(program)


async def test_the_snapshot_is_written_at_the_end_of_the_block(server, tmp_path):
    server.generate(PODS, 5)
    snapshot = tmp_path / "pods.kinform"

    def program() -> None:
        with (
            kinform.sync.connect(server.url) as api,
            kinform.sync.Informer(api, PODS, snapshot=snapshot) as pods,
        ):
            pods.synced(timeout=10)

    await asyncio.to_thread(program)
    assert snapshot.exists()


# Handlers


async def test_handlers_get_changes_in_order_in_one_thread(server, on_server):
    received: list[tuple[str, ...]] = []
    threads = set()
    (key,) = server.generate(PODS, 1)

    def note(*what: str) -> None:
        received.append(what)
        threads.add(threading.current_thread().name)

    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            pods = kinform.sync.Informer(api, PODS)

            @pods.on_add
            def added(pod):
                note("added", version(pod))

            pods.on_update(lambda old, new: note("updated", version(old), version(new)))
            pods.on_delete(lambda pod: note("deleted", version(pod)))
            pods.on_change(lambda key: note("changed", key))
            added({"metadata": {"resourceVersion": "called as usual"}})
            received.clear()
            threads.clear()
            with pods:
                pods.synced(timeout=10)
                until(lambda: len(received) == 2)
                on_server(server.touch, PODS, key)
                until(lambda: len(received) == 4)
                on_server(server.delete, PODS, key)
                until(lambda: len(received) == 6)

    await asyncio.to_thread(program)
    objects = [what for what in received if what[0] != "changed"]
    assert [what[0] for what in objects] == ["added", "updated", "deleted"]
    assert objects[0][1] == objects[1][1]
    assert int(objects[1][1]) < int(objects[1][2]) < int(objects[2][1])
    assert [what for what in received if what[0] == "changed"] == [("changed", key)] * 3
    assert threads == {"kinform handlers of v1/pods"}


async def test_a_handler_that_blocks_stops_no_other_reader(server, on_server):
    server.generate(PODS, 1)
    blocked, go_on = threading.Event(), threading.Event()
    calls: list[str] = []

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:

            @pods.on_add
            def block(pod):
                calls.append(version(pod))
                blocked.set()
                assert go_on.wait(20)

            assert blocked.wait(10)
            changes = pods.changes()
            on_server(server.generate, PODS, 5)
            names = [type(changes.next(timeout=10)).__name__ for _ in range(7)]
            assert names.count("Added") == 6
            assert len(calls) == 1
            assert pods.stats().queue_depth == 5
            go_on.set()
            until(lambda: len(calls) == 6)

    try:
        await asyncio.to_thread(program)
    finally:
        go_on.set()


async def test_a_handler_may_call_methods_that_block(server):
    server.generate(PODS, 1)
    seen: list[str] = []

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:

            @pods.on_add
            def added(pod):
                pods.synced(timeout=10)
                pods.wait_for(version(pod), timeout=10)
                changes = pods.changes()
                seen.extend(type(changes.next(timeout=10)).__name__ for _ in range(2))
                pods.on_delete(print)

            until(lambda: len(seen) == 2)
            assert pods.stats().handler_errors == 0

    await asyncio.to_thread(program)
    assert seen == ["Added", "Synced"]


@pytest.mark.parametrize("error", [LookupError("secret"), SystemExit(1), KeyboardInterrupt()])
async def test_a_handler_that_raises_stops_nothing(server, error, caplog):
    server.generate(PODS, 3)
    calls: list[str] = []

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:

            @pods.on_add
            def raise_at_each_object(pod):
                calls.append(version(pod))
                raise error

            until(lambda: pods.stats().handler_errors == 3)
            assert pods.state == "live"

    await asyncio.to_thread(program)
    assert len(calls) == 3
    (record,) = [found for found in caplog.records if found.levelno == logging.ERROR]
    assert f"raise_at_each_object raised {type(error).__name__} at test_informer.py:" in record.getMessage()
    assert "secret" not in caplog.text


async def test_the_end_of_the_block_waits_for_the_running_handler(server):
    server.generate(PODS, 3)
    started = threading.Event()
    ended: list[str] = []

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:

            @pods.on_add
            def slow(pod):
                started.set()
                time.sleep(0.3)
                ended.append(version(pod))

            assert started.wait(10)
        assert len(ended) == 1

    await asyncio.to_thread(program)
    assert len(ended) == 1


async def test_a_handler_that_waits_sees_the_end_of_the_block(server):
    server.generate(PODS, 1)
    started = threading.Event()
    ends: list[object] = []

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:

            @pods.on_add
            def wait(pod):
                started.set()
                try:
                    pods.wait_for("99999999")
                except kinform.KinformError as error:
                    ends.append(error)

            @pods.on_add
            def never(pod):
                ends.append(pod)

            assert started.wait(10)

    await asyncio.to_thread(program)
    assert [type(end) for end in ends] == [kinform.KinformError]
    assert "not running" in str(ends[0])


async def test_a_handler_cannot_end_the_block(server):
    server.generate(PODS, 1)
    errors: list[str] = []

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:

            @pods.on_add
            def leave(pod):
                with pytest.raises(kinform.KinformError) as caught:
                    pods.__exit__(None, None, None)
                errors.append(str(caught.value))

            until(lambda: errors)

    await asyncio.to_thread(program)
    assert errors == ["v1/pods: a handler cannot end the block: the end waits for the handler"]


async def test_a_coroutine_function_is_no_handler(server):
    pods = kinform.sync.Informer(kinform.sync.connect(server.url), PODS)

    async def handler(*arguments: object) -> None: ...

    for add in (pods.on_add, pods.on_update, pods.on_delete, pods.on_change):
        with pytest.raises(kinform.OptionError, match=r"handler: .* use kinform\.Informer"):
            add(handler)
        with pytest.raises(kinform.OptionError, match="handler: 42 is not allowed"):
            add(42)


async def test_a_thread_of_handlers_holds_no_object_between_calls(server, on_server):
    server.generate(PODS, 1)

    class Held(msgspec.Struct, weakref=True):
        metadata: dict[str, object]

    calls: list[str] = []

    def program() -> None:
        with (
            kinform.sync.connect(server.url) as api,
            kinform.sync.Informer(api, PODS, type=Held) as pods,
        ):
            pods.on_add(lambda pod: calls.append("added"))
            until(lambda: calls)
            until(lambda: not [found for found in gc.get_objects() if isinstance(found, Held)])

    await asyncio.to_thread(program)


# Reads


async def test_reads_do_not_wait_for_the_event_loop(server):
    server.generate(PODS, 5)
    holds, go_on = threading.Event(), threading.Event()

    def hold(raw: bytes) -> bytes:
        if holds.is_set():
            go_on.wait(20)
        return raw

    def program() -> None:
        with (
            kinform.sync.connect(server.url) as api,
            kinform.sync.Informer(api, PODS, transform=hold) as pods,
        ):
            pods.synced(timeout=10)
            holds.set()
            asyncio.run_coroutine_threadsafe(touch(), loop).result(10)
            time.sleep(0.3)  # the loop is in the transform now
            assert len(list(pods.store.values())) == 5
            assert pods.stats().objects == 5
            assert pods.health(max_age=60).ok
            assert repr(pods) == "<kinform.sync.Informer of v1/pods: live, 5 objects>"
            go_on.set()
            until(lambda: in_sync(pods.store, server, PODS))

    async def touch() -> None:
        server.touch(PODS, next(iter(server.versions(PODS))))

    loop = asyncio.get_running_loop()
    try:
        await asyncio.to_thread(program)
    finally:
        go_on.set()


async def test_a_lazy_informer_runs_while_threads_use_it(server):
    server.generate(PODS, 5)

    def program() -> None:
        with (
            kinform.sync.connect(server.url) as api,
            kinform.sync.Informer(
                api, PODS, options=quick(), start="lazy", idle_timeout=0.1, resync_period=0.01
            ) as pods,
        ):
            for _ in range(2):
                with pytest.raises(kinform.KinformError, match="the informer is idle"):
                    len(pods.store)
                pods.synced(timeout=10)
                assert len(pods.store) == 5
                until(lambda: pods.state == "idle")
            resynced = [change.old is change.object for change in first_updates(pods, 7)]
            assert resynced == [True] * 7
            assert len(pods.store) == 5

    await asyncio.to_thread(program)


def first_updates(pods: kinform.sync.Informer, n: int) -> list[kinform.Updated]:
    found: list[kinform.Updated] = []
    for change in pods.changes():
        if isinstance(change, kinform.Updated):
            found.append(change)
        if len(found) == n:
            break
    return found
