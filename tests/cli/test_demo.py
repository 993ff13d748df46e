"""Tests of `kinform demo`: measurements, comparison, and the end of its processes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from kinform.cli._exit_codes import Failure
from kinform.cli.demo.child_process import ChildProcess
from kinform.cli.demo.command import report
from kinform.cli.demo.parts.simulator import SimulatorPart
from kinform.cli.demo.scenario import STORM, SYNC, Contestant, Measured, Plan, Scenario
from kinform.cli.demo.table import ProgressDisplay, result
from kinform.testing import Forbidden, Server
from tests.cli.running import Running, run
from tests.support.clusters import RealCluster
from tests.support.waiting import until

SMALL = ("--pods", "200", "--namespaces", "100", "--updates", "60")

# The demo waits a second after each turn for the memory to settle. These tests check no amount of memory exactly.
FAST = (
    "-c",
    "from kinform.cli.demo import scenario; scenario.SETTLE_SECONDS = 0.1; from kinform.__main__ import main; main()",
)


def cells(table: str) -> dict[str, list[str]]:
    """Returns the cells of each row of a table, by the row's heading."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if line.count("│") > 2]
    return {heading: values for heading, *values in rows}


async def test_table_shows_equal_copies() -> None:
    ended = await run("demo", *SMALL, program=FAST)
    assert ended.code == 0, ended.err
    rows = cells(ended.out)
    for row in ("initial sync, s", "storm of 60 updates, s", "relist after 410, s", "bytes per object after sync"):
        assert row in rows
    assert rows["objects at the end"][:2] == ["300", "300"]
    assert rows["same versions as the server"][:2] == ["yes", "yes"]
    assert rows["same contents as the server"][:2] == ["not kept", "yes"]
    assert "kinform: initial sync took" in ended.err
    assert [line.partition(" of ")[0] for line in unique_steps(ended.err)] == [f"step {n}" for n in range(1, 11)]
    assert "step 10 of 10, about 0 s left: comparing the copies with the server" in ended.err
    assert "\x1b" not in ended.out + ended.err


def unique_steps(lines: str) -> list[str]:
    """Returns the first line of each step."""
    return list({line.partition(" of ")[0]: line for line in reversed(lines.splitlines())}.values())[::-1]


def test_seconds_left_follow_from_the_initial_syncs() -> None:
    scenario = Scenario(Plan(embedded=True, pods=60, namespaces=40, updates=50))
    display = ProgressDisplay(scenario)
    scenario.contestants = [Contestant(name, cast(ChildProcess, None)) for name in ("naive loop", "kinform")]
    for contestant, seconds in zip(scenario.contestants, (80.0, 2.0), strict=True):
        assert display._seconds_left() is None
        contestant.measured[SYNC] = Measured(seconds=seconds, cpu_seconds=1.0, objects=100)
    assert display._seconds_left() == 40 + 80 + 1 + 2  # a storm of half as many updates as objects, then a relist
    display.turn_started(scenario.contestants[0], STORM)
    assert 122 < (display._seconds_left() or 0) < 123
    scenario.contestants[0].measured[STORM] = scenario.contestants[0].measured[SYNC]
    assert display._seconds_left() == 80 + 1 + 2


async def test_json_output_has_all_measurements() -> None:
    ended = await run("demo", "--json", *SMALL, program=FAST)
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["same"] is True
    assert result["embedded"] is True
    assert result["json_bytes"]["v1/pods"] > 200 * 3000
    assert list(result["contestants"]) == ["naive loop", "kinform"]
    for contestant in result["contestants"].values():
        assert list(contestant["phases"]) == ["initial sync", "storm", "relist"]
        for phase in contestant["phases"].values():
            assert phase["seconds"] > 0
            assert 0 <= phase["cpu_seconds"] < 60
            assert phase["objects"] == 300
            assert phase["peak_bytes"] >= phase["resident_bytes"] - (1 << 20) > 10 << 20
        assert contestant["bytes_per_object"] > 0
        assert contestant["agreement"]["same_versions"] is True
    assert result["contestants"]["kinform"]["agreement"]["same_contents"] is True


async def test_a_real_cluster_is_only_read(tmp_path: Path) -> None:
    async with Server(token="secret") as server:
        server.generate("v1/pods", 120)
        server.generate("v1/namespaces", 30)
        kubeconfig = str(server.write_kubeconfig(tmp_path / "config"))
        ended = await run("demo", "--json", "--kubeconfig", kubeconfig, program=FAST)
        assert {request.verb for request in server.requests} == {"list", "watch"}
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["same"] is True
    for contestant in result["contestants"].values():
        assert list(contestant["phases"]) == ["initial sync", "relist"]
        assert contestant["agreement"]["objects"] == 150


async def test_copies_equal_a_real_kube_apiserver(real: RealCluster) -> None:
    ended = await run("demo", "--json", "--kubeconfig", str(real.kubeconfig), "--context", "reader", program=FAST)
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["same"] is True
    assert result["contestants"]["kinform"]["agreement"]["same_contents"] is True
    assert result["contestants"]["kinform"]["agreement"]["objects"] >= 4  # the namespaces that every cluster has


