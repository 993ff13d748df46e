"""The collector: its sources, its labels, and informers in every state."""

from __future__ import annotations

import asyncio
import gc
import os
import threading

import kubernetes_asyncio
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric

import kinform
import kinform.prometheus
import kinform.sync
from kinform.controllers import Controller, LeaderElection, Shards
from kinform.prometheus._informer_metrics import ROWS, SHARED_ROWS, STATES
from kinform.testing import Gone, Oversized, Server
from tests.net.informers import fails, quick
from tests.prometheus.exposed import registered_samples, samples, value
from tests.support.waiting import until

PODS = "v1/pods"


class Group:
    """A group of informers, as a factory is one."""

    def __init__(self, *informers: kinform.Informer) -> None:
        self.informers = informers


async def test_metrics_are_those_of_stats(server: Server):
    server.generate(PODS, 10)
    async with kinform.connect(server.url) as api:
        pods = kinform.Informer(api, PODS, options=quick(), memory_limit=64 << 20)
        collector = kinform.prometheus.Collector(pods)
        async with pods:
            await pods.synced(timeout=10)
            server.put(PODS, {"metadata": {"name": "new", "namespace": "shop"}})
            await until(lambda: len(pods.store) == 11)
            found, stats = samples(collector), pods.stats()
    assert value(found, "kinform_healthy") == 1
    assert value(found, "kinform_store_objects") == 11
    assert value(found, "kinform_store_limit_bytes") == 64 << 20
    assert value(found, "kinform_received_bytes_total") == stats.wire_bytes
    assert value(found, "kinform_events_total", type="ADDED") == stats.events["ADDED"] == 1
    assert value(found, "kinform_state", state="live") == 1
    assert sum(value(found, "kinform_state", state=state) or 0 for state in STATES) == 1
    parts = (value(found, "kinform_store_bytes", kind=kind) for kind in ("records", "map", "coder", "indexes"))
    assert sum(parts) == stats.memory.held_bytes


async def test_each_metric_has_a_value_once_its_informer_runs(server: Server, tmp_path):
    server.generate(PODS, 10)
    snapshot = tmp_path / "pods"
    async with kinform.connect(server.url) as api:
        pods = kinform.Informer(api, PODS, options=quick(), memory_limit=64 << 20, snapshot=snapshot, decoded_cache=9)
        async with pods:
            await pods.synced(timeout=10)
        found = samples(kinform.prometheus.Collector(pods))
    assert {name for name, _ in found} == {row.name for row in (*ROWS, *SHARED_ROWS)}


async def test_events_are_counted_by_type(cluster):
    scope = kinform.Scope(namespaces=[cluster.namespace])
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        async with kinform.Informer(api, cluster.resource, scope=scope, type=dict) as maps:
            await maps.synced(timeout=20)
            before = maps.stats().events
            await cluster.create("a", data={"k": "1"})
            await cluster.create("b", data={"k": "1"})
            await cluster.replace("a", data={"k": "2"})
            await cluster.delete("b")
            await until(lambda: maps.stats().events["DELETED"] > before["DELETED"])
            counted = {type_: number - before[type_] for type_, number in maps.stats().events.items()}
            found = samples(kinform.prometheus.Collector(maps))
    assert {**counted, "BOOKMARK": 0} == {"ADDED": 2, "MODIFIED": 1, "DELETED": 1, "BOOKMARK": 0}
    assert value(found, "kinform_events_total", maps.name, type="ADDED") == before["ADDED"] + 2


async def test_a_forked_process_is_scraped(server: Server):
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            await pods.synced(timeout=10)
            collector = kinform.prometheus.Collector(pods)
            child = os.fork()
            if child == 0:
                try:
                    os._exit(0 if value(samples(collector), "kinform_state", state="stopped") == 1 else 1)
                finally:  # an error must not continue the tests in this process
                    os._exit(2)
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert status == 0


async def test_relists_and_skipped_objects_are_counted(server: Server):
    server.generate(PODS, 10)
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick(max_object_bytes=100_000)) as pods:
            await pods.synced(timeout=10)
            server.fault(Gone(), on="watch")
            server.disconnect()
            await until(lambda: pods.stats().relists["expired"] == 1 and pods.state == "live")
            await server.wait_for_watchers(1)
            server.interrupt(Oversized(bytes=200_000))
            server.put(PODS, {"metadata": {"name": "large", "namespace": "shop"}})
            await until(lambda: pods.stats().skipped > 0)
            found = samples(kinform.prometheus.Collector(pods))
    assert value(found, "kinform_relists_total", reason="expired") == 1
    assert value(found, "kinform_relists_total", reason="requested") == 0
    assert value(found, "kinform_reconnects_total") == 1
    assert value(found, "kinform_skipped_total") == 1


