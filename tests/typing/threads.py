"""Types that type checkers infer for kinform.sync.

Checked by `make lint`, never run.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true
from __future__ import annotations

from collections.abc import Generator
from typing import Any, assert_type

import kinform
import kinform.sync
from kinform.sync import Changes
from tests.typing.doors import Pod

Event = kinform.Added[Pod] | kinform.Updated[Pod] | kinform.Deleted[Pod] | kinform.Synced
StreamEvent = kinform.Init | kinform.InitApply | kinform.InitDone | kinform.Apply | kinform.Delete


def an_informer_without_a_type_gives_dicts(api: kinform.sync.Connection) -> None:
    informer = kinform.sync.Informer(api, "v1/pods")
    assert_type(informer, kinform.sync.Informer[dict[str, Any]])
    assert_type(informer.store, kinform.Store[dict[str, Any]])
    assert_type(informer.failed(), Exception)


def an_informer_gives_objects_of_its_type() -> None:
    with (
        kinform.sync.connect() as api,
        kinform.sync.Informer(api, "v1/pods", type=Pod, indexes={"node": "spec.nodeName"}) as pods,
    ):
        assert_type(api, kinform.sync.Connection)
        assert_type(pods, kinform.sync.Informer[Pod])
        assert_type(pods.synced(timeout=60), None)
        assert_type(pods.store.get("shop/web-0"), Pod | None)
        assert_type(pods.stats(), kinform.Stats)
        assert_type(pods.health(), kinform.Health)
        changes = pods.changes()
        assert_type(changes, Changes[Pod])
        assert_type(changes.next(timeout=1), Event | None)
        for change in changes:
            assert_type(change, Event)
            takes_a_change(change)


def takes_a_change(change: kinform.Change[Pod]) -> None:
    assert_type(change, Event)


def handlers_take_objects_of_the_type(pods: kinform.sync.Informer[Pod]) -> None:
    @pods.on_add
    def added(pod: Pod) -> None: ...

    @pods.on_update
    def updated(old: Pod | None, new: Pod) -> int:
        return 0

    @pods.on_change
    def changed(key: str) -> None: ...

    added(Pod({}))
    assert_type(updated(None, Pod({})), int)


def an_informer_takes_every_kind_of_api(
    connection: kinform.sync.Connection, transport: kinform.Transport, configuration: Any
) -> None:
    kinform.sync.Informer(connection, "v1/pods")
    kinform.sync.Informer(transport, kinform.Resource(version="v1", plural="pods"))
    kinform.sync.connect(configuration=configuration)


def a_factory_gives_informers_of_each_type(api: kinform.sync.Connection) -> None:
    with kinform.sync.Factory(api) as factory:
        assert_type(factory, kinform.sync.Factory)
        assert_type(factory.informer("v1/pods", type=Pod), kinform.sync.Informer[Pod])
        assert_type(factory.informer("v1/pods"), kinform.sync.Informer[dict[str, Any]])
        assert_type(factory.stats(), kinform.FactoryStats)


def streams_are_iterated(api: kinform.sync.Connection) -> None:
    writer, store = kinform.sync.store(type=Pod)
    assert_type(store, kinform.Store[Pod])
    stream = kinform.sync.watcher(api, "v1/pods")
    for event in stream:
        assert_type(event, StreamEvent)
    assert_type(kinform.sync.reflector(writer, stream), Generator[StreamEvent, None, None])


def verbs_give_objects_of_the_type(api: kinform.sync.Connection) -> None:
    for plain in api.list("v1/pods"):
        assert_type(plain, dict[str, Any])
    assert_type(api.list("v1/pods", type=Pod), Generator[Pod, None, None])
    assert_type(api.get("v1/pods", "shop/web-0", type=Pod), Pod)
    assert_type(api.create("v1/pods", Pod({})), dict[str, Any])
    assert_type(api.patch("v1/pods", "shop/web-0", {"spec": {}}, type=Pod), Pod)
    assert_type(api.apply("v1/pods", {}, field_manager="me"), dict[str, Any])
    assert_type(api.replace("v1/pods", Pod({}), type=Pod), Pod)
    assert_type(api.delete("v1/pods", "shop/web-0", propagation="Orphan"), dict[str, Any])
    api.patch("v1/pods", "shop/web-0", {}, how="replace")  # type: ignore[arg-type]


def mistakes(
    api: kinform.Connection, blocking: kinform.sync.Connection, pods: kinform.sync.Informer[Pod], config: kinform.Meta
) -> None:
    kinform.Informer(blocking, "v1/pods")  # type: ignore[arg-type]
    kinform.sync.Informer(42, "v1/pods")  # type: ignore[arg-type]
    kinform.sync.connect(configuration=config)  # type: ignore[arg-type]
    pods.store.get("shop/web-0").metadata  # type: ignore[union-attr]  # noqa: B018

    @pods.on_add  # type: ignore[arg-type]
    def two_arguments(old: Pod, new: Pod) -> None: ...

    for change in pods.changes():
        change.object.metadata  # type: ignore[union-attr]  # noqa: B018
