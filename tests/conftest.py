"""The fixtures all tests share: a cluster with two faces, a real control plane, a simulator, a proxy.

    cluster        a `clusters.Cluster`; the test runs twice, on the simulator and on a real kube-apiserver
    proxy          a `proxy.Proxy` in front of `cluster`
    server         a `kinform.testing.Server`: for tests of the simulator alone
    control_plane  the run's `controlplane.plane.ControlPlane`: for tests of the real servers alone
    real           a `clusters.RealCluster` on it, where a test wants its corner of the real servers alone
    planes         other control planes: `plane = await planes.get("--feature-gates=WatchList=false")`

Tests that need the real servers carry the marker `real`, without being told: `-m "not real"` leaves them out.
The servers are built before the first test of a run, once for this machine. Where they cannot be, those
tests are skipped, and one line says why; with KINFORM_REAL=require in the environment the run fails instead.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.clusters import Cluster, RealCluster, real_cluster, sim_cluster
from tests.support.controlplane.build import Unavailable, ensure
from tests.support.controlplane.plane import ControlPlane
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from kinform.testing import Server

REAL_FIXTURES = {"control_plane", "planes", "real"}

_binaries = pytest.StashKey[Path]()
_missing = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and sees to it that Ctrl-C reaches the processes that tests start.

    A shell that runs a command in the background has it ignore SIGINT, and so whatever that command starts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "real: needs a real kube-apiserver and etcd")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Marks what needs the real servers, and has them ready before the first test.

    Here and not in a fixture: a build takes longer than any test may.
    """
    for item in items:
        if REAL_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)
    yield
    needing = [item for item in items if item.get_closest_marker("real")]
    if not needing or config.option.collectonly:
        return
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", flush=True)

    try:
        config.stash[_binaries] = ensure(say)
    except Unavailable as error:
        if os.environ.get("KINFORM_REAL") == "require":
            raise pytest.UsageError(f"no real control plane, and KINFORM_REAL=require: {error}") from None
        config.stash[_missing] = f"no real control plane, so {len(needing)} tests are skipped: {error}"
        for item in needing:
            item.add_marker(pytest.mark.skip(reason="no real control plane"))


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Tells which servers there are."""
    return [f"real control plane: {config.stash[_binaries]}"] if _binaries in config.stash else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tells why there are no servers."""
    if _missing in config.stash:
        terminalreporter.write_line(config.stash[_missing], yellow=True)


class Planes:
    """The control planes of this run, one for each set of flags, started when first asked for."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._running: dict[tuple[str, ...], ControlPlane] = {}

    async def get(self, *flags: str) -> ControlPlane:
        """Gives the control plane whose kube-apiserver has these flags besides the usual; about four seconds
        the first time, then at once. It is shared: use it by `clusters.real_cluster(plane)`.
        """
        if flags not in self._running:
            plane = ControlPlane(self._binaries, flags)
            await plane.start()
            self._running[flags] = plane
        return self._running[flags]

    def close(self) -> None:
        """Kills all of them."""
        for plane in self._running.values():
            plane.close()


@pytest.fixture(scope="session")
def planes(pytestconfig: pytest.Config) -> Iterator[Planes]:
    """Control planes by the flags of their kube-apiserver, kept until the run ends."""
    running = Planes(pytestconfig.stash[_binaries])
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
async def control_plane(planes: Planes) -> AsyncIterator[ControlPlane]:
    """The run's control plane with the usual flags; what a test has killed or frozen is set right after it."""
    plane = await planes.get()
    try:
        yield plane
    finally:
        await plane.mend()


@pytest.fixture
async def real(control_plane: ControlPlane) -> AsyncIterator[RealCluster]:
    """A corner of the run's control plane."""
    async with real_cluster(control_plane) as corner:
        yield corner


@pytest.fixture(params=["sim", pytest.param("real", marks=pytest.mark.real)])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """The simulator, then a real kube-apiserver, behind one face: `clusters.Cluster` tells what it can."""
    if request.param == "sim":
        async with sim_cluster(tmp_path) as simulated:
            yield simulated
    else:
        planes: Planes = request.getfixturevalue("planes")
        async with real_cluster(await planes.get()) as corner:
            yield corner


@pytest.fixture
async def proxy(cluster: Cluster) -> AsyncIterator[Proxy]:
    """A proxy in front of `cluster`; `cluster.access` and `cluster.kubeconfig_at(proxy.url)` go through it."""
    async with Proxy(cluster.url) as between:
        yield between


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A simulator without a face, and without objects."""
    from kinform.testing import Server

    async with Server() as simulator:
        yield simulator
