"""The webhook of coarse leases at a real kube-apiserver, and its script at etcd."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controllers.coarse_leases import CHART, NAMESPACE, Webhook, configuration, defragment, helm, render, webhook
from tests.support.admin import path_of
from tests.support.clusters import RealCluster
from tests.support.waiting import until

LEASES = "coordination.k8s.io/v1/leases"
CONFIGURATIONS = "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
HEARTBEAT = {"coarse-leases.example.com/kind": "heartbeat"}
RENEWAL = 10.0

pytestmark = pytest.mark.timeout(180)


def at(second: int) -> str:
    return f"2026-04-01T12:{second // 60:02}:{second % 60:02}.000000Z"


def lease(namespace: str, name: str, labels: dict[str, str] | None = None, **spec: Any) -> Any:
    about = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    fields = {"holderIdentity": "pod-1", "leaseTransitions": 2, "leaseDurationSeconds": 40, "renewTime": at(0)}
    return {**about, "metadata": {"namespace": namespace, "name": name, "labels": labels or {}}, "spec": fields | spec}


async def enable(real: RealCluster, namespace: str) -> None:
    found = (await real.api.get("v1/namespaces", namespace)).json()
    found["metadata"].setdefault("labels", {})["coarse-leases.example.com/enabled"] = "true"
    await real.api.replace("v1/namespaces", found)


@pytest.fixture
async def installed(real: RealCluster) -> AsyncIterator[Webhook]:
    """The webhook and its configuration. The namespace of the test takes part."""
    await enable(real, real.namespace)
    async with webhook(RENEWAL) as running:
        await real.api.create(CONFIGURATIONS, configuration(running.port))

        async def asked() -> bool:
            body = lease(real.namespace, "probe", HEARTBEAT)
            path = path_of(LEASES, real.namespace)
            answer = await real.api.request("POST", path, params={"dryRun": "All"}, body=body)
            return bool(answer.json()["metadata"]["name"] == f"ns-lease-{real.namespace}")

        await until(asked, within=30)
        yield running


async def test_a_heartbeat_becomes_the_lease_of_its_namespace(real: RealCluster, installed: Webhook):
    found = await real.api.create(LEASES, lease(real.namespace, "pod-1", HEARTBEAT))
    assert found["metadata"]["name"] == f"ns-lease-{real.namespace}"
    assert found["spec"] == {"leaseDurationSeconds": 40, "renewTime": at(0)}


async def test_a_second_creator_gets_a_conflict(real: RealCluster, installed: Webhook):
    await real.api.create(LEASES, lease(real.namespace, "pod-1", HEARTBEAT))
    path = path_of(LEASES, real.namespace)
    answer = await real.api.request("POST", path, body=lease(real.namespace, "pod-2", HEARTBEAT))
    assert (answer.status, answer.json()["reason"]) == (409, "AlreadyExists")


async def test_a_renewal_that_comes_too_soon_is_no_write(real: RealCluster, installed: Webhook):
    found = await real.api.create(LEASES, lease(real.namespace, "pod-1", HEARTBEAT))
    name = found["metadata"]["name"]
    versions = [found["metadata"]["resourceVersion"]]
    for second, holder in ((1, "pod-2"), (9, "pod-3"), (10, "pod-4")):
        renewed = lease(real.namespace, name, HEARTBEAT, renewTime=at(second), holderIdentity=holder)
        found = await real.api.replace(LEASES, renewed)
        versions.append(found["metadata"]["resourceVersion"])
    assert len(set(versions[:3])) == 1
    assert versions[3] != versions[0]
    assert found["spec"] == {"leaseDurationSeconds": 40, "renewTime": at(10)}


async def test_leases_of_elections_and_nodes_stay_as_they_are(real: RealCluster, installed: Webhook):
    election = lease(real.namespace, "scheduler")
    coordinated = lease(real.namespace, "coordinated", HEARTBEAT, strategy="OldestEmulationVersion")
    nodes = (await real.api.get("v1/namespaces", "kube-node-lease")).status
    if nodes != 200:
        await real.api.create("v1/namespaces", {"metadata": {"name": "kube-node-lease"}})
    await enable(real, "kube-node-lease")
    node = lease("kube-node-lease", "node-1", HEARTBEAT)
    for each in (election, coordinated, node):
        found = await real.api.create(LEASES, each)
        assert found["metadata"]["name"] == each["metadata"]["name"]
        assert found["spec"]["holderIdentity"] == "pod-1"


async def test_a_lease_outside_of_enabled_namespaces_stays(real: RealCluster, installed: Webhook):
    found = await real.api.create(LEASES, lease("default", f"pod-{real.namespace}", HEARTBEAT))
    assert found["spec"]["holderIdentity"] == "pod-1"


async def test_without_the_webhook_leases_are_created_unchanged(real: RealCluster, installed: Webhook):
    assert await installed.stop() == 0
    found = await real.api.create(LEASES, lease(real.namespace, "pod-1", HEARTBEAT))
    assert found["metadata"]["name"] == "pod-1"
    assert found["spec"]["holderIdentity"] == "pod-1"
    await installed.start()


@pytest.mark.skipif(helm() is None, reason="helm is not installed; KINFORM_HELM names it")
def test_helm_renders_the_chart_as_the_tests_do():
    command = [str(helm()), "template", "--namespace", NAMESPACE, "release", str(CHART)]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = [each for each in yaml.safe_load_all(rendered) if each]
    ours = [each for name in ("deployment.yaml", "webhook.yaml") for each in render(name)]
    assert sorted(map(str, theirs)) == sorted(map(str, ours))


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_accepts_the_script():
    subprocess.run(["shellcheck", str(defragment())], check=True)


async def run_defragment(**environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        str(defragment()), env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@needs_curl
async def test_the_script_defragments_an_idle_etcd(real: RealCluster):
    endpoint = real.control_plane.etcd_url
    code, output = await run_defragment(ENDPOINTS=endpoint, MIN_FREE_PERCENT="0")
    assert code == 0, output
    assert output.startswith(f"{endpoint}: ")
    assert "is free now" in output


@needs_curl
async def test_the_script_leaves_a_member_with_little_free_space(real: RealCluster):
    code, output = await run_defragment(ENDPOINTS=real.control_plane.etcd_url, MIN_FREE_PERCENT="101")
    assert code == 0
    assert "nothing to do" in output


@needs_curl
async def test_the_script_leaves_everything_if_a_member_is_missing(real: RealCluster):
    endpoints = f"{real.control_plane.etcd_url} http://127.0.0.1:9"
    code, output = await run_defragment(ENDPOINTS=endpoints, MIN_FREE_PERCENT="0")
    assert code == 75
    assert "is free now" not in output


async def test_the_script_leaves_a_busy_etcd(tmp_path: Path):
    metrics = "etcd_server_has_leader 1\netcd_server_is_leader 1\netcd_server_proposals_pending 21\n"
    curl = tmp_path / "curl"
    curl.write_text(f"#!/bin/sh\ncat <<'END'\n{metrics}END\n")
    curl.chmod(curl.stat().st_mode | stat.S_IXUSR)
    path = f"{tmp_path}:{os.environ['PATH']}"
    code, output = await run_defragment(ENDPOINTS="http://a http://b", PATH=path)
    assert (code, output) == (75, "later: http://a has 21 proposals that wait\n")