async def test_missing_permissions_exit_with_77(tmp_path: Path) -> None:
    async with Server() as server:
        server.fault(Forbidden(), times=None, resource="v1/namespaces")
        kubeconfig = str(server.write_kubeconfig(tmp_path / "config"))
        ended = await run("demo", "--kubeconfig", kubeconfig, program=FAST)
    assert ended.code == 77
    assert "403" in ended.err.splitlines()[-1]


async def test_an_unreachable_cluster_exits_with_69(tmp_path: Path) -> None:
    async with Server() as server:
        kubeconfig = str(server.write_kubeconfig(tmp_path / "config"))
    ended = await run("demo", "--kubeconfig", kubeconfig, program=FAST)
    assert ended.code == 69
    assert "the cluster: TransportError" in ended.err.splitlines()[-1]


def children(pid: int) -> list[int]:
    """Returns the child processes of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    """Returns whether a process has ended. A zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def demo_during_first_turn() -> tuple[Running, list[int]]:
    """Starts a demo. Returns it and its child processes during the first turn."""
    demo = await Running.start("demo", "--pods", "500", "--namespaces", "10", program=FAST)
    await demo.line(demo.err, "naive loop: initial sync")
    started = children(demo.pid)
    assert len(started) == 3
    return demo, started


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
async def test_a_signal_leaves_no_process_behind(number: signal.Signals, code: int) -> None:
    demo, started = await demo_during_first_turn()
    demo.interrupt(number)
    ended = await demo.ended()
    assert ended.code == code
    assert "Traceback" not in ended.err
    await until(lambda: all(map(gone, started)))


async def test_death_of_a_contestant_is_reported_with_its_status() -> None:
    demo, started = await demo_during_first_turn()
    os.kill(started[1], signal.SIGKILL)
    ended = await demo.ended()
    assert ended.code == 70
    assert ended.err.splitlines()[-1] == "kinform: naive loop died with signal SIGKILL: no output on stderr"
    assert all(map(gone, started))


async def test_failure_of_a_contestant_is_reported_with_its_reason() -> None:
    async with ChildProcess("naive loop", "naive.py", url="http://127.0.0.1:9", kubeconfig=None, context=None) as child:
        await child.call("open")
        with pytest.raises(Failure, match=r"^naive loop: Client\w+Error"):
            await child.call("sync")
    async with ChildProcess("naive loop", "naive.py", place="moon") as child:
        with pytest.raises(Failure, match=r"^naive loop died with exit status 1: TypeError.*'place'") as raised:
            await child.call("open")
    assert raised.value.code == 70


class InProcess:
    """A part that runs in this process, with the methods of a `ChildProcess`."""

    def __init__(self, part: SimulatorPart) -> None:
        self._part = part

    async def call(self, method: str, **arguments: Any) -> Any:
        return await getattr(self._part, method)(**arguments)

    def resume(self) -> None:
        pass


def pod(name: str, **labels: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "shop", "labels": labels}}


def nothing(server: Server) -> None:
    pass


def update(server: Server) -> None:
    server.put("v1/pods", pod("b", app="web"))


def update_otherwise(server: Server) -> None:
    server.put("v1/pods", pod("b", app="db"))


def delete(server: Server) -> None:
    server.delete("v1/pods", "shop/b")


def create(server: Server) -> None:
    server.put("v1/pods", pod("c"))


@pytest.mark.parametrize(
    ("on_server", "in_copy", "different", "versions", "contents"),
    [
        (nothing, nothing, [], "yes", "yes"),
        (update, nothing, ["v1/pods shop/b"], "NO: 1 differ", "NO"),
        (nothing, delete, ["v1/pods shop/b"], "NO: 1 differ", "NO"),
        (nothing, create, ["v1/pods shop/c"], "NO: 1 differ", "NO"),
        (update, update_otherwise, [], "yes", "NO"),
    ],
)
async def test_a_difference_between_copy_and_server_is_shown(
    on_server: Callable[[Server], None],
    in_copy: Callable[[Server], None],
    different: list[str],
    versions: str,
    contents: str,
) -> None:
    served, copied = (SimulatorPart(pods=0, namespaces=0) for _ in range(2))
    for part, change in ((served, on_server), (copied, in_copy)):
        part.server.put("v1/pods", pod("a"))
        part.server.put("v1/pods", pod("b"))
        change(part.server)
    scenario = Scenario(Plan(embedded=True, pods=2, namespaces=1, updates=1))
    scenario.server = InProcess(served)  # type: ignore[assignment]
    contestant = Contestant("kinform", InProcess(copied))  # type: ignore[arg-type]
    measured = Measured(seconds=1.0, cpu_seconds=None, objects=2)
    contestant.measured = dict.fromkeys(scenario.plan.phases, measured)
    scenario.contestants = [contestant]
    await scenario.compare()
    agreement = contestant.agreement
    assert agreement is not None
    assert agreement.examples == different
    assert report(scenario)["same"] is (not different and contents == "yes")
    console = Console(width=120)
    with console.capture() as captured:
        console.print(result(scenario))
    rows = cells(captured.get())
    assert rows["same versions as the server"][0] == versions
    assert rows["same contents as the server"][0] == contents
    assert "initial sync, s" in rows
    assert "relist after 410, s" in rows
