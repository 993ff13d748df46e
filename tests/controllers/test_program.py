"""An operator with all parts of a controller runs as a user would write it.

On the simulator and on a real kube-apiserver, with the credentials of a kubeconfig.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

import kinform
from kinform.controllers import Controller, LeaderElection, Requeue, WorkQueue
from tests.support.clusters import Cluster
from tests.support.waiting import until

LEASES = "coordination.k8s.io/v1/leases"


class Meta(msgspec.Struct):
    name: str
    namespace: str
    uid: str


class Widget(msgspec.Struct):
    apiVersion: str
    kind: str
    metadata: Meta
    size: int = 1


class ConfigMap(msgspec.Struct):
    metadata: Meta
    data: dict[str, str] = {}


def wanted(widget: Widget) -> dict[str, Any]:
    meta = widget.metadata
    owner = {
        "apiVersion": widget.apiVersion,
        "kind": widget.kind,
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
    }
    metadata = {
        "namespace": meta.namespace,
        "name": meta.name,
        "labels": {"app": "widget"},
        "ownerReferences": [owner],
    }
    return {"kind": "ConfigMap", "metadata": metadata, "data": {"size": str(widget.size)}}


async def test_an_operator_keeps_what_its_widgets_want(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    resource = await cluster.create_custom_resource()
    shop = cluster.namespace
    calls: list[str] = []
    found: list[Controller] = []

    async def operate() -> None:
        async with kinform.connect() as api, kinform.Factory(api) as factory:
            widgets = factory.informer(resource, type=Widget)
            maps = factory.informer("v1/configmaps", scope=kinform.Scope(label_selector="app=widget"), type=ConfigMap)
            nodes = factory.informer("v1/nodes")

            def keys_for(change: kinform.Added[Any] | kinform.Updated[Any] | kinform.Deleted[Any]) -> list[str]:
                return list(widgets.store)

            async def reconcile(key: str) -> Requeue | None:
                calls.append(key)
                widget = widgets.store.get(key)
                if widget is not None:
                    await api.apply("v1/configmaps", wanted(widget), field_manager="widget-operator", force=True)
                return Requeue(after=600)

            controller = Controller(
                widgets,
                reconcile,
                owns=[maps],
                watches={nodes: lambda change: keys_for(change)},
                workers=4,
                backoff=kinform.Backoff(initial=0.005, maximum=1000.0),
                reconcile_timeout=120,
                leader=LeaderElection(api, f"{shop}/widget-operator"),
            )
            found.append(controller)
            await controller.run()

    operator = asyncio.create_task(operate())
    async with kinform.connect() as api:

        async def has_size(size: str) -> bool:
            try:
                return (await api.get("v1/configmaps", f"{shop}/a", type=ConfigMap)).data == {"size": size}
            except kinform.NotFoundError:
                return False

        async def is_led() -> bool:
            try:
                return bool((await api.get(LEASES, f"{shop}/widget-operator"))["spec"]["holderIdentity"])
            except kinform.NotFoundError:
                return False

        await cluster.create("a", resource, size=1)
        await until(lambda: has_size("1"), within=30)
        assert await is_led()
        await cluster.delete("a", "v1/configmaps")
        await until(lambda: has_size("1"))
        await cluster.replace("a", resource, size=2)
        await until(lambda: has_size("2"))
        await until(lambda: found[0].queue.stats().delayed == 1)  # Requeue(after=600)
        calls.clear()
        await cluster.api.create("v1/nodes", {"kind": "Node", "metadata": {"name": f"node-{shop}"}})
        await until(lambda: f"{shop}/a" in calls)
        operator.cancel()
        with pytest.raises(asyncio.CancelledError):
            await operator
        assert not await is_led()


async def test_a_work_queue_and_an_election_stand_alone(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    async with kinform.connect() as api:
        election = LeaderElection(
            api,
            f"{cluster.namespace}/worker",
            identity=None,
            lease_seconds=40,
            renew_deadline=30,
            retry_seconds=10,
            release_on_stop=True,
            warm=True,
        )
        async with election.leading() as term:
            queue = WorkQueue[str]()
            queue.add("shop/web-0")
            async with queue.item() as key:
                assert (key, term.lost.is_set()) == ("shop/web-0", False)
            assert term.transitions > 0
