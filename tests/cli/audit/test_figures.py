"""The figures of an audit: equal to counts that are made in another way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import kinform
from kinform.cli.audit.leases import LeaseAges
from kinform.cli.audit.report import Collection, NamespaceShare, Report
from kinform.cli.audit.sections import document
from kinform.cli.audit.survey import Survey
from kinform.testing import Forbidden, Server
from tests.support.clusters import RealCluster, real_cluster
from tests.support.controlplane.pool import ControlPlanePool

METRICS = "metrics.k8s.io/v1beta1/pods"
Object = dict[str, Any]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as server:
        server.register(METRICS, kind="PodMetrics")
        server.register("example.com/v1/widgets", kind="Widget")
        yield server


async def audit(server: Server, *, lease_seconds: float = 0.0) -> Report:
    async with kinform.connect(server.url) as api:
        return await survey(api, lease_seconds)


async def survey(api: kinform.Connection, lease_seconds: float = 0.0) -> Report:
    return await Survey(api, cluster="c", lease_seconds=lease_seconds, on_progress=lambda *_: None).run()


def collection(report: Report, resource: str) -> Collection:
    return next(each for each in report.collections if each.resource == resource)


def pod(name: str, account: str, owner: tuple[str, str] | None = None, namespace: str = "ops", **labels: str) -> Object:
    metadata: Object = {"name": name, "namespace": namespace, "labels": labels}
    if owner is not None:
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "uid": f"u-{owner[1]}", "controller": True}
        ]
    return {"metadata": metadata, "spec": {"serviceAccountName": account, "containers": [{"name": "c", "image": "i"}]}}


def role(name: str, *rules: tuple[str, str, str]) -> Object:
    """A ClusterRole with rules of group, resource and verbs."""
    listed = [
        {"apiGroups": [group], "resources": [resource], "verbs": verbs.split()} for group, resource, verbs in rules
    ]
    return {"metadata": {"name": name}, "rules": listed}


def binding(role_name: str, *subjects: Object) -> Object:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role_name}
    return {"metadata": {"name": f"bind-{role_name}"}, "roleRef": reference, "subjects": list(subjects)}


def account(name: str, namespace: str = "ops") -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def group(name: str) -> Object:
    return {"kind": "Group", "name": name, "apiGroup": "rbac.authorization.k8s.io"}


class TestSizes:
    async def test_sizes_equal_those_of_the_server(self, server: Server) -> None:
        keys = server.generate("v1/pods", 1_200)
        found = collection(await audit(server), "v1/pods")
        raws = [server.raw("v1/pods", key) or b"" for key in keys]
        objects = [json.loads(raw) for raw in raws]
        managed = [obj["metadata"].pop("managedFields", None) for obj in objects]
        pruned = [compact(obj) for obj in objects]
        assert found.objects == 1_200
        assert found.wire_bytes == sum(map(len, raws))
        assert all(managed)
        assert found.pruned_bytes == sum(map(len, pruned))
        assert found.metadata_bytes == sum(len(compact(obj["metadata"])) for obj in objects)

    async def test_namespaces_are_summed_over_all_resources(self, server: Server) -> None:
        for namespace, count in (("a", 3), ("b", 1)):
            for number in range(count):
                server.put("v1/configmaps", {"metadata": {"name": f"m{number}", "namespace": namespace}})
        server.put("v1/secrets", {"metadata": {"name": "s", "namespace": "b"}, "data": {"k": "x" * 4000}})
        report = await audit(server)
        maps, secret = collection(report, "v1/configmaps"), collection(report, "v1/secrets")
        assert [(each.namespace, each.objects) for each in maps.largest] == [("a", 3), ("b", 1)]
        assert (maps.namespaces, secret.namespaces) == (2, 1)
        assert report.largest_namespaces == [
            NamespaceShare("b", 2, maps.largest[1].bytes + secret.wire_bytes),
            NamespaceShare("a", 3, maps.largest[0].bytes),
        ]

    async def test_growth_counts_recent_objects(self, server: Server) -> None:
        now = datetime.now(UTC)
        for days in (0, 2, 3, 10, 40):
            created = (now - timedelta(days=days, hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            name = f"d{days}"
            server.put("v1/configmaps", {"metadata": {"name": name, "namespace": "a", "creationTimestamp": created}})
        growth = collection(await audit(server), "v1/configmaps").growth
        assert (growth.day, growth.week, growth.month) == (1, 3, 4)

    async def test_copies_of_each_client_are_compared(self, server: Server) -> None:
        server.generate("v1/pods", 300)
        found = collection(await audit(server), "v1/pods")
        estimates = {each.client: each for each in found.estimates}
        assert {name for name, each in estimates.items() if each.measured} == {"kinform"}
        async with kinform.connect(server.url) as api, kinform.Informer(api, "v1/pods") as pods:
            await pods.synced(timeout=20)
            held = pods.stats().memory.held_bytes
        assert estimates["kinform"].bytes == pytest.approx(held, rel=0.3)
        assert estimates["dicts in Python"].bytes > estimates["client-go"].bytes > found.pruned_bytes

    async def test_long_conditions_are_reported(self, server: Server) -> None:
        for name, count in (("short", 3), ("long", 21), ("longest", 50)):
            conditions = [{"type": f"T{number}", "status": "True"} for number in range(count)]
            server.put(
                "example.com/v1/widgets",
                {"metadata": {"name": name, "namespace": "a"}, "status": {"conditions": conditions}},
            )
        server.put("example.com/v1/widgets", {"metadata": {"name": "odd", "namespace": "a"}, "status": "text"})
        long = collection(await audit(server), "example.com/v1/widgets").conditions
        assert long is not None
        assert (long.longest, long.key, long.over, long.limit) == (50, "a/longest", 2, 20)

    async def test_times_without_a_zone_are_reported_as_unread(self, server: Server) -> None:
        created = {"creationTimestamp": "2026-01-01T00:00:00"}
        server.put("example.com/v1/widgets", {"metadata": {"name": "odd", "namespace": "a", **created}})
        server.put("example.com/v1/widgets", {"metadata": {"name": "w", "namespace": "a"}})
        spec = {"holderIdentity": "x", "renewTime": "2026-01-01T00:00:00"}
        server.put("coordination.k8s.io/v1/leases", {"metadata": {"name": "l", "namespace": "a"}, "spec": spec})
        report = await audit(server)
        assert collection(report, "example.com/v1/widgets").objects == 2
        (unseen,) = (each for each in report.unseen if each.what == "example.com/v1/widgets")
        assert unseen.why.startswith("1 objects have another form")
        assert report.leases is not None
        assert report.leases.held == 0

    async def test_an_empty_cluster_has_a_report(self, server: Server) -> None:
        report = await audit(server)
        assert not any(each.objects for each in report.collections)
        assert (report.nodes, report.namespaces, report.watchers) == (0, 0, [])


class TestWatchers:
    async def test_daemon_sets_come_first_and_then_the_largest(self, server: Server) -> None:
        server.put("v1/configmaps", {"metadata": {"name": "m", "namespace": "a"}, "data": {"k": "x" * 1000}})
        for name in ("reader", "admin", "narrow"):
            server.put("rbac.authorization.k8s.io/v1/clusterrolebindings", binding(name, account(name)))
        roles = [
            role("reader", ("", "configmaps", "get list watch")),
            role("admin", ("*", "*", "*")),
            role("narrow", ("", "configmaps", "get"), ("", "secrets", "list")),
        ]
        for each in roles:
            server.put("rbac.authorization.k8s.io/v1/clusterroles", each)
        for number in range(3):
            server.put("v1/pods", pod(f"agent-{number}", "reader", ("DaemonSet", "agent")))
        for number in range(2):
            name = f"op-5d8f-{number}"
            labels = {"pod-template-hash": "5d8f"}
            server.put("v1/pods", pod(name, "admin", ("ReplicaSet", "op-5d8f"), **labels))
        server.put("v1/pods", pod("alone", "narrow"))
        report = await audit(server)
        maps = collection(report, "v1/configmaps")
        assert [(each.kind, each.name, each.processes) for each in report.watchers] == [
            ("DaemonSet", "agent", 3),
            ("Deployment", "op", 2),
        ]
        agent, operator = report.watchers
        assert (agent.resources, agent.everything) == (["v1/configmaps"], False)
        assert (agent.bytes, agent.bytes_of_all_processes) == (maps.pruned_bytes, 3 * maps.pruned_bytes)
        assert operator.everything
        assert operator.bytes == sum(each.pruned_bytes for each in report.collections)

    @pytest.mark.parametrize(
        ("subject", "may"),
        [
            (account("agent"), True),
            (account("agent", "other"), False),
            (group("system:serviceaccounts"), True),
            (group("system:serviceaccounts:ops"), True),
            (group("system:serviceaccounts:other"), False),
            (group("system:authenticated"), True),
            ({"kind": "User", "name": "system:serviceaccount:ops:agent"}, True),
            ({"kind": "User", "name": "agent"}, False),
        ],
    )
    async def test_each_form_of_a_subject_is_understood(self, server: Server, subject: Object, may: bool) -> None:
        server.put("rbac.authorization.k8s.io/v1/clusterroles", role("r", ("", "pods", "list watch")))
        server.put("rbac.authorization.k8s.io/v1/clusterrolebindings", binding("r", subject))
        server.put("v1/pods", pod("agent-0", "agent", ("DaemonSet", "agent")))
        assert bool((await audit(server)).watchers) is may

    async def test_verbs_of_several_roles_add_up(self, server: Server) -> None:
        for name, verb in (("lists", "list"), ("watches", "watch")):
            server.put("rbac.authorization.k8s.io/v1/clusterroles", role(name, ("", "pods", verb)))
            server.put("rbac.authorization.k8s.io/v1/clusterrolebindings", binding(name, account("agent")))
        server.put("v1/pods", pod("agent-0", "agent"))
        assert [each.resources for each in (await audit(server)).watchers] == [["v1/pods"]]

    async def test_a_rule_with_names_gives_no_collection(self, server: Server) -> None:
        limited = role("r", ("", "pods", "list watch"))
        limited["rules"][0]["resourceNames"] = ["agent-0"]
        server.put("rbac.authorization.k8s.io/v1/clusterroles", limited)
        server.put("rbac.authorization.k8s.io/v1/clusterrolebindings", binding("r", account("agent")))
        server.put("v1/pods", pod("agent-0", "agent"))
        assert (await audit(server)).watchers == []

    async def test_memory_is_that_of_metrics(self, server: Server) -> None:
        server.put("rbac.authorization.k8s.io/v1/clusterroles", role("r", ("", "pods", "list watch")))
        server.put("rbac.authorization.k8s.io/v1/clusterrolebindings", binding("r", account("agent")))
        for name, used in (("agent-0", ["100Mi", "1Gi"]), ("agent-1", ["4096Ki"])):
            server.put("v1/pods", pod(name, "agent", ("DaemonSet", "agent")))
            containers = [{"name": f"c{number}", "usage": {"memory": size}} for number, size in enumerate(used)]
            server.put(METRICS, {"metadata": {"name": name, "namespace": "ops"}, "containers": containers})
        (agent,) = (await audit(server)).watchers
        assert agent.largest_memory_bytes == (100 << 20) + (1 << 30)
        assert agent.memory_bytes == (104 << 20) + (1 << 30)


class TestLeases:
    async def test_renewals_are_counted(self, server: Server) -> None:
        now = datetime.now(UTC)
        leases = [("kube-node-lease/n1", 2.0), ("kube-node-lease/n2", 4.0), ("shop/leader", 9.0)]
        for key, age in leases:
            namespace, name = key.split("/")
            renewed = (now - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            spec = {"holderIdentity": "x", "renewTime": renewed}
            server.put(
                "coordination.k8s.io/v1/leases", {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
            )
        server.put("coordination.k8s.io/v1/leases", {"metadata": {"name": "free", "namespace": "shop"}, "spec": {}})

        async def renew() -> None:
            while not server.watchers:
                await asyncio.sleep(0.01)
            for _ in range(20):
                await asyncio.sleep(0.05)
                server.touch("coordination.k8s.io/v1/leases", "kube-node-lease/n1")

        renewing = asyncio.create_task(renew())
        found = (await audit(server, lease_seconds=2.0)).leases
        await renewing
        assert found is not None
        assert (found.leases, found.held) == (4, 3)
        assert found.age_p50 == pytest.approx(4.0, abs=2.0)
        assert found.age_p99 == pytest.approx(9.0, abs=2.0)
        assert found.seconds >= 1.9
        assert round(found.renewals_per_second * found.seconds) in range(15, 21)
        assert [(each.name, each.leases) for each in found.renewers[:1]] == [("nodes", 2)]
        assert found.other_renewers == 0

    async def test_leases_that_are_not_listed_are_counted(self, server: Server) -> None:
        for number in range(12):
            server.put("coordination.k8s.io/v1/leases", {"metadata": {"name": f"l{number}", "namespace": "shop"}})
        report = await audit(server)
        assert report.leases is not None
        assert (len(report.leases.renewers), report.leases.other_renewers) == (10, 2)
        (section,) = (each for each in document(report).sections if each.title == "Leases")
        assert section.text.endswith("2 more are not listed.")

    @pytest.mark.parametrize(
        ("ages", "median", "p99"),
        [([], 0, 0), ([4], 4, 4), ([2, 15], 2, 15), (range(1, 101), 50, 99), (range(1, 202), 101, 199)],
    )
    def test_percentiles_are_of_the_nearest_rank(self, ages: Iterable[int], median: int, p99: int) -> None:
        now = datetime.now(UTC)
        leases = LeaseAges(now)
        for age in ages:
            renewed = (now - timedelta(seconds=age)).isoformat()
            leases.add(json.dumps({"spec": {"holderIdentity": "x", "renewTime": renewed}}).encode())
        found = leases.report(0.0)
        assert (found.age_p50, found.age_p99) == (median, p99)


class TestPartialRights:
    @pytest.mark.parametrize("resource", ["v1/secrets", "rbac.authorization.k8s.io/v1/clusterroles", METRICS])
    async def test_what_is_forbidden_is_said_and_the_rest_goes_on(self, server: Server, resource: str) -> None:
        server.generate("v1/pods", 5)
        server.fault(Forbidden(), resource=resource, times=None)
        report = await audit(server)
        assert any("403" in each.why for each in report.unseen)
        assert collection(report, "v1/pods").objects == 5
        assert not any(each.resource == resource for each in report.collections)


@pytest.fixture
async def alone(control_plane_pool: ControlPlanePool) -> AsyncIterator[RealCluster]:
    """A control plane of its own, which keeps what a test creates."""
    async with real_cluster(await control_plane_pool.get("--event-ttl=61m")) as cluster:
        yield cluster
        cluster.api.created.clear()  # thousands of namespaces, one request for each


@pytest.mark.real
async def test_figures_of_a_real_control_plane_equal_a_count(alone: RealCluster) -> None:
    workloads = [(f"agent{number}", number % 2 == 0) for number in range(10)]
    for name, may in workloads:
        await alone.api.create(
            "rbac.authorization.k8s.io/v1/clusterroles",
            role(name, ("", "configmaps", "list watch" if may else "get")),
        )
        await alone.api.create(
            "rbac.authorization.k8s.io/v1/clusterrolebindings", binding(name, account(name, alone.namespace))
        )
        await alone.api.create("v1/serviceaccounts", {"metadata": {"name": name, "namespace": alone.namespace}})
        await alone.api.create("v1/pods", pod(f"{name}-0", name, ("DaemonSet", name), namespace=alone.namespace))

    async def create(numbers: range) -> None:
        for number in numbers:
            await alone.api.create("v1/namespaces", {"metadata": {"name": f"n{number}"}})

    await asyncio.gather(*(create(range(start, 5_000, 20)) for start in range(20)))
    async with kinform.connect(alone.url, **alone.connect_options) as api:
        report = await survey(api)
    assert sorted(each.name for each in report.watchers) == [name for name, may in workloads if may]
    for found in report.collections:
        items = (await alone.api.list_raw(found.resource)).json()["items"]
        assert found.objects == len(items), found.resource
        for share in found.largest:
            assert share.objects == sum(item["metadata"].get("namespace") == share.namespace for item in items)
    names = {each.resource for each in report.collections}
    assert {"v1/namespaces", "v1/pods", "apps/v1/deployments", "coordination.k8s.io/v1/leases"} <= names
    namespaces = collection(report, "v1/namespaces")
    assert namespaces.objects >= 5_000
    listed = (await alone.api.list_raw("v1/namespaces")).json()["items"]
    assert namespaces.wire_bytes == sum(
        len(compact({"apiVersion": "v1", "kind": "Namespace", **item})) for item in listed
    )


@pytest.mark.real
async def test_a_real_server_with_partial_rights_has_a_report(real: RealCluster) -> None:
    name = f"{real.namespace}-pods"
    await real.api.create("rbac.authorization.k8s.io/v1/clusterroles", role(name, ("", "pods", "list")))
    user = {"kind": "User", "name": "unprivileged", "apiGroup": "rbac.authorization.k8s.io"}
    await real.api.create("rbac.authorization.k8s.io/v1/clusterrolebindings", binding(name, user))
    async with kinform.connect(real.url, **real.connect_options_of("unprivileged")) as api:
        async with asyncio.timeout(10):
            while (report := await survey(api)).collections == []:  # the server reads its roles from a cache
                await asyncio.sleep(0.1)
    assert [each.resource for each in report.collections] == ["v1/pods"]
    unseen = {each.what: each.why for each in report.unseen}
    assert "403" in unseen["v1/secrets"]
    assert "403" in unseen["who may watch what"]
    assert report.leases is None


def compact(obj: object) -> bytes:
    """JSON as Go writes it."""
    text = json.dumps(obj, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode()
