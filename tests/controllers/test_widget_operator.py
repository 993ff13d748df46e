"""The operator of docs/examples/widget-operator, as a process, at both servers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kinform.testing import Conflict
from tests.controllers.operator_process import (
    EXAMPLE,
    MAPS,
    POLICY,
    WIDGETS,
    Setting,
    SimSetting,
    real_setting,
    running,
    sim_setting,
)
from tests.docs.markdown import ROOT
from tests.support.clusters import SimCluster, real_cluster, sim_cluster
from tests.support.waiting import until

WORKERS = 4

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The flags of a kube-apiserver that logs the requests of the operator."""
    folder = tmp_path_factory.mktemp("audit")
    policy, log = folder / "policy", folder / "log"
    policy.write_text(json.dumps(POLICY))
    log.touch()
    return (f"--audit-policy-file={policy}", f"--audit-log-path={log}")


@pytest.fixture(params=["sim", pytest.param("real", marks=pytest.mark.real)])
async def setting(request: pytest.FixtureRequest, tmp_path: Path, audit: tuple[str, ...]) -> AsyncIterator[Setting]:
    """The simulator, then a real kube-apiserver, with all that the operator needs."""
    if request.param == "sim":
        async with sim_cluster(tmp_path) as simulated:
            yield await sim_setting(simulated)
    else:
        pool = request.getfixturevalue("control_plane_pool")
        async with real_cluster(await pool.get(*audit)) as cluster:
            yield await real_setting(cluster, Path(audit[1].partition("=")[2]), tmp_path)


async def test_a_burst_takes_two_writes_for_each_widget(setting: Setting):
    async with running(setting) as operator:
        await setting.burst(1_000)
        await setting.converged(1_000, within=120)
        assert await operator.stop() == 0
    assert len(setting.writes()) <= 2 * 1_000


async def test_a_restart_with_nothing_to_do_writes_nothing(setting: Setting):
    async with running(setting) as operator:
        await setting.burst(50)
        await setting.converged(50)
        assert await operator.stop() == 0
        written = setting.writes()
        await operator.start()
        await setting.put("last", 7)  # the keys of the start are reconciled before or soon after this one
        await setting.converged(51)
        assert await operator.stop() == 0
    assert [path for _, path in setting.writes()[len(written) :] if "last" not in path] == []


async def test_at_rest_it_sends_no_request(setting: Setting):
    async with running(setting) as operator:
        await setting.burst(20)
        await setting.converged(20)
        sent = len(setting.requests())
        await setting.put("last", 7)
        await setting.converged(21)
        assert [verb for verb, path in setting.requests()[sent:] if "last" not in path] == []
        assert len(setting.requests()) - sent <= 2
        assert await operator.stop() == 0


async def test_a_killed_operator_goes_on_after_its_restart(setting: Setting):
    async with running(setting) as operator:
        burst = asyncio.create_task(setting.burst(300))
        await until(lambda: len(setting.writes()) > 100, within=60)
        await operator.kill()
        await burst
        await operator.start()
        await setting.converged(300)
        assert await operator.stop() == 0
    assert len(setting.writes()) <= 2 * (300 + WORKERS)


async def test_the_second_replica_works_when_the_first_one_ends(setting: Setting):
    async with running(setting) as first, running(setting, "pod-1") as second:
        await setting.burst(20)
        await setting.converged(20)
        assert len(setting.writes()) <= 2 * 20
        leads = 'leader_election_master_status{name="widget-operator/widget-operator"}'
        assert f"{leads} 1.0" in first.answer("/metrics")[1]
        assert f"{leads} 0.0" in second.answer("/metrics")[1]
        assert await first.stop() == 0
        await setting.put("last", 7)
        await setting.converged(21)
        assert await second.stop() == 0
    assert len(setting.writes()) <= 2 * 21


async def test_it_converges_after_a_crash_of_the_api_server(setting: Setting):
    async with running(setting) as operator:
        await setting.burst(20)
        await setting.converged(20)
        await setting.cluster.crash()
        await setting.cluster.recover()
        await setting.put("last", 7)
        await setting.converged(21)
        assert await operator.stop() == 0


async def test_what_is_deleted_while_history_expires_comes_back(setting: Setting):
    async with running(setting) as operator:
        await setting.burst(20)
        await setting.converged(20)
        await setting.cluster.delete("w-7-widget", MAPS)
        await setting.cluster.expire_history()
        await setting.converged(20)
        assert await operator.stop() == 0


async def test_manual_edits_are_undone_with_a_write_each(setting: Setting):
    async with running(setting) as operator:
        await setting.put("a", 3)
        await setting.converged(1)
        written = len(setting.writes())
        label = {"app.kubernetes.io/managed-by": None}
        for content in ({"data": {"size": "99"}}, {"metadata": {"labels": label}}):
            await setting.patch(MAPS, "a-widget", content)
            await setting.converged(1, within=10)
        await setting.cluster.delete("a-widget", MAPS)
        await setting.converged(1, within=10)
        assert await operator.stop() == 0
    assert len(setting.writes()) - written == 3


async def test_it_wins_against_a_writer_of_the_same_fields(setting: Setting):
    async with running(setting) as operator:
        await setting.put("a", 3)
        await setting.converged(1)
        for number in range(20):
            await setting.patch(MAPS, "a-widget", {"data": {"size": str(1_000 + number)}})
            await setting.patch(WIDGETS, "a", {"spec": {"size": number + 1}})
        await setting.converged(1)
        assert await operator.stop() == 0


async def test_each_write_that_conflicts_is_repeated(tmp_path: Path):
    async with sim_cluster(tmp_path) as cluster:
        setting = await sim_setting(cluster)
        for verb in ("apply", "patch"):
            cluster.server.fault(Conflict(), on=verb, times=5)
        async with running(setting) as operator:
            await setting.burst(10)
            await setting.converged(10)
            assert await operator.stop() == 0
    assert isinstance(cluster, SimCluster)
    assert isinstance(setting, SimSetting)
    assert len(setting.writes()) <= 2 * 10 + 2 * 5


async def test_its_probes_and_metrics_answer(setting: Setting):
    async with running(setting) as operator:
        await setting.put("a", 3)
        await setting.converged(1)
        assert operator.answer("/healthz") == (200, "ok")
        assert operator.answer("/nothing")[0] == 404
        metrics = operator.answer("/metrics")[1]
        assert "kinform_store_objects" in metrics
        assert "workqueue_depth" in metrics
        assert await operator.stop() == 0


def test_the_tests_of_the_example_pass():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE)]
    path = os.pathsep.join([str(ROOT), str(EXAMPLE)])
    subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, cwd=ROOT, check=True)
