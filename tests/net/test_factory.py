"""Factories: informers that share a stream and a store, on the simulator."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import re
import weakref
from collections import Counter
from typing import Any

import msgspec
import pytest

import kinform
from kinform.testing import Gone, Stall, Trickle
from tests.net.informers import fails, in_sync, quick, requested_states
from tests.support.waiting import until

PODS = "v1/pods"
MAPS = "v1/configmaps"


class Metadata(msgspec.Struct):
    name: str
    uid: str


class Named(msgspec.Struct):
    metadata: Metadata


def tasks() -> list[str]:
    """Returns the names of the tasks of informers."""
    return [name for task in asyncio.all_tasks() if (name := task.get_name()).startswith("kinform ")]


def held() -> Counter[str]:
    """Counts the objects of each class of kinform."""
    gc.collect()
    modules = [str(type(found).__module__) for found in gc.get_objects()]
    return Counter(module for module in modules if re.match(r"kinform\.(?!testing)|_asyncio", module))


async def count_changes(changes: kinform.Changes[Any], counts: Counter[str]) -> None:
    async for change in changes:
        counts[type(change).__name__] += 1


class TestSharing:
    async def test_equal_informers_share_one_stream_and_one_store(self, server, api):
        server.generate(PODS, 20)
        async with kinform.Factory(api) as factory:
            handles = [factory.informer(PODS, options=quick()) for _ in range(20)]
            await factory.synced(timeout=10)
            assert all(in_sync(handle.store, server, PODS) for handle in handles)
            await server.wait_for_watchers(1)
            stats = factory.stats()
            assert (stats.informers, stats.collections, stats.streams, stats.objects) == (20, 1, 1, 20)
            assert stats.memory.held_bytes == handles[0].stats().memory.held_bytes
        assert requested_states(server) == 1
        await server.wait_for_watchers(0)

    async def test_the_order_of_namespaces_does_not_matter(self, server, api):
        async with kinform.Factory(api) as factory:
            for namespaces in (["shop", "till"], ["till", "shop", "till"]):
                factory.informer(PODS, scope=kinform.Scope(namespaces=namespaces), options=quick())
            await factory.synced(timeout=10)
            assert (factory.stats().collections, factory.stats().streams) == (1, 2)

    async def test_each_informer_has_its_own_type_and_handlers(self, server, api):
        (key,) = server.generate(PODS, 1)
        heard: dict[str, list[Any]] = {"plain": [], "named": [], "keys": []}
        factory = kinform.Factory(api)
        plain = factory.informer(PODS, options=quick())
        named = factory.informer(PODS, type=Named, options=quick())
        plain.on_add(heard["plain"].append)
        named.on_add(heard["named"].append)
        async with factory:
            await factory.synced(timeout=10)
            named.on_change(heard["keys"].append)
            await until(lambda: all(heard.values()))
            assert isinstance(plain.store[key], dict)
            assert isinstance(named.store[key], Named)
            assert (plain.stats().handler_errors, named.stats().handler_errors) == (0, 0)
        assert [type(found) for found in heard["plain"]] == [dict]
        assert [type(found) for found in heard["named"]] == [Named]
        assert heard["keys"] == [key]

    async def test_each_informer_has_its_own_indexes(self, server, api):
        for name, node, app in (("a", "n1", "web"), ("b", "n2", "web"), ("c", "n1", "db")):
            metadata = {"name": name, "namespace": "shop", "labels": {"app": app}}
            server.put(PODS, {"metadata": metadata, "spec": {"nodeName": node}})
        async with kinform.Factory(api) as factory:
            first = factory.informer(PODS, indexes={"node": "spec.nodeName"}, options=quick())
            with pytest.raises(kinform.KinformError, match="index 'node' is not built yet"):
                first.store.index_keys("node", "n1")
            await first.synced(timeout=10)
            indexes = {"node": "metadata.labels.app", "n": "spec.nodeName"}
            second = factory.informer(PODS, indexes=indexes, options=quick())
            await second.synced(timeout=10)
            for _ in range(2):
                assert first.store.index_keys("node", "n1") == ["shop/a", "shop/c"]
                assert second.store.index_keys("node", "web") == ["shop/a", "shop/b"]
                assert second.store.index_keys("n", "n2") == ["shop/b"]
                with pytest.raises(kinform.OptionError, match="index: 'n' is not allowed"):
                    first.store.index_keys("n", "n2")
                server.delete(PODS, "shop/c")
                server.put(PODS, {"metadata": {"name": "c", "namespace": "shop"}, "spec": {"nodeName": "n1"}})
                await until(lambda: in_sync(first.store, server, PODS))
            held = first.stats().memory.index_bytes
            async with second:
                pass
            assert first.stats().memory.index_bytes < held
            assert first.store.index_keys("node", "n1") == ["shop/a", "shop/c"]
            with pytest.raises(kinform.KinformError, match="its informer has stopped"):
                second.store.index_keys("node", "web")

    async def test_an_informer_with_indexes_that_waits_for_a_stop_has_them(self, server, api):
        server.generate(PODS, 200)
        async with kinform.Factory(api) as factory:
            first = factory.informer(PODS, options=quick())
            await first.synced(timeout=10)
            leaving = asyncio.create_task(first.__aexit__(None, None, None))
            second = factory.informer(PODS, indexes={"node": "spec.nodeName"}, options=quick())
            await second.synced(timeout=10)
            await leaving
            nodes = second.store.index_values("node")
            assert sum(len(second.store.index_keys("node", node)) for node in nodes) == 200

    @pytest.mark.parametrize("phase", ["first sync", "relist"])
    async def test_an_informer_that_joins_during_a_state_misses_nothing(self, server, api, phase):
        keys = server.generate(PODS, 300)
        counts = [Counter[str](), Counter[str]()]
        options = quick(initial="list", page_size=30)
        slow = Trickle(bytes=20_000, pause=0.005)
        async with kinform.Factory(api) as factory:
            if phase == "first sync":
                server.fault(slow, on="list", times=5)
            first = factory.informer(PODS, options=options)
            readers = [asyncio.create_task(count_changes(first.changes(), counts[0]))]
            if phase == "relist":
                await first.synced(timeout=20)
                await server.wait_for_watchers(1)
                server.fault(slow, on="list", times=5)
                server.fault(Gone(), on="watch")
                server.disconnect()
                for key in keys[:100]:
                    server.touch(PODS, key)
                for key in keys[100:150]:
                    server.delete(PODS, key)
                await until(lambda: first.state == "relisting")
            await until(lambda: first.stats().wire_bytes > 100_000)
            second = factory.informer(PODS, type=Named, options=options)
            readers.append(asyncio.create_task(count_changes(second.changes(), counts[1])))
            await second.synced(timeout=20)
            await until(lambda: in_sync(second.store, server, PODS), within=20)
            server.touch(PODS, keys[0])
            left = len(server.keys(PODS))
            await until(lambda: all(count["Synced"] and count["Updated"] for count in counts))
            await until(lambda: first.state == "live" and in_sync(first.store, server, PODS))
        await asyncio.gather(*readers)
        for count in counts:
            assert count["Added"] - count["Deleted"] == left
            assert count["Synced"] == 1
        assert counts[1]["Added"] == 300
        assert (counts[0]["Updated"], counts[0]["Deleted"]) == ((101, 50) if phase == "relist" else (1, 0))

    async def test_other_options_have_a_stream_of_their_own_and_a_warning(self, server, api, caplog):
        async with kinform.Factory(api) as factory:
            factory.informer(PODS, prune=kinform.Prune(keep=["metadata.labels"]), options=quick())
            factory.informer(PODS, prune=kinform.Prune(keep=["spec.nodeName"]), options=quick())
            factory.informer(PODS, scope=kinform.Scope(namespaces=["shop"]), options=quick())
            await factory.synced(timeout=10)
            assert factory.stats().streams == 3
        assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
            "v1/pods: a stream and a store of its own: another informer on the same objects has a different prune; "
            "they would share with prune=kinform.Prune(keep=['metadata.labels', 'spec.nodeName']) for both"
        ]

    @pytest.mark.parametrize(
        ("options", "advice"),
        [
            ({"prune": kinform.Prune(drop=["spec"])}, "prune; they would share with prune=kinform.Prune() for both"),
            ({"prune": kinform.Prune(keep=["spec"])}, "prune; they would share with the same prune"),
            ({"transform": bytes.strip}, "transform; they would share with the same transform function"),
            (
                {"options": kinform.WatchOptions(page_size=7, initial="list")},
                "WatchOptions (initial, page_size); they would share with equal WatchOptions",
            ),
        ],
    )
    def test_the_warning_says_what_would_make_them_one(self, api, caplog, options, advice):
        factory = kinform.Factory(api)
        factory.informer(PODS)
        factory.informer(PODS, **options)
        assert caplog.messages[0].endswith(f"has a different {advice}")
        assert len(caplog.messages) == 1

    async def test_a_snapshot_and_a_limit_belong_to_all_that_share(self, server, api, tmp_path):
        server.generate(PODS, 5)
        path = tmp_path / "pods"
        async with kinform.Factory(api) as factory:
            first = factory.informer(PODS, snapshot=path, memory_limit=1 << 20, options=quick())
            second = factory.informer(PODS, memory_limit=1 << 20, options=quick())
            for field, options in (("snapshot", {"snapshot": tmp_path / "x"}), ("memory_limit", {"memory_limit": 1})):
                with pytest.raises(kinform.OptionError) as caught:
                    factory.informer(PODS, **options, options=quick())
                assert caught.value.field == field
            other = factory.informer("v1/configmaps", options=quick())
            with pytest.raises(kinform.OptionError, match=r"memory_limit: .* expected None, as for the first informer"):
                factory.informer("v1/configmaps", memory_limit=1, options=quick())
            assert factory.informers == (first, second, other)
            await factory.synced(timeout=10)
        assert path.exists()
        async with kinform.Factory(api) as factory:
            third = factory.informer(PODS, snapshot=path, options=quick())
            await third.synced(timeout=10)
            assert third.stats().snapshot.loaded
        assert requested_states(server) == 1

    @pytest.mark.parametrize("field", ["transform", "WatchOptions.on_error"])
    def test_a_function_that_cannot_be_compared_raises(self, api, field):
        class Unhashable:
            __hash__ = None

            def __call__(self, raw: bytes) -> bytes:
                return raw

        options = kinform.WatchOptions(on_error=Unhashable())
        with pytest.raises(kinform.OptionError) as caught:
            kinform.Factory(api).informer(
                PODS, **({"transform": Unhashable()} if field == "transform" else {"options": options})
            )
        assert caught.value.field == field

    async def test_namespaces_are_fixed(self, server, api):
        async with kinform.Factory(api) as factory:
            pods = factory.informer(PODS, scope=kinform.Scope(namespaces=["shop"]), options=quick())
            for change in (pods.add_namespace, pods.remove_namespace):
                with pytest.raises(kinform.OptionError, match="namespace: 'till' is not allowed"):
                    await change("till")


class TestLife:
    async def test_the_stream_stops_with_the_last_informer(self, server, api):
        server.generate(PODS, 3)
        async with kinform.Factory(api) as factory:
            async with factory.informer(PODS, options=quick()) as first:
                async with factory.informer(PODS, options=quick()) as second:
                    await factory.synced(timeout=10)
                    await server.wait_for_watchers(1)
                assert (first.state, second.state) == ("live", "stopped")
                assert factory.informers == (first,)
                server.generate(PODS, 1)
                await until(lambda: len(first.store) == 4)
                with pytest.raises(kinform.KinformError, match="the informer is not running"):
                    await second.synced()
            await server.wait_for_watchers(0)
            assert factory.informers == ()
            assert first.state == "stopped"

    async def test_an_informer_that_is_entered_again_starts_anew(self, server, api):
        server.generate(PODS, 2)
        heard: list[str] = []
        async with kinform.Factory(api) as factory:
            pods = factory.informer(PODS, options=quick())
            pods.on_change(heard.append)
            pods.on_add(lambda pod: heard.append(pod["metadata"]["name"]))
            for round in (1, 2):
                async with pods:
                    await pods.synced(timeout=10)
                    assert len(pods.store) == round + 1
                    await until(lambda: len(heard) == 2 * (round + 1))  # noqa: B023
                assert [change async for change in pods.changes()][-1:] == [kinform.Synced()]
                heard.clear()
                server.generate(PODS, 1)
        assert requested_states(server) == 2

    async def test_entering_twice_or_outside_the_factory_raises(self, server, api):
        factory = kinform.Factory(api)
        pods = factory.informer(PODS, options=quick())
        with pytest.raises(kinform.KinformError, match="the factory is not running"):
            await pods.__aenter__()
        async with factory:
            async with pods:
                with pytest.raises(kinform.KinformError, match="v1/pods: the informer is running already"):
                    await pods.__aenter__()
                assert pods.state != "stopped"
        for call in (pods.__aenter__, factory.synced, factory.failed):
            with pytest.raises(kinform.KinformError, match="the factory is not running"):
                await call()
        with pytest.raises(kinform.KinformError, match="the factory is not running"):
            factory.informer(PODS)
        with pytest.raises(kinform.KinformError, match="started only once"):
            await factory.__aenter__()

    async def test_entering_and_leaving_often_leaks_nothing(self, server, api):
        server.generate(PODS, 2)
        collections: weakref.WeakSet[Any] = weakref.WeakSet()
        async with kinform.Factory(api) as factory:
            kept = factory.informer(PODS, options=quick())

            async def use(times: int) -> None:
                for _ in range(times):
                    async with factory.informer(PODS, options=quick()) as pods, kept:
                        pods.on_add(lambda pod: None)
                        pods.changes()
                        await pods.synced(timeout=10)
                        collections.add(pods._collection)

            objects: list[Counter[str]] = []
            for times in (10, 100):
                await use(times)
                await server.wait_for_watchers(0)
                assert requested_states(server) == times
                server.requests.clear()
                objects.append(held())
            assert objects[1] == objects[0]
            assert factory.informers == ()
            assert len(collections) == 1
            assert tasks() == []

    @pytest.mark.parametrize("seed", range(4))
    async def test_random_lives_end_right_and_leave_nothing(self, server, api, tmp_path, seed):
        rng = random.Random(seed)
        server.generate(PODS, 100)
        server.generate(MAPS, 30)
        indexes = [{}, {"node": "spec.nodeName"}, {"app": "metadata.labels.app", "node": "spec.nodeName"}]
        heard = Counter[str]()

        async def live(factory: kinform.Factory) -> None:
            resource = rng.choice([PODS, MAPS])
            lazy = rng.random() < 0.3
            informer = factory.informer(
                resource,
                options=quick(initial="list", page_size=20),
                indexes=rng.choice(indexes),
                snapshot=tmp_path / "pods" if resource == PODS else None,
                start="lazy" if lazy else "eager",
                idle_timeout=0.002 if lazy else None,
                resync_period=rng.choice([None, 0.003]),
            )
            async with informer:
                if rng.random() < 0.5:
                    informer.on_change(lambda key: heard.update([resource]))
                if rng.random() < 0.8:
                    await informer.synced(timeout=20)
                    assert lazy or len(informer.store) == {PODS: 100, MAPS: 30}[resource]
                await asyncio.sleep(rng.random() * 0.02)

        async def lives(factory: kinform.Factory) -> None:
            for _ in range(15):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(live(factory), rng.choice([0.005, 0.02, 20]))
                await asyncio.sleep(rng.random() * 0.01)

        async with kinform.Factory(api, max_concurrent_syncs=2) as factory:
            for _ in range(3):
                server.fault(Gone(), on="watch", times=2)
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(lives(factory))
            assert factory.informers == ()
            assert tasks() == []
            await server.wait_for_watchers(0)
            last = factory.informer(PODS, indexes=indexes[2], options=quick(initial="list", page_size=20))
            await last.synced(timeout=10)
            assert in_sync(last.store, server, PODS)
            assert sum(len(last.store.index_keys("node", node)) for node in last.store.index_values("node")) == 100
            assert last.stats().memory.limbo_bytes == last.stats().memory.hidden_bytes
        assert heard[PODS]

    async def test_a_cancelled_start_leaves_nothing(self, server, api):
        server.fault(Stall(headers=False), times=None)

        async def use() -> None:
            async with kinform.Factory(api) as factory:
                factory.informer(PODS, options=quick())
                async with factory.informer(MAPS, options=quick()) as maps:
                    await maps.synced()

        using = asyncio.create_task(use())
        await server.wait_for_request(on="watch", count=2)
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using
        assert tasks() == []

    async def test_the_end_waits_for_an_informer_that_is_being_left(self, server, api, tmp_path):
        server.generate(PODS, 200)
        async with kinform.Factory(api) as factory:
            pods = factory.informer(PODS, snapshot=tmp_path / "pods", options=quick())
            await pods.synced(timeout=10)
            leaving = asyncio.create_task(pods.__aexit__(None, None, None))
            await asyncio.sleep(0)
        assert tasks() == []
        assert (tmp_path / "pods").exists()
        await leaving

    async def test_a_cancelled_end_waits_for_all_informers(self, server, api):
        server.put(PODS, {"metadata": {"name": "a", "namespace": "shop"}})
        server.put(MAPS, {"metadata": {"name": "a", "namespace": "shop"}})
        running, ended = list[str](), list[str]()

        def ends_after(name: str, steps: int) -> Any:
            async def handler(obj: object) -> None:
                running.append(name)
                try:
                    await asyncio.Event().wait()
                finally:
                    for _ in range(steps):
                        with contextlib.suppress(asyncio.CancelledError):
                            await asyncio.sleep(0)
                    ended.append(name)

            return handler

        async def use() -> None:
            async with kinform.Factory(api) as factory:
                factory.informer(PODS, options=quick()).on_add(ends_after("pods", 100))
                factory.informer(MAPS, options=quick()).on_add(ends_after("maps", 20))
                await until(lambda: len(running) == 2)
                leaving.set()

        leaving = asyncio.Event()
        using = asyncio.create_task(use())
        await leaving.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using
        assert sorted(ended) == ["maps", "pods"]
        assert tasks() == []

    @pytest.mark.parametrize("between", [0, 1, 2, 5])
    async def test_two_cancellations_at_any_step_leave_nothing(self, server, api, tmp_path, between):
        server.generate(PODS, 3)

        async def use() -> None:
            factory = kinform.Factory(api)
            pods = factory.informer(PODS, snapshot=tmp_path / "pods", options=quick())
            factory.informer(MAPS, options=quick())
            async with factory, kinform.Informer(api, PODS, snapshot=tmp_path / "mine", options=quick()):
                await pods.synced(timeout=10)

        for steps in range(0, 90, 3):
            using = asyncio.create_task(use())
            for iterations in (steps, between):
                for _ in range(iterations):
                    await asyncio.sleep(0)
                using.cancel()
            await asyncio.wait([using])
            await asyncio.sleep(0)
            assert tasks() == [], steps
            assert not [found.name for found in tmp_path.iterdir() if found.name.startswith(".")], steps

    async def test_a_snapshot_that_cannot_be_used_ends_the_start(self, server, api, tmp_path):
        (tmp_path / "notes").write_text("mine")
        factory = kinform.Factory(api)
        factory.informer(MAPS, options=quick())
        factory.informer(PODS, snapshot=tmp_path / "notes", options=quick())
        with pytest.raises(kinform.SnapshotError):
            await factory.__aenter__()
        assert tasks() == []

    async def test_a_start_inside_the_block_that_fails_is_a_failure(self, server, api, tmp_path):
        (tmp_path / "notes").write_text("mine")
        async with fails(kinform.Factory(api), kinform.SnapshotError) as factory:
            pods = factory.informer(PODS, snapshot=tmp_path / "notes", options=quick())
            for wait in (factory.synced, pods.synced):
                with pytest.raises(kinform.SnapshotError):
                    await wait(timeout=10)
            assert isinstance(await factory.failed(), kinform.SnapshotError)
            assert pods.state == "failed"
        assert (tmp_path / "notes").read_text() == "mine"