async def test_counts_stay_when_a_namespace_is_removed(server: Server):
    scope = kinform.Scope(namespaces=["shop", "billing"])
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, scope=scope, options=quick()) as pods:
            await pods.synced(timeout=10)
            server.put(PODS, {"metadata": {"name": "new", "namespace": "shop"}})
            await until(lambda: len(pods.store) == 1)
            await pods.remove_namespace("shop")
            assert pods.stats().events["ADDED"] == 1
            found = samples(kinform.prometheus.Collector(pods))
    assert value(found, "kinform_events_total", pods.name, type="ADDED") == 1
    assert pods.name == "v1/pods in shop, billing"


async def test_informers_of_one_name_have_different_labels(server: Server):
    async with kinform.connect(server.url) as api:
        first, second = kinform.Informer(api, PODS), kinform.Informer(api, PODS)
        third = kinform.Informer(api, "v1/nodes")
        collector = kinform.prometheus.Collector(first, second, third)
        async with second:
            await second.synced(timeout=10)
            found = samples(collector)
            assert value(found, "kinform_state", "v1/pods", state="starting") == 1
            assert value(found, "kinform_state", "v1/pods #2", state="live") == 1
            del first
            gc.collect()
            found = samples(collector)
            assert value(found, "kinform_healthy") is None
            assert value(found, "kinform_state", "v1/pods #2", state="live") == 1


async def test_an_informer_is_read_before_its_start_and_after_its_end(server: Server):
    async with kinform.connect(server.url) as api:
        pods = kinform.Informer(api, PODS, options=quick())
        collector = kinform.prometheus.Collector(pods)
        found = samples(collector)
        assert value(found, "kinform_state", state="starting") == 1
        assert value(found, "kinform_lag_seconds") is None
        async with pods:
            await pods.synced(timeout=10)
        found = samples(collector)
    assert value(found, "kinform_state", state="stopped") == 1
    assert value(found, "kinform_healthy") == 0


async def test_a_failed_informer_is_read(server: Server):
    async with kinform.connect(server.url) as api:
        pods = kinform.Informer(api, PODS, scope=kinform.Scope(field_selector="spec.colour=red"), options=quick())
        collector = kinform.prometheus.Collector(pods)
        async with fails(pods, kinform.BadRequestError):
            await pods.failed()
            found = samples(collector)
    assert value(found, "kinform_state", pods.name, state="failed") == 1
    assert value(found, "kinform_healthy", pods.name) == 0


async def test_a_group_gives_its_informers_at_each_scrape(server: Server):
    async with kinform.connect(server.url) as api:
        pods, nodes = kinform.Informer(api, PODS), kinform.Informer(api, "v1/nodes")
        group = Group(pods)
        collector = kinform.prometheus.Collector(group, pods)
        assert value(samples(collector), "kinform_healthy") == 0
        group.informers = (nodes,)
        found = samples(collector)
    assert value(found, "kinform_healthy") == 0
    assert value(found, "kinform_healthy", "v1/nodes") == 0


async def test_informers_of_a_factory_count_their_store_once(server: Server):
    server.generate(PODS, 10)
    async with kinform.connect(server.url) as api:
        factory = kinform.Factory(api)
        collector = kinform.prometheus.Collector(factory)
        async with factory, factory.informer(PODS) as first, factory.informer(PODS, indexes={"node": "spec.nodeName"}):
            await factory.synced(timeout=10)
            found = samples(collector)
            assert value(found, "kinform_store_objects") == 10
            assert value(found, "kinform_healthy") == value(found, "kinform_healthy", "v1/pods #2") == 1
            assert value(found, "kinform_store_objects", "v1/pods #2") is None
            await first.__aexit__(None, None, None)
            found = samples(collector)
            assert value(found, "kinform_healthy") is None
            assert value(found, "kinform_store_objects", "v1/pods #2") == 10
        assert samples(collector) == {}


