"""Mistakes that type checkers report. Checked by `make lint`, never run.

Each ignored error must exist: both type checkers report an `ignore` that ignores nothing.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true
from __future__ import annotations

import kinform
import kinform.prometheus
from kinform import Infomer  # type: ignore[attr-defined]  # noqa: F401
from kinform.controllers import (
    Controller,
    EventRecorder,
    LeaderElection,
    Requeue,
    Shards,
    WorkQueue,
    ensure_finalizer,
)
from tests.typing.doors import Pod, a_function_takes_a_change


async def misspelt_names(url: str) -> None:
    await kinform.conect(url)  # type: ignore[attr-defined]
    kinform.NotFoundErorr  # type: ignore[attr-defined]  # noqa: B018
    kinform.controler  # type: ignore[attr-defined]  # noqa: B018
    kinform.sync.conect(url)  # type: ignore[attr-defined]
    kinform.sync.connect(42)  # type: ignore[arg-type]
    kinform.testing.Server(port="0")  # type: ignore[arg-type]
    kinform.watch.Watch(on_expired="retry")  # type: ignore[arg-type]


def options(api: kinform.Connection) -> None:
    kinform.Scope(namespaces="shop")  # type: ignore[arg-type]
    kinform.Scope(names="web-0")  # type: ignore[arg-type]
    kinform.Prune(drop="metadata.managedFields")  # type: ignore[arg-type]
    kinform.WatchOptions(initial="snapshot")  # type: ignore[arg-type]
    kinform.Informer(42, "v1/pods")  # type: ignore[arg-type]
    kinform.Informer(api, 42)  # type: ignore[arg-type]
    kinform.Informer(api, "v1/pods", type=Pod({}))  # type: ignore[arg-type]
    kinform.Informer(api, "v1/pods", selector="app=web")  # type: ignore[call-arg]
    kinform.Informer(api, "v1/pods", start="later")  # type: ignore[arg-type]


def factories(api: kinform.Connection) -> None:
    factory = kinform.Factory(api)
    kinform.Factory(42)  # type: ignore[arg-type]
    kinform.Factory(api, max_concurrent_syncs="4")  # type: ignore[arg-type]
    factory.informer("v1/pods", selector="app=web")  # type: ignore[call-arg]
    factory.informer("v1/pods", type=Pod({}))  # type: ignore[arg-type]
    factory.informer(api, "v1/pods")  # type: ignore[arg-type, call-arg]


def results(pods: kinform.Informer[Pod]) -> None:
    pods.store.get("shop/web-0").metadata  # type: ignore[union-attr]  # noqa: B018
    pods.store["shop/web-0"].spec  # type: ignore[attr-defined]  # noqa: B018
    pods.store.index("node")  # type: ignore[call-arg]
    pods.store["shop/web-0"] = Pod({})  # type: ignore[index]
    len(pods.store.items(label_selector="app=web"))  # type: ignore[arg-type]
    pods.expect("shop/web-0")  # type: ignore[arg-type]
    pods.store.items(on_undecodable="ignore")  # type: ignore[call-overload]


def handlers(pods: kinform.Informer[Pod]) -> None:
    @pods.on_add  # type: ignore[arg-type]
    def two_arguments(old: Pod, new: Pod) -> None: ...

    @pods.on_update  # type: ignore[arg-type]
    def one_argument(pod: Pod) -> None: ...

    @pods.on_update  # type: ignore[arg-type]
    def old_may_be_none(old: Pod, new: Pod) -> None: ...

    @pods.on_delete  # type: ignore[arg-type]
    def another_type(pod: kinform.Meta) -> None: ...

    @pods.on_change  # type: ignore[arg-type]
    def not_a_key(pod: Pod) -> None: ...


async def an_event_needs_a_check_of_its_kind(pods: kinform.Informer[Pod]) -> None:
    async for change in pods.changes():
        change.object.metadata  # type: ignore[union-attr]  # noqa: B018


def a_change_has_the_objects_of_its_type(change: kinform.Change[kinform.Meta]) -> None:
    a_function_takes_a_change(change)  # type: ignore[arg-type]


def a_function_takes_an_informer_of_its_type(pods: kinform.Informer) -> None:
    _ = an_event_needs_a_check_of_its_kind(pods)  # type: ignore[arg-type]


async def verbs(api: kinform.Connection, pod: Pod) -> None:
    await api.create("v1/pods", "web-0")  # type: ignore[arg-type]
    await api.apply("v1/pods", pod)  # type: ignore[call-arg]
    await api.patch("v1/pods", "shop/web-0", {}, how="replace")  # type: ignore[arg-type]
    await api.delete("v1/pods", "shop/web-0", propagation="background")  # type: ignore[arg-type]
    await api.get("v1/pods", "shop/web-0", type=pod)  # type: ignore[arg-type]
    (await api.get("v1/pods", "shop/web-0", type=Pod)).spec  # type: ignore[attr-defined]  # noqa: B018
    for _ in api.list("v1/pods"):  # type: ignore[attr-defined]
        pass


def sources(pods: kinform.Informer[Pod]) -> None:
    kinform.prometheus.register(pods.store)  # type: ignore[arg-type]
    kinform.prometheus.Collector([pods])  # type: ignore[arg-type]
    kinform.prometheus.register(pods, registry=None)  # type: ignore[arg-type]


def shards(api: kinform.Connection) -> None:
    kinform.Scope(shard="3/8")  # type: ignore[arg-type]
    kinform.Scope(shards=(3, 8))  # type: ignore[arg-type]
    Shards(api, "shop/widget-shards")  # type: ignore[call-arg]


def elections(api: kinform.Connection, transport: kinform.Transport) -> None:
    LeaderElection(transport, "shop/widget-operator")  # type: ignore[arg-type]
    LeaderElection(api, "shop/widget-operator", lease_seconds="40")  # type: ignore[arg-type]
    election = LeaderElection(api, "shop/widget-operator")

    @election.on_new_leader  # type: ignore[type-var]
    def no_argument() -> None: ...


async def work_queues(queue: WorkQueue[str]) -> None:
    queue.add(7)  # type: ignore[arg-type]
    queue.add("shop/web-0", 7)  # type: ignore[call-arg]
    queue.add_after("shop/web-0")  # type: ignore[call-arg]
    WorkQueue[list[str]]()  # type: ignore[type-var]


def controllers(pods: kinform.Informer[Pod]) -> None:
    def synchronous(key: str) -> None: ...

    async def of_an_object(pod: Pod) -> None: ...

    async def of_a_key(key: str) -> None: ...

    Controller(pods, synchronous)  # type: ignore[arg-type]
    Controller(pods, of_an_object)  # type: ignore[arg-type]
    Controller("v1/pods", of_a_key)  # type: ignore[arg-type]
    Controller(pods, of_a_key, owns=pods)  # type: ignore[arg-type]
    Controller(pods, of_a_key, watches={pods: lambda change: 7})  # type: ignore[dict-item, return-value]
    Requeue(600)  # type: ignore[call-arg]


async def events_and_finalizers(api: kinform.Connection, events: EventRecorder) -> None:
    events.event({}, "Failed", "no quota", type="Error")  # type: ignore[arg-type]
    events.event({}, "Failed")  # type: ignore[call-arg]
    EventRecorder(api)  # type: ignore[call-arg]
    await ensure_finalizer(api, "v1/pods", 7, "example.com/f")  # type: ignore[arg-type]
