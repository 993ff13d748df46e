"""`kinform demo`, small: that it measures, compares, says when the copies differ, and leaves no process behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from kinform.cli._exit_codes import Failure
from kinform.cli.demo.child_process import Child
from kinform.cli.demo.command import report
from kinform.cli.demo.scenario import RELIST, SYNC, Course, Measured, Plan, Side
from kinform.cli.demo.table import result
from kinform.testing import Forbidden, Server
from tests.cli.running import Running, run
from tests.support.clusters import RealCluster
from tests.support.waiting import until

SMALL = ("--pods", "200", "--namespaces", "100", "--updates", "60")


async def test_it_ends_with_one_table_and_both_sides_equal() -> None:
    ended = await run("demo", *SMALL)
    assert ended.code == 0, ended.err
    for row in ("initial sync, s", "storm of 60 updates, s", "relist after 410, s", "bytes an object, after sync"):
        assert row in ended.out
    rows = {line.split("│")[1].strip(): line.split("│")[2:] for line in ended.out.splitlines() if line.count("│") > 3}
    assert [cell.strip() for cell in rows["objects at the end"][:2]] == ["300", "300"]
    assert [cell.strip() for cell in rows["same objects as the server"][:2]] == ["yes", "yes"]
    assert [cell.strip() for cell in rows["same contents, too"][:2]] == ["not kept", "yes"]
    assert "kinform: initial sync done after" in ended.err
    assert "\x1b" not in ended.out + ended.err


async def test_json_has_what_was_measured_and_nothing_else_on_standard_output() -> None:
    ended = await run("demo", "--json", *SMALL)
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["same"] is True
    assert told["embedded"] is True
    assert told["json_bytes"]["v1/pods"] > 200 * 3000
    assert list(told["sides"]) == ["naive loop", "kinform"]
    for side in told["sides"].values():
        assert list(side["phases"]) == ["initial sync", "storm", "relist"]
        for phase in side["phases"].values():
            assert phase["seconds"] > 0
            assert 0 <= phase["cpu_seconds"] < 60
            assert phase["objects"] == 300
            assert phase["peak_bytes"] >= phase["held_bytes"] - (1 << 20) > 10 << 20
        assert side["bytes_per_object"] > 0
        assert side["agreement"]["same_versions"] is True
    assert told["sides"]["kinform"]["agreement"]["same_contents"] is True


async def test_a_real_cluster_is_only_read(tmp_path: Path) -> None:
    async with Server(token="secret") as server:
        server.generate("v1/pods", 120)
        server.generate("v1/namespaces", 30)
        kubeconfig = str(server.write_kubeconfig(tmp_path / "config"))
        ended = await run("demo", "--json", "--kubeconfig", kubeconfig)
        assert {request.verb for request in server.requests} == {"list", "watch"}
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["same"] is True
    for side in told["sides"].values():
        assert list(side["phases"]) == ["initial sync", "relist"]
        assert side["agreement"]["objects"] == 150


async def test_it_agrees_with_a_real_kube_apiserver(real: RealCluster) -> None:
    ended = await run("demo", "--json", "--kubeconfig", str(real.kubeconfig), "--context", "reader")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["same"] is True
    assert told["sides"]["kinform"]["agreement"]["same_contents"] is True
    assert told["sides"]["kinform"]["agreement"]["objects"] >= 4  # the namespaces that every cluster has


async def test_missing_rights_exit_with_77(tmp_path: Path) -> None:
    async with Server() as server:
        server.fault(Forbidden(), times=None, resource="v1/namespaces")
        kubeconfig = str(server.write_kubeconfig(tmp_path / "config"))
        ended = await run("demo", "--kubeconfig", kubeconfig)
    assert ended.code == 77
    assert "403" in ended.err.splitlines()[-1]


async def test_a_cluster_that_cannot_be_reached_exits_with_69(tmp_path: Path) -> None:
    async with Server() as server:
        kubeconfig = str(server.write_kubeconfig(tmp_path / "config"))
    ended = await run("demo", "--kubeconfig", kubeconfig)
    assert ended.code == 69
    assert "the cluster: TransportError" in ended.err.splitlines()[-1]


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has asked how yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
async def test_no_process_is_left_behind_however_it_ends(number: signal.Signals, code: int) -> None:
    demo = await Running.start("demo", "--pods", "2000", "--namespaces", "10")
    await demo.line(demo.err, "naive loop: initial sync")
    started = children(demo.pid)
    assert len(started) == 3
    demo.interrupt(number)
    ended = await demo.ended()
    assert ended.code == code
    assert "Traceback" not in ended.err
    await until(lambda: all(map(gone, started)))


async def test_a_side_that_dies_is_told_with_its_exit_status_and_last_words() -> None:
    demo = await Running.start("demo", "--pods", "2000", "--namespaces", "10")
    await demo.line(demo.err, "naive loop: initial sync")
    started = children(demo.pid)
    os.kill(started[1], signal.SIGKILL)
    ended = await demo.ended()
    assert ended.code == 70
    assert ended.err.splitlines()[-1] == "kinform: naive loop died with signal SIGKILL: and said nothing"
    assert all(map(gone, started))


async def test_a_side_that_fails_is_told_with_its_last_line_of_stderr() -> None:
    async with Child("naive loop", "naive.py", url="http://127.0.0.1:9", kubeconfig=None, context=None) as child:
        await child.do("open")
        with pytest.raises(Failure, match=r"^naive loop: Client\w+Error"):
            await child.do("sync")
    async with Child("naive loop", "naive.py", place="moon") as child:
        with pytest.raises(Failure, match=r"^naive loop died with exit status 1: TypeError.*'place'") as raised:
            await child.do("open")
    assert raised.value.code == 70


class Canned:
    """A process whose answers are known."""

    def __init__(self, pods: dict[str, tuple[str, str]], contents: str | None) -> None:
        self._pods = pods
        self._contents = contents

    async def do(self, order: str, **options: Any) -> Any:
        await asyncio.sleep(0)
        if order == "versions":
            return {"v1/pods": self._pods}
        return {"v1/pods": {"objects": len(self._pods), "versions": str(self._pods), "contents": self._contents}}

    def resume(self) -> None:
        pass


@pytest.mark.parametrize(
    ("held", "contents", "different", "shown"),
    [
        ({"shop/a": ("1", "10"), "shop/b": ("2", "20")}, "x", [], "yes"),
        ({"shop/a": ("1", "10"), "shop/b": ("2", "19")}, "x", ["v1/pods shop/b"], "NO: 1 differ"),
        ({"shop/a": ("1", "10")}, "x", ["v1/pods shop/b"], "NO: 1 differ"),
        ({"shop/a": ("1", "10"), "shop/b": ("2", "20"), "shop/c": ("3", "1")}, "x", ["v1/pods shop/c"], "NO: 1 differ"),
        ({"shop/a": ("1", "10"), "shop/b": ("2", "20")}, "y", [], "yes"),
    ],
)
async def test_a_difference_is_shown_as_plainly_as_agreement(
    held: dict[str, tuple[str, str]], contents: str, different: list[str], shown: str
) -> None:
    course = Course(Plan(embedded=True, pods=2, namespaces=1, updates=1))
    course.server = Canned({"shop/a": ("1", "10"), "shop/b": ("2", "20")}, "x")  # type: ignore[assignment]
    side = Side("kinform", Canned(held, contents))  # type: ignore[arg-type]
    measured = Measured(seconds=1.0, cpu_seconds=None, objects=2, peak_bytes=None, held_bytes=None)
    side.done = dict.fromkeys(course.plan.phases, measured)
    course.sides = [side]
    await course.compare()
    agreement = side.agreement
    assert agreement is not None
    assert agreement.examples == different
    assert report(course)["same"] is (not different and contents == "x")
    from rich.console import Console

    console = Console(width=120)
    with console.capture() as captured:
        console.print(result(course))
    assert shown in captured.get()
    assert ("NO │" in captured.get()) == (contents != "x")
    assert SYNC in captured.get()
    assert RELIST in captured.get()