async def test_scrapes_of_threads_are_safe_while_namespaces_change(server: Server):
    namespaces = [f"team-{i}" for i in range(20)]
    async with kinform.connect(server.url) as api:
        scope = kinform.Scope(namespaces=["shop"])
        async with kinform.Informer(api, PODS, scope=scope, options=quick()) as pods:
            collector, over = kinform.prometheus.Collector(pods), threading.Event()

            def scrape() -> int:
                scrapes = 0
                while not over.is_set() or not scrapes:
                    assert samples(collector)
                    scrapes += 1
                return scrapes

            scraping = asyncio.create_task(asyncio.to_thread(scrape))
            try:
                for namespace in namespaces:
                    await pods.add_namespace(namespace, timeout=10)
                for namespace in namespaces:
                    await pods.remove_namespace(namespace)
            finally:
                over.set()
            assert await scraping


async def test_an_informer_of_threads_is_read(server: Server):
    server.generate(PODS, 3)

    def program() -> float | None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:
            pods.synced(timeout=10)
            return value(samples(kinform.prometheus.Collector(pods)), "kinform_store_objects")

    assert await asyncio.to_thread(program) == 3


async def test_a_factory_of_threads_is_read(server: Server):
    server.generate(PODS, 3)

    def program() -> list[float | None]:
        with kinform.sync.connect(server.url) as api, kinform.sync.Factory(api) as factory:
            pods, same = factory.informer(PODS), factory.informer(PODS)
            factory.synced(timeout=10)
            collector = kinform.prometheus.Collector(factory)
            found = samples(collector)
            assert samples(collector).keys() == found.keys()
            assert (pods.name, same.name) == (PODS, PODS)
            return [value(found, "kinform_healthy", informer) for informer in (PODS, f"{PODS} #2", f"{PODS} #3")]

    assert await asyncio.to_thread(program) == [1, 1, None]


async def test_an_election_has_the_metrics_of_client_go(server: Server):
    async with kinform.connect(server.url) as api:
        first, second = (LeaderElection(api, f"shop/{name}") for name in ("first", "second"))
        collector = kinform.prometheus.Collector(first, second)
        async with first.leading():
            found = samples(collector)
        after = samples(collector)
    one, other = (frozenset({("name", f"shop/{name}")}) for name in ("first", "second"))
    assert found["leader_election_master_status", one] == 1
    assert found["leader_election_master_status", other] == 0
    assert found["leader_election_slowpath_total", one] == 0
    assert after["leader_election_master_status", one] == 0


async def test_shards_have_metrics(server: Server):
    async with kinform.connect(server.url) as api:
        shards = Shards(api, "shop/widget-shards", count=8)
        collector = kinform.prometheus.Collector(shards)
        async with shards:
            found = await asyncio.to_thread(samples, collector)
        after = samples(collector)
    labels = frozenset({("name", "shop/widget-shards")})
    assert found["kinform_shards", labels] == found["kinform_shards_owned", labels] == 8
    assert (found["kinform_shards_members", labels], found["kinform_shards_free", labels]) == (1, 0)
    assert found["kinform_shards_lost_total", labels] == 0
    assert after["kinform_shards_owned", labels] == 0


async def test_register_adds_to_the_collector_of_a_registry(server: Server):
    registry = CollectorRegistry()
    async with kinform.connect(server.url) as api:
        pods, nodes = kinform.Informer(api, PODS), kinform.Informer(api, "v1/nodes")
        kinform.prometheus.register(pods, registry=registry)
        kinform.prometheus.register(nodes, pods, registry=registry)
        found = registered_samples(registry)
    assert value(found, "kinform_healthy") == 0
    assert value(found, "kinform_healthy", "v1/nodes") == 0


async def test_a_controller_stands_for_its_queue_and_events(server: Server):
    async def reconcile(key: str) -> None: ...

    registry = CollectorRegistry()
    async with kinform.connect(server.url) as api:
        controller = Controller(kinform.Informer(api, PODS), reconcile, name="operator")
        kinform.prometheus.register(controller, registry=registry)
        found = registered_samples(registry)
        assert found == samples(kinform.prometheus.Collector(controller.queue, controller.events))
    assert {name for name, _ in found} >= {"workqueue_depth", "kinform_event_writes_waiting"}


async def test_a_controller_without_events_stands_for_its_queue(server: Server):
    async def reconcile(key: str) -> None: ...

    configuration = kubernetes_asyncio.client.Configuration(host=server.url)
    async with kubernetes_asyncio.client.ApiClient(configuration) as client:
        controller = Controller(kinform.Informer(client, PODS), reconcile)
        found = samples(kinform.prometheus.Collector(controller))
        assert found == samples(kinform.prometheus.Collector(controller.queue))


