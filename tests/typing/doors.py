"""Types that type checkers infer at each door. Checked by `make lint`, never run."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, KeysView, Mapping, ValuesView
from typing import Any, assert_type

import kubernetes_asyncio
import msgspec
from prometheus_client import CollectorRegistry, Counter

import kinform
import kinform.prometheus
import kinform.sync
from kinform.controllers import (
    Controller,
    ElectionHealth,
    ElectionStats,
    EventRecorder,
    LeaderElection,
    MetadataChanged,
    Requeue,
    Shards,
    ShardsStats,
    Term,
    WorkQueue,
    ensure_finalizer,
    remove_finalizer,
)


class Pod(msgspec.Struct):
    """A pod, as far as these programs read it."""

    metadata: dict[str, Any]


async def an_informer_without_a_type_gives_dicts(api: kinform.Connection) -> None:
    informer = kinform.Informer(api, "v1/pods")
    assert_type(informer, kinform.Informer[dict[str, Any]])
    assert_type(informer.store, kinform.Store[dict[str, Any]])
    assert_type(informer.store.get("shop/web-0"), dict[str, Any] | None)
    async with informer as entered:
        assert_type(entered, kinform.Informer[dict[str, Any]])


async def an_informer_gives_objects_of_its_type(api: kinform.Connection) -> None:
    async with kinform.Informer(api, "v1/pods", type=Pod, indexes={"node": "spec.nodeName"}) as pods:
        assert_type(pods, kinform.Informer[Pod])
        assert_type(pods.store.get("shop/web-0"), Pod | None)
        assert_type(pods.store["shop/web-0"], Pod)
        assert_type(pods.store.get("shop/web-0", 7), Pod | int)
        assert_type(pods.store.index("node", "node-7"), list[Pod])
        assert_type(pods.store.owned_keys("ReplicaSet.apps", "shop/web-0"), list[str])
        assert_type(pods.store.keys(), KeysView[str])
        assert_type(pods.store.items(), ItemsView[str, Pod])
        assert_type(pods.store.values("shop"), ValuesView[Pod])
        assert_type(pods.store.items(label_selector="app=web"), Iterable[tuple[str, Pod]])
        assert_type(pods.store.snapshot(), Mapping[str, Pod])
        for key, pod in pods.store.items():
            assert_type(key, str)
            assert_type(pod, Pod)
        for pod in pods.store.values(namespace="shop", on_undecodable="skip"):
            assert_type(pod, Pod)
        async for change in pods.changes():
            assert_type(change, kinform.Change[Pod])
            a_function_takes_a_change(change)


def a_function_takes_a_change(change: kinform.Change[Pod]) -> None:
    assert_type(change.key, str)
    match change:
        case kinform.Added(object=pod) | kinform.Deleted(object=pod):
            assert_type(pod, Pod)
        case kinform.Updated(object=pod, old=old):
            assert_type(pod, Pod)
            assert_type(old, Pod | None)
        case kinform.Synced():
            pass


async def own_writes_are_expected_in_any_form(
    pods: kinform.Informer[Pod], api: kinform.Connection, model: kubernetes_asyncio.client.V1Pod
) -> None:
    pods.expect(await api.get("v1/pods", "shop/web-0"))
    pods.expect(await api.get("v1/pods", "shop/web-0", type=Pod))
    pods.expect(b"{}")
    pods.expect(model)


def a_store_is_a_mapping(pods: kinform.Informer[Pod]) -> None:
    mapping: Mapping[str, Pod] = pods.store
    assert_type(dict(mapping), dict[str, Pod])


async def a_lazy_informer_has_the_same_types(api: kinform.Connection) -> None:
    pods = kinform.Informer(api, "v1/pods", type=Pod, start="lazy", idle_timeout=600, resync_period=3600)
    assert_type(pods, kinform.Informer[Pod])
    assert_type(pods.store, kinform.Store[Pod])


async def a_factory_gives_informers_of_each_type(api: kinform.Connection) -> None:
    async with kinform.Factory(api, start_jitter=5.0, max_concurrent_syncs=4) as factory:
        assert_type(factory, kinform.Factory)
        plain = factory.informer("v1/pods")
        assert_type(plain, kinform.Informer[dict[str, Any]])
        pods = factory.informer("v1/pods", type=Pod, indexes={"node": "spec.nodeName"})
        assert_type(pods, kinform.Informer[Pod])
        assert_type(pods.store.get("shop/web-0"), Pod | None)
        await factory.synced(timeout=60)
        assert_type(factory.informers, tuple[kinform.Informer[Any], ...])
        assert_type(factory.health(), kinform.Health)
        assert_type(factory.stats(), kinform.FactoryStats)
        assert_type(await factory.failed(), Exception)
        async with pods as entered:
            assert_type(entered, kinform.Informer[Pod])


def handlers_take_objects_of_the_type(pods: kinform.Informer[Pod]) -> None:
    @pods.on_add
    def added(pod: Pod) -> None: ...

    @pods.on_update
    async def updated(old: Pod | None, new: Pod) -> None: ...

    @pods.on_delete
    async def deleted(pod: Pod) -> None: ...

    @pods.on_change
    def changed(key: str) -> None: ...

    added(Pod({}))
    pods.on_add(lambda pod: print(pod.metadata))


def an_informer_takes_every_kind_of_api(
    connection: kinform.Connection, transport: kinform.Transport, client: kubernetes_asyncio.client.ApiClient
) -> None:
    kinform.Informer(connection, "v1/pods")
    kinform.Informer(transport, kinform.Resource(version="v1", plural="pods"))
    kinform.Informer(client, "v1/pods", scope=kinform.Scope(namespaces=["shop"]))


def selectors_and_prunes_are_made_of_values(tiers: list[str]) -> None:
    labels = kinform.Selector.labels({"app.kubernetes.io/name": "web"}, tier=tiers, zone={"a"}, canary=None)
    fields = kinform.Selector.fields({"spec.nodeName": "node-7"}, type="kubernetes.io/tls")
    kinform.Scope(label_selector=assert_type(labels, str), field_selector=assert_type(fields, str))
    assert_type(kinform.Prune.from_type(Pod) & kinform.Prune.last_applied(), kinform.Prune)


async def a_cache_has_the_type_of_its_objects(api: kinform.Connection, threads: kinform.sync.Connection) -> None:
    async with kinform.OnDemand(api, "v1/pods", type=Pod, ttl=60) as pods, kinform.OnDemand(api, "v1/nodes") as nodes:
        assert_type(await pods.get("shop/web-0"), Pod | None)
        assert_type(await nodes.get("node-7"), dict[str, Any] | None)
        kinform.prometheus.register(pods, nodes)
    with kinform.sync.OnDemand(threads, "v1/pods", type=Pod, max_watches=0) as blocking:
        assert_type(blocking.get("shop/web-0"), Pod | None)
        assert_type(blocking.stats(), kinform.OnDemandStats)


def a_scope_takes_a_selector_of_namespaces(pods: kinform.Informer[Pod]) -> None:
    kinform.Scope(namespaces=kinform.NamespaceSelector("tenant-agent=true", max_streams=10))
    assert_type(pods.stats().namespaces, kinform.NamespacesStats | None)


def a_scope_takes_names_of_objects(pods: kinform.Informer[Pod], names: set[str]) -> None:
    kinform.Scope(names=["web-0", "web-1"])
    kinform.Scope(names=names)
    assert_type(pods.stats().name_dropped, int)


def a_store_has_the_type_of_its_reader() -> None:
    _, dicts = kinform.store()
    assert_type(dicts, kinform.Store[dict[str, Any]])
    _, pods = kinform.store(type=Pod)
    assert_type(pods, kinform.Store[Pod])


def an_object_decodes_to_the_type(found: kinform.Object) -> None:
    assert_type(found.decode(), dict[str, Any])
    assert_type(found.decode(Pod), Pod)


class ConfigMap(msgspec.Struct, omit_defaults=True):
    """A config map that a program writes."""

    metadata: dict[str, Any]
    kind: str = "ConfigMap"


async def verbs_give_dicts_or_objects_of_the_type(api: kinform.Connection) -> None:
    async for plain in api.list("v1/pods"):
        assert_type(plain, dict[str, Any])
    async for pod in api.list("v1/pods", scope=kinform.Scope(namespaces=["shop"]), type=Pod):
        assert_type(pod, Pod)
    assert_type(await api.get("v1/pods", "shop/web-0"), dict[str, Any])
    assert_type(await api.get("v1/pods", "shop/web-0", type=Pod), Pod)
    assert_type(await api.create("v1/configmaps", {"metadata": {"name": "c"}}), dict[str, Any])
    made = await api.create("v1/configmaps", ConfigMap({"name": "c"}), type=ConfigMap)
    assert_type(made, ConfigMap)
    assert_type(await api.replace("v1/configmaps", made), dict[str, Any])
    assert_type(await api.apply("v1/configmaps", made, field_manager="me", type=ConfigMap), ConfigMap)
    assert_type(await api.patch("v1/pods", "shop/web-0", {"spec": {}}, how="merge", type=Pod), Pod)
    assert_type(await api.patch("v1/pods", "shop/web-0", [{"op": "remove"}], how="json"), dict[str, Any])
    assert_type(await api.delete("v1/pods", "shop/web-0", uid="u", propagation="Background"), dict[str, Any])


def a_collector_takes_informers_and_collectors(
    pods: kinform.Informer[Pod],
    nodes: kinform.sync.Informer[dict[str, Any]],
    factory: kinform.Factory,
    threads: kinform.sync.Factory,
    adds: Counter,
    controller: Controller,
) -> None:
    registry = CollectorRegistry()
    registry.register(kinform.prometheus.Collector(pods, nodes, factory, threads, adds))
    registry.register(kinform.prometheus.Collector(kinform.prometheus.LeaseRenewalAge(pods)))
    assert_type(kinform.prometheus.register(pods, nodes, controller, registry=registry), None)


async def shards_are_a_scope_and_give_terms(api: kinform.Connection) -> None:
    kinform.Scope(shard=(3, 8))
    async with Shards(api, "shop/widget-shards", count=8, identity=None) as shards:
        assert_type(shards, Shards)
        assert_type(shards.owns("uid"), bool)
        assert_type(shards.stats(), ShardsStats)
        async with shards.hold("uid") as term:
            assert_type(term, Term)
        async with kinform.Informer(api, "v1/pods", scope=kinform.Scope(shards=shards)) as pods:
            assert_type(pods.store["a"], dict[str, Any])


async def an_election_gives_terms(api: kinform.Connection) -> None:
    election = LeaderElection(api, "shop/widget-operator", identity=None, lease_seconds=15, renew_deadline=10.5)
    async with election.leading() as term:
        assert_type(term, Term)
        assert_type(term.transitions, int)
        assert_type(term.deadline, float)
        await term.lost.wait()

    @election.on_new_leader
    def changed(leader: str) -> None: ...

    changed("replica-0")
    assert_type(election.leader, str)
    assert_type(election.stats(), ElectionStats)
    assert_type(election.health(tolerance=20), ElectionHealth)
    kinform.prometheus.register(election)


async def a_work_queue_has_the_type_of_its_keys() -> None:
    queue = WorkQueue[str](name="widgets", backoff=kinform.Backoff(initial=0.005, maximum=1000.0))
    queue.add("shop/web-0", priority=7)
    queue.add_after("shop/web-0", 60)
    assert_type(queue.add_rate_limited("shop/web-0"), float)
    assert_type(await queue.get(), str)
    async with queue.item() as key:
        assert_type(key, str)
    pairs = WorkQueue[tuple[str, int]]()
    assert_type(await pairs.get(), tuple[str, int])
    assert_type(queue.stats().queue_durations.counts, dict[float, int])
    kinform.prometheus.register(queue, pairs)


async def a_controller_takes_informers_of_each_type(
    api: kinform.Connection, pods: kinform.Informer[Pod], nodes: kinform.Informer[dict[str, Any]]
) -> None:
    async def reconcile(key: str) -> Requeue | None:
        assert_type(pods.store.get(key), Pod | None)
        return Requeue(after=600)

    async def without_result(key: str) -> None: ...

    def keys_for(change: kinform.Added[Any] | kinform.Updated[Any] | kinform.Deleted[Any]) -> list[str]:
        return [change.key]

    controller = Controller(
        pods,
        reconcile,
        owns=[nodes, pods],
        watches={nodes: keys_for, pods: lambda change: [change.key]},
        predicate=MetadataChanged("generation", "labels"),
        workers=4,
        backoff=kinform.Backoff(initial=0.005, maximum=1000.0),
        reconcile_timeout=120,
        leader=LeaderElection(api, "shop/widget-operator"),
    )
    assert_type(await controller.run(), None)
    assert_type(controller.queue, WorkQueue[str])
    assert_type(controller.started, bool)
    assert_type(controller.last_failure, str | None)
    controller.event("shop/web-0", "Created", "made")
    controller.event("shop/web-0", "Failed", "no quota", type="Warning", action="Create")
    kinform.prometheus.register(controller.queue, controller.events)
    Controller(pods, without_result, predicate=lambda old, new: old != new)


async def finalizers_have_the_type_of_the_result(api: kinform.Connection, pods: kinform.Informer[Pod]) -> None:
    assert_type(await ensure_finalizer(api, "v1/pods", "shop/web-0", "example.com/f"), dict[str, Any])
    assert_type(await ensure_finalizer(api, pods, pods.store["shop/web-0"], "example.com/f", type=Pod), Pod)
    assert_type(await remove_finalizer(api, pods, b"{}", "example.com/f", type=Pod), Pod | None)


async def events_are_about_objects_of_any_form(api: kinform.Connection, pod: Pod) -> None:
    async with EventRecorder(api, reporting_controller="example.com/operator") as events:
        assert_type(events, EventRecorder)
        events.event(pod, "Created", "made")
        events.event({"kind": "Pod"}, "Failed", "no quota", type="Warning", action="Create")
        assert_type(events.stats().dropped, int)
