"""The fixtures of all tests: clusters, real control planes, a simulator, a proxy.

    cluster             a `clusters.Cluster`; the test runs twice, on the simulator and on a real kube-apiserver
    proxy               a `proxy.Proxy` in front of `cluster`
    server              a `kinform.testing.Server`, for tests of the simulator only
    control_plane       the run's `controlplane.plane.ControlPlane`, for tests of the real servers only
    real                a `clusters.RealCluster` on `control_plane`
    control_plane_pool  other control planes: `await control_plane_pool.get("--feature-gates=WatchList=false")`

Tests that need the real servers get the marker `real`: `-m "not real"` excludes them. The servers are built
before the first test of a run, once for each machine. If they cannot be built, those tests are skipped and
one line says why; with KINFORM_REAL=require in the environment the run fails instead.

With pytest-xdist (`-n 2 --dist loadfile`), the tests of a file run in one process. Each process starts its own control
planes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.clusters import Cluster, RealCluster, real_cluster, sim_cluster
from tests.support.controlplane.build import ControlPlaneUnavailable, find_or_build
from tests.support.controlplane.plane import ControlPlane
from tests.support.controlplane.pool import ControlPlanePool
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from kinform.testing import Server

REAL_FIXTURES = {"control_plane", "control_plane_pool", "real"}

_binaries = pytest.StashKey[Path]()
_missing = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and restores SIGINT for the processes that tests start.

    A shell makes a background command ignore SIGINT, and its child processes inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "real: needs a real kube-apiserver and etcd")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Marks the tests that need the real servers, and builds the servers.

    Not in a fixture: a build takes longer than the timeout of a test.
    """
    for item in items:
        if REAL_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)
    yield
    real_tests = [item for item in items if item.get_closest_marker("real")]
    if not real_tests or config.option.collectonly:
        return
    capture = config.pluginmanager.getplugin("capturemanager")

    def report(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", file=sys.stderr, flush=True)  # not stdout, which a worker of pytest-xdist discards

    try:
        config.stash[_binaries] = find_or_build(report)
    except ControlPlaneUnavailable as error:
        if os.environ.get("KINFORM_REAL") == "require":
            required = f"no real control plane, and KINFORM_REAL=require: {error}"
            if not hasattr(config, "workerinput"):
                raise pytest.UsageError(required) from None
            config.stash[_missing] = required  # pytest-xdist shows no such error of a worker: the tests fail
            return
        config.stash[_missing] = f"no real control plane, so {len(real_tests)} tests are skipped: {error}"
        if hasattr(config, "workeroutput"):
            config.workeroutput["missing"] = config.stash[_missing]
        for item in real_tests:
            item.add_marker(pytest.mark.skip(reason="no real control plane"))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes over from a worker why there are no servers."""
    if "missing" in (found := getattr(node, "workeroutput", {})):
        node.config.stash[_missing] = found["missing"]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Reports which servers are used."""
    return [f"real control plane: {config.stash[_binaries]}"] if _binaries in config.stash else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Reports why there are no servers."""
    if _missing in config.stash:
        terminalreporter.write_line(config.stash[_missing], yellow=True)


@pytest.fixture(scope="session")
def control_plane_pool(pytestconfig: pytest.Config) -> Iterator[ControlPlanePool]:
    """Control planes by the flags of their kube-apiserver, kept until the run ends."""
    if _binaries not in pytestconfig.stash:
        pytest.fail(pytestconfig.stash[_missing], pytrace=False)
    pool = ControlPlanePool(pytestconfig.stash[_binaries])
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture
async def control_plane(control_plane_pool: ControlPlanePool) -> AsyncIterator[ControlPlane]:
    """The run's control plane without additional flags; repaired after each test."""
    control_plane = await control_plane_pool.get()
    try:
        yield control_plane
    finally:
        await control_plane.repair()


@pytest.fixture
async def real(control_plane: ControlPlane) -> AsyncIterator[RealCluster]:
    """A namespace of the run's control plane."""
    async with real_cluster(control_plane) as cluster:
        yield cluster


@pytest.fixture(params=["sim", pytest.param("real", marks=pytest.mark.real)])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """The simulator, then a real kube-apiserver, as a `clusters.Cluster`."""
    if request.param == "sim":
        async with sim_cluster(tmp_path) as simulated:
            yield simulated
    else:
        pool: ControlPlanePool = request.getfixturevalue("control_plane_pool")
        async with real_cluster(await pool.get()) as cluster:
            yield cluster


@pytest.fixture
async def proxy(cluster: Cluster) -> AsyncIterator[Proxy]:
    """A proxy in front of `cluster`.

    Connect with `proxy.url` and `cluster.connect_options`, or `cluster.write_kubeconfig_for(proxy.url)`.
    """
    async with Proxy(cluster.url) as proxy:
        yield proxy


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A simulator without objects."""
    from kinform.testing import Server

    async with Server() as simulator:
        yield simulator