@pytest.mark.parametrize("registry", [3, None, CollectorRegistry])
def test_what_is_no_registry_is_refused(registry):
    with pytest.raises(kinform.OptionError, match=r"registry: .* expected a CollectorRegistry of prometheus_client"):
        kinform.prometheus.register(Group(), registry=registry)


def test_a_registry_refuses_a_second_collector():
    registry, pods = CollectorRegistry(), Group()
    registry.register(kinform.prometheus.Collector())
    with pytest.raises(ValueError, match="kinform_healthy"):
        kinform.prometheus.register(pods, registry=registry)


def test_metrics_of_one_name_from_several_sources_are_merged():
    depths = [Gauge("workqueue_depth", "Items that wait.", ["name"], registry=None) for _ in range(2)]
    adds = Counter("workqueue_adds", "Items added.", ["name"], registry=None)
    for depth, name in zip(depths, ("pods", "nodes"), strict=True):
        depth.labels(name).set(len(name))
    adds.labels("pods").inc()
    collector = kinform.prometheus.Collector(*depths, adds)
    families = [metric for metric in collector.collect() if metric.name.startswith("workqueue_")]
    assert [metric.name for metric in families] == ["workqueue_depth", "workqueue_adds"]
    found = samples(collector)
    assert found["workqueue_depth", frozenset({("name", "pods")})] == 4
    assert found["workqueue_depth", frozenset({("name", "nodes")})] == 5
    assert found["workqueue_adds_total", frozenset({("name", "pods")})] == 1


def test_merging_leaves_the_metrics_of_a_source_unchanged():
    class Source:
        def __init__(self) -> None:
            self.metric = Metric("own", "Own.", "gauge")
            self.metric.add_sample("own", {}, 1.0)

        def collect(self):
            return [self.metric]

    source = Source()
    collector = kinform.prometheus.Collector(source)
    for _ in range(2):
        assert samples(collector)["own", frozenset()] == 1
    assert len(source.metric.samples) == 1


class Slotted:
    """A source that cannot be weakly referenced."""

    __slots__ = ()

    def collect(self) -> list[Metric]:
        return []


def test_equal_sources_without_a_hash_are_both_collected():
    class Equal:
        def __init__(self, name: str) -> None:
            self.name = name

        def __eq__(self, other: object) -> bool:
            return True

        def collect(self) -> list[Metric]:
            metric = Gauge(self.name, "A metric.", registry=None)
            return list(metric.collect())

    sources = Equal("one"), Equal("other")
    collector = kinform.prometheus.Collector(*sources, *sources)
    assert sorted(name for name, _ in samples(collector)) == ["one", "other"]


@pytest.mark.parametrize("source", [None, "v1/pods", object(), kinform.Informer, Slotted()])
def test_what_is_no_source_is_refused(source):
    collector = kinform.prometheus.Collector()
    with pytest.raises(kinform.OptionError, match="sources"):
        collector.add(Group(), source)
    assert samples(collector) == {}


async def test_caches_have_their_own_metrics(server: Server):
    server.generate("v1/namespaces", 3)
    (first, second, _) = server.keys("v1/namespaces")
    async with kinform.connect(server.url) as api:
        caches = [kinform.OnDemand(api, "v1/namespaces") for _ in range(2)]
        informer = kinform.Informer(api, "v1/namespaces")
        collector = kinform.prometheus.Collector(*caches, informer)
        async with caches[0] as cache:
            for key in (first, first, second, "none"):
                await cache.get(key)
            found, stats = samples(collector), cache.stats()

    def of(name: str, cache: str = "v1/namespaces", **labels: str) -> float | None:
        labels = {"resource": "v1/namespaces", "cache": cache, **labels}
        return found.get((f"kinform_on_demand_{name}", frozenset(labels.items())))

    assert of("answers", kind="object") == 2
    assert of("answers", kind="missing") == 1
    assert of("watches") == 2
    assert of("bytes") == stats.memory.held_bytes
    assert of("reads_total", result="hit") == 1
    assert of("reads_total", result="miss") == of("requests_total") == 3
    assert of("received_bytes_total") == stats.wire_bytes
    assert of("errors_total") == of("evictions_total") == of("stale_answers_total") == 0
    assert of("requests_total", "v1/namespaces #2") == 0
    assert value(found, "kinform_store_objects", "v1/namespaces") == 0
