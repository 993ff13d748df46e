"""Listeners: handlers, and readers of `changes()`."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

import kinform
from kinform.testing import Forbidden, InternalError
from tests.net.informers import fails, in_sync, quick
from tests.support.waiting import until

PODS = "v1/pods"


class Metadata(msgspec.Struct):
    name: str


class Config(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] = {}


class Spec(msgspec.Struct):
    nodeName: str


class Pod(msgspec.Struct):
    spec: Spec


def name(pod) -> str:
    return pod["metadata"]["name"]


def version(pod) -> str:
    return pod["metadata"]["resourceVersion"]


async def test_sync_and_async_handlers_get_add_update_and_delete(server, pods):
    received = []

    @pods.on_add
    async def added(pod):
        await asyncio.sleep(0)
        received.append(("added", version(pod)))

    @pods.on_update
    def updated(old, new):
        received.append(("updated", version(old), version(new)))

    @pods.on_delete
    def deleted(pod):
        received.append(("deleted", version(pod)))

    (key,) = server.generate(PODS, 1)
    first = server.versions(PODS)[key][1]
    async with pods:
        await pods.synced(timeout=10)
        second = server.touch(PODS, key)
        third = server.touch(PODS, key)
        fourth = server.delete(PODS, key)
        await until(lambda: len(received) == 4)
    assert received == [("added", first), ("updated", first, second), ("updated", second, third), ("deleted", fourth)]


async def test_an_exception_is_logged_once_and_stops_nothing(server, pods, caplog):
    received = []

    @pods.on_add
    def broken(pod):
        raise RuntimeError("boom")

    @pods.on_add
    async def broken_too(pod):
        raise RuntimeError("bang")

    pods.on_add(lambda pod: received.append(name(pod)))
    keys = server.generate(PODS, 2)
    async with pods:
        await until(lambda: len(received) == 2)
        server.touch(PODS, keys[0])
        await until(lambda: in_sync(pods.store, server, PODS))
    assert pods.stats().handler_errors == 4
    errors = [record.getMessage().rpartition(" for ") for record in caplog.records if record.levelname == "ERROR"]
    raised = [what.rpartition(".<locals>.")[2].rpartition(" at ")[0] for what, _, _ in errors]
    assert raised == ["broken raised RuntimeError", "broken_too raised RuntimeError"]
    assert [what.rpartition(".")[2] for what, _, _ in errors] == [
        f"py:{broken.__code__.co_firstlineno + 2}",
        f"py:{broken_too.__code__.co_firstlineno + 2}",
    ]
    assert {key for _, _, key in errors} < set(keys)


async def test_a_late_handler_gets_the_present_then_later_changes(server, pods):
    keys = server.generate(PODS, 5)
    early, late = [], []
    async with pods:
        pods.on_add(lambda pod: early.append(name(pod)))
        await pods.synced(timeout=10)
        server.delete(PODS, keys[0])
        await until(lambda: len(pods.store) == 4)
        pods.on_add(lambda pod: late.append(name(pod)))
        server.put(PODS, {"metadata": {"name": "new", "namespace": "shop"}})
        await until(lambda: "new" in late and "new" in early)
    assert sorted(late) == sorted([key.split("/")[1] for key in keys[1:]] + ["new"])
    assert sorted(early) == sorted([key.split("/")[1] for key in keys] + ["new"])


async def test_a_handler_added_while_events_wait_gets_each_once(server, pods):
    server.generate(PODS, 5)
    gate = asyncio.Event()
    late = []

    @pods.on_add
    async def slow(pod):
        await gate.wait()

    async with pods:
        await pods.synced(timeout=10)
        key = server.keys(PODS)[0]
        server.touch(PODS, key)
        await until(lambda: in_sync(pods.store, server, PODS))
        assert pods.stats().queue_depth == 5
        pods.on_add(lambda pod: late.append(("added", name(pod))))
        pods.on_update(lambda old, new: late.append(("updated", name(new))))
        pods.on_delete(lambda pod: late.append(("deleted", name(pod))))
        gate.set()
        server.delete(PODS, key)
        await until(lambda: ("deleted", key.split("/")[1]) in late)
    assert [kind for kind, _ in late] == ["added"] * 5 + ["deleted"]


@pytest.mark.parametrize("bound", [1, 1024])
@pytest.mark.parametrize("change", ["update", "delete"])
async def test_a_handler_added_while_a_full_queue_waits_starts_clean(server, bound, change):
    (key,) = server.generate(PODS, 1)
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, PODS, options=quick(), queue_bound=bound) as pods,
    ):
        busy, gate, late = asyncio.Event(), asyncio.Event(), []

        @pods.on_update
        async def slow(old, new):
            busy.set()
            await gate.wait()

        await pods.synced(timeout=10)
        server.touch(PODS, key)
        await busy.wait()
        (other,) = server.generate(PODS, 1)
        await until(lambda: other in pods.store)
        pods.on_add(lambda pod: late.append(("added", version(pod))))
        pods.on_update(lambda old, new: late.append(("updated", version(new))))
        pods.on_delete(lambda pod: late.append(("deleted", version(pod))))
        present = [("added", pods.store.meta(each).resource_version) for each in (key, other)]
        changed = server.touch(PODS, other) if change == "update" else server.delete(PODS, other)
        await until(lambda: in_sync(pods.store, server, PODS))
        gate.set()
        await until(lambda: len(late) == 3)
    assert sorted(late[:2], key=str) == sorted(present, key=str)
    assert late[2] == (f"{change}d", changed)


async def test_a_slow_handlers_queue_is_bounded_and_keeps_the_newest(server):
    keys = server.generate(PODS, 3)
    gate = asyncio.Event()
    newest = {}
    async with kinform.connect(server.url) as api:
        pods = kinform.Informer(api, PODS, options=quick(), queue_bound=4)

        @pods.on_update
        async def slow(old, new):
            await gate.wait()
            newest[name(new)] = version(new)

        async with pods:
            await pods.synced(timeout=10)
            server.storm(PODS, 300)
            await until(lambda: in_sync(pods.store, server, PODS))
            assert 3 <= pods.stats().queue_depth <= 4 + 3
            gate.set()
            await until(lambda: pods.stats().queue_depth == 0)
            held = server.versions(PODS)
            await until(lambda: newest == {key.split("/")[1]: held[key][1] for key in keys})


async def test_changes_give_the_present_synced_once_then_later_events(server, pods):
    keys = server.generate(PODS, 3)
    async with pods:
        early = pods.changes()
        await pods.synced(timeout=10)
        late = pods.changes()
        server.touch(PODS, keys[0])
        server.delete(PODS, keys[1])
        for changes in (early, late):
            received = [await anext(changes) for _ in range(6)]
            kinds = [type(change) for change in received]
            assert kinds == [kinform.Added] * 3 + [kinform.Synced, kinform.Updated, kinform.Deleted]
            assert {change.key for change in received[:3]} == set(keys)
            assert version(received[4].old) < version(received[4].object)
            assert (received[5].key, received[5].synthetic) == (keys[1], False)


async def test_changes_start_with_the_state_of_the_call(server, pods):
    keys = server.generate(PODS, 3)
    async with pods:
        await pods.synced(timeout=10)
        changes = pods.changes()
        server.delete(PODS, keys[0])
        await until(lambda: len(pods.store) == 2)
        received = [await anext(changes) for _ in range(5)]
    assert [type(change) for change in received] == [kinform.Added] * 3 + [kinform.Synced, kinform.Deleted]


async def test_changes_end_when_the_informer_stops(server, pods):
    server.generate(PODS, 2)
    async with pods:
        await pods.synced(timeout=10)
        changes = pods.changes()
    present = [kinform.Added, kinform.Added, kinform.Synced]
    assert [type(change) async for change in changes] == present
    assert [type(change) async for change in pods.changes()] == present


async def test_an_abandoned_changes_reader_costs_nothing(server, pods):
    server.generate(PODS, 2)
    async with pods:
        await pods.synced(timeout=10)
        changes = pods.changes()
        assert len(pods.stats().changes_depth) == 1
        del changes
        assert pods.stats().changes_depth == []


async def test_an_undecodable_object_is_skipped_counted_and_logged(server, caplog):
    server.put("v1/configmaps", {"metadata": {"name": "bad", "namespace": "shop"}, "data": {"password": 5}})
    server.put("v1/configmaps", {"metadata": {"name": "good", "namespace": "shop"}, "data": {"password": "x"}})
    received = []
    async with kinform.connect(server.url) as api:
        informer = kinform.Informer(api, "v1/configmaps", type=Config, options=quick())
        informer.on_add(lambda found: received.append(found.metadata.name))
        async with informer:
            await informer.synced(timeout=10)
            await until(lambda: received and informer.stats().undecodable == 1)
            assert received == ["good"]
            assert informer.store.raw("shop/bad") is not None
            with pytest.raises(kinform.DecodeError, match="shop/bad"):
                informer.store.get("shop/bad")
            assert [key for key, _ in informer.store.items(on_undecodable="skip")] == ["shop/good"]
            assert (informer.stats().undecodable, informer.stats().undecodable_reads) == (1, 1)
    assert "shop/bad" in caplog.text


async def test_leaving_the_block_leaves_no_task_and_no_connection(server):
    before = asyncio.all_tasks()
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            pods.on_add(lambda pod: None)
            await pods.synced(timeout=10)
            await server.wait_for_watchers(1)
        assert pods.state == "stopped"
        await server.wait_for_watchers(0)
        with pytest.raises(kinform.KinformError, match="not running"):
            await pods.synced(timeout=1)
    await until(lambda: asyncio.all_tasks() <= before)


@pytest.mark.parametrize("after", [0.0, 0.001, 0.003, 0.01, 0.03, 0.1])
async def test_cancelling_at_any_time_leaves_nothing_behind(server, after):
    server.generate(PODS, 300)
    before = asyncio.all_tasks()

    async def use() -> None:
        async with kinform.connect(server.url) as api:
            writer, store = kinform.store()
            async for _ in kinform.reflector(writer, kinform.watcher(api, PODS, options=quick())):
                sizes.add(len(store))

    sizes: set[int] = set()
    task = asyncio.create_task(use())
    await asyncio.sleep(after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sizes <= {0, 300}
    await until(lambda: asyncio.all_tasks() <= before)
    await server.wait_for_watchers(0)


async def test_namespaces_are_added_and_removed(server):
    server.generate(PODS, 4, namespace=["shop", "till"])
    deleted = []
    async with kinform.connect(server.url) as api:
        scope = kinform.Scope(namespaces=["shop"])
        async with kinform.Informer(api, PODS, scope=scope, options=quick()) as pods:
            pods.on_delete(lambda pod: deleted.append(name(pod)))
            await pods.synced(timeout=10)
            await pods.add_namespace("till")
            assert in_sync(pods.store, server, PODS)
            await pods.remove_namespace("shop")
            assert set(pods.store.keys()) == set(server.keys(PODS, namespace="till"))
            await until(lambda: len(deleted) == 2)
            with pytest.raises(kinform.OptionError, match="till"):
                await pods.remove_namespace("shop")
            with pytest.raises(kinform.OptionError):
                await pods.add_namespace("No")
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            with pytest.raises(kinform.OptionError, match="this informer follows all"):
                await pods.add_namespace("shop")


async def test_wait_for_returns_once_the_store_has_seen_a_write(server, pods):
    async with pods:
        await pods.synced(timeout=10)
        written = server.put(PODS, {"metadata": {"name": "new", "namespace": "shop"}})
        await pods.wait_for(written, timeout=10)
        assert "shop/new" in pods.store
        with pytest.raises(TimeoutError, match="v1/pods: live"):
            await pods.wait_for("999999999", timeout=0.05)
        with pytest.raises(kinform.OptionError, match=r"resource_version: 'abc' is .* a string of digits"):
            await pods.wait_for("abc")


async def test_stats_give_state_and_ages(server, pods):
    server.generate(PODS, 3)
    assert pods.state == "starting"
    async with pods:
        await pods.synced(timeout=10)
        server.bookmark()
        await until(lambda: pods.stats().streams[""].seconds_since_bookmark is not None)
        stats = pods.stats()
        assert (stats.state, stats.objects) == ("live", 3)
        assert stats.memory.pruned_bytes == sum(len(pods.store.raw(key)) for key in pods.store)
        assert stats.wire_bytes > stats.memory.pruned_bytes
        stream = stats.streams[""]
        assert 0 <= stream.seconds_since_byte <= stream.seconds_since_sync
        assert stream.resource_version == pods.stats().streams[""].resource_version
        server.fault(Forbidden(), times=None)
        server.disconnect()
        await until(lambda: pods.stats().state == "forbidden")
    assert pods.stats().state == "stopped"


async def test_selectors_scope_the_objects(server):
    for app, node in (("web", "n1"), ("web", "n2"), ("db", "n1")):
        metadata = {"name": f"{app}-{node}", "namespace": "shop", "labels": {"app": app}}
        server.put(PODS, {"metadata": metadata, "spec": {"nodeName": node}})
    scope = kinform.Scope(label_selector="app=web", field_selector="spec.nodeName=n1")
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, scope=scope, options=quick()) as pods:
            await pods.synced(timeout=10)
            assert list(pods.store.keys()) == ["shop/web-n1"]
            server.put(PODS, {"metadata": {"name": "web-n1", "namespace": "shop"}, "spec": {"nodeName": "n1"}})
            await until(lambda: len(pods.store) == 0)


async def test_a_wrong_argument_is_refused_at_construction(server):
    async with kinform.connect(server.url) as api:
        for arguments, field in (
            ({"resource": "pods"}, "resource"),
            ({"scope": "shop"}, "scope"),
            ({"prune": ["a"]}, "prune"),
            ({"options": {}}, "options"),
            ({"queue_bound": 0}, "queue_bound"),
            ({"transform": "upper"}, "transform"),
            ({"indexes": ["a"]}, "indexes"),
            ({"indexes": {"node": "spec..x"}}, "indexes"),
            ({"indexes": {"fields": "metadata.managedFields"}}, "indexes"),
            ({"prune": kinform.Prune(drop=["spec.nodeName"]), "type": Pod}, "type"),
            ({"scope": kinform.Scope(metadata_only=True), "type": Pod}, "type"),
            ({"scope": kinform.Scope(metadata_only=True), "indexes": {"node": "spec.nodeName"}}, "indexes"),
            ({"prune": kinform.Prune(keep=["metadata.labels"]), "type": Pod}, "type"),
        ):
            with pytest.raises(kinform.OptionError) as caught:
                kinform.Informer(api, **{"resource": PODS, **arguments})
            assert caught.value.field.startswith(field), arguments
        kinform.Informer(api, PODS, prune=kinform.Prune(keep=["spec.nodeName"]), type=Pod)
        with pytest.raises(kinform.OptionError, match="api"):
            kinform.Informer("https://example.com", PODS)
        with pytest.raises(kinform.OptionError, match="one namespace"):
            kinform.watcher(api, PODS, scope=kinform.Scope(namespaces=["a", "b"]))


async def test_an_unknown_namespace_is_refused_with_a_bounded_list(server):
    scope = kinform.Scope(namespaces=[f"team-{number}" for number in range(7)])
    written = {"metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"}}
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS, scope=scope) as pods:
        with pytest.raises(kinform.OptionError, match=r"'shop' .* team-4 and 2 more$"):
            await pods.remove_namespace("shop")
        with pytest.raises(kinform.OptionError, match=r"'shop' .* team-4 and 2 more$"):
            pods.expect(written)


async def test_removing_a_namespace_ends_a_waiting_add_with_an_error(server):
    server.fault(Forbidden(), times=None, namespace="till")
    async with kinform.connect(server.url) as api:
        scope = kinform.Scope(namespaces=["shop"])
        async with kinform.Informer(api, PODS, scope=scope, options=quick()) as pods:
            await pods.synced(timeout=10)
            adding = asyncio.create_task(pods.add_namespace("till", wait=True))
            await until(lambda: "till" in pods.stats().streams)
            await pods.remove_namespace("till")
            with pytest.raises(kinform.KinformError, match="v1/pods in till: the namespace was removed again"):
                await adding


async def test_a_cancelled_await_in_a_handler_stops_nothing(server, pods, caplog):
    received = []

    @pods.on_add
    async def added(pod):
        if not received:
            received.append("cancelled")
            broken = asyncio.get_running_loop().create_future()
            broken.cancel()
            await broken
        received.append(name(pod))

    keys = server.generate(PODS, 3)
    async with pods:
        await until(lambda: len(received) == 3)
    place = f"test_handlers.py:{added.__code__.co_firstlineno + 6}"
    assert f"raised CancelledError at {place} for " in caplog.text
    assert set(received[1:]) < {key.split("/")[1] for key in keys}


async def test_a_failure_is_reported_once_for_any_number_of_pages(server):
    server.generate(PODS, 10)
    server.fault(InternalError(), on="list")
    errors = []
    async with kinform.connect(server.url) as api:
        options = quick(initial="list", page_size=1, on_error=errors.append)
        async with kinform.Informer(api, PODS, options=options) as pods:
            await pods.synced(timeout=10)
            assert len(pods.store) == 10
    assert len(errors) == 1


async def test_a_memory_limit_stops_the_informer_and_names_the_sizes(server):
    server.generate(PODS, 300)
    async with kinform.connect(server.url) as api:
        informer = kinform.Informer(api, PODS, memory_limit=50_000, options=quick())
        async with fails(informer, kinform.MemoryLimitError) as pods:
            with pytest.raises(
                kinform.MemoryLimitError, match=r"v1/pods: the memory.held_bytes of \d+ objects is \d+, .* 50000 bytes;"
            ) as caught:
                await pods.synced(timeout=10)
            assert caught.value.objects > 0
            assert pods.state == "failed"
            stats = pods.stats()
            assert (stats.state, stats.streams[""].state, stats.streams[""].error) == (
                "failed",
                "failed",
                str(caught.value),
            )


async def test_deleted_objects_leave_no_sparse_slabs(server):
    keys = server.generate("v1/configmaps", 2_000)
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, "v1/configmaps", options=quick()) as configs:
            await configs.synced(timeout=10)
            for key in keys[: len(keys) * 9 // 10]:
                server.delete("v1/configmaps", key)
            await until(lambda: len(configs.store) == 200)
            await until(lambda: configs.stats().memory.dead_bytes < 20_000, within=20)
