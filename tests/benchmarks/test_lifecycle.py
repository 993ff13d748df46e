"""The phases of every peer: a peer that fails is reported, without figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.corpus import dump
from benchmarks.harness.digest import WrongContent
from benchmarks.harness.process import SERVER, Process, ProcessDied, python
from benchmarks.harness.results import Record, of
from benchmarks.harness.text import Column
from benchmarks.peers import compare, lifecycle, phase
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.peers.lifecycle import CPU_TIME, MEMORY, NOT_RUN, Lifecycle, Source, derived
from benchmarks.peers.phase import Figures
from benchmarks.report import tables, targets
from benchmarks.scale import COLUMNS as SCALE
from benchmarks.scale import GROWTH
from tests.benchmarks.results_maker import all_records

PODS = 30
TIMEOUT = 3.0
PHASES = ("sync", "storm", "unchanged", "changed", "lost", "deleted")

HONEST = """
import asyncio, os
from benchmarks.peers.python.commands import run
from benchmarks.peers.python.plain import Plain

class Counting(Plain):
    relists = -1
    digests = 0

    async def _list(self):
        self.relists += 1
        return await super()._list()

class Fake(Counting):
    pass
"""

WRONG_AT_SYNC = """
    async def digest(self, *, whole=True):
        return await super().digest(whole=whole) | {"identity": "0" * 64}
"""

WRONG_AFTER_STORM = """
    async def digest(self, *, whole=True):
        self.digests += 1
        result = await super().digest(whole=whole)
        return result | {"content": "0" * 64} if self.digests == 2 else result
"""

WRONG_IN_NEW_PROCESS = """
    async def digest(self, *, whole=True):
        result = await super().digest(whole=whole)
        return result | {"identity": "0" * 64} if self.relists == 0 and result["objects"] < 9 else result
"""

DIES_IN_NEW_PROCESS = """
    async def sync(self):
        await super().sync()
        if 0 < len(self._store) < 9:
            os._exit(6)
"""

NEVER_REACHES = f"""
    async def reach(self, *, version):
        if self.relists:
            asyncio.get_running_loop().call_later({TIMEOUT + 0.5}, os._exit, 0)
            await asyncio.Event().wait()
        return await super().reach(version=version)
"""

DIES_AT_SYNC = """
    async def sync(self):
        os._exit(3)
"""

DIES_AFTER_A_RELIST = """
    async def reach(self, *, version):
        if self.relists == 2:
            os._exit(4)
        return await super().reach(version=version)
"""

DIES_AT_A_RELIST = """
    async def _list(self):
        if self.relists == 0:
            os._exit(5)
        return await super()._list()
"""

NEVER_WATCHES = """
    async def _watch(self, version):
        await asyncio.Event().wait()
"""

KEEPS_DELETED_OBJECTS = """
    def _take(self, verb, found):
        if verb == "DELETED":
            self.handle(found["metadata"]["resourceVersion"])
        else:
            super()._take(verb, found)
"""

KEEPS_OBJECTS_MISSING_IN_A_RELIST = """
    async def _list(self):
        old = self._store
        version = await super()._list()
        self._store = old | self._store
        return version
"""

Fake = Callable[..., Peer]


@pytest.fixture(scope="module")
def pods() -> Iterator[Source]:
    with _serving(PODS) as process:
        yield Source(process)


@pytest.fixture(scope="module")
def empty() -> Iterator[Source]:
    with _serving(0) as process:
        yield Source(process)


def _serving(objects: int) -> Process:
    return Process(python(SERVER), resource="pods", objects=objects, seed=0, corpus=None, tls=True)


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Source]:
    """A server that waits one second for a watch."""
    program = tmp_path / "server.py"
    program.write_text("from benchmarks.harness import server\nserver.WATCH_TIMEOUT = 1.0\nserver.main()\n")
    with Process([sys.executable, "-P", str(program)], resource="pods", objects=PODS, seed=0, corpus=None) as process:
        yield Source(process)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips the waits, since no test here looks at memory over time."""
    _skip_waits(monkeypatch)


def _skip_waits(patch: pytest.MonkeyPatch) -> None:
    for name in ("SETTLE_SECONDS", "BRIEF_SECONDS"):
        patch.setattr(lifecycle, name, 0.0)
    for module in (lifecycle, phase):
        patch.setattr(module, "wait_until_idle", lambda *_, **__: 0.0)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Returns a factory of peers: `plain.py` with one method replaced."""

    def fake(method: str, name: str = "fake", **more: Any) -> Peer:
        program = tmp_path / f"{name}.py"
        program.write_text(f"{HONEST}{method}\nrun(Fake)\n")
        return Peer(name=name, family="Python", command=(sys.executable, "-P", str(program)), mode="paged", **more)

    return fake


def ran(peer: Peer, pods: Source, empty: Source) -> Lifecycle:
    """Runs all phases of a peer."""
    found = Lifecycle(peer, pods, empty, timeout=TIMEOUT)
    found.run()
    return found


def phases(figures: Figures) -> set[str]:
    return {name.partition(".")[0] for name in figures if "." in name} - {"idle", "fresh"}


# Correct peers


def test_a_correct_peer_has_figures_of_every_phase(fake: Fake, pods: Source, empty: Source) -> None:
    found = ran(fake(""), pods, empty)
    assert not found.failures
    assert phases(found.figures) == set(PHASES)
    assert found.figures["storm.events"] == PODS
    for name in (*PHASES, "fresh"):
        for part in ("seconds", "cpu_seconds", "total_cpu_seconds", "rss", "rss_at_rest", "pss_at_rest", "peak"):
            assert found.figures[f"{name}.{part}"] >= 0  # type: ignore[operator]
        # The total includes the time until the process is at rest.
        assert found.figures[f"{name}.total_cpu_seconds"] >= found.figures[f"{name}.cpu_seconds"]  # type: ignore[operator]
    assert set(found.versions) == {"python", "aiohttp"}
    assert [name for name, _ in found.timeline["phases"]] == list(PHASES)
    assert all(rss > 0 for _, rss in found.timeline["points"])


def test_a_process_that_never_rests_has_no_total(
    fake: Fake, pods: Source, empty: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phase, "wait_until_idle", lambda *_, **__: None)
    found = ran(fake(""), pods, empty)
    more = derived(found.figures, PODS)
    assert not found.failures
    assert found.figures["sync.rss_at_rest"]
    assert not [name for name in found.figures | more if "total_cpu" in name]
    assert more["sync.per_cpu_second"]


@pytest.fixture(scope="module")
def kinform(pods: Source, empty: Source) -> Lifecycle:
    """Runs all phases of kinform, the optional ones included."""
    with pytest.MonkeyPatch.context() as patch:
        _skip_waits(patch)
        found = Lifecycle(PEERS[0], pods, empty, timeout=20.0, tenth=True, reads=5)
        found.run()
    return found


def test_kinform_completes_every_phase(kinform: Lifecycle) -> None:
    assert not kinform.failures
    assert phases(kinform.figures) == {*PHASES, "tenth"}
    assert kinform.figures["read_seconds"]
    assert kinform.figures["fresh.rss_at_rest"]
    assert "kinform" in kinform.versions


@pytest.mark.parametrize("columns", [MEMORY, CPU_TIME, SCALE, GROWTH])
def test_every_column_names_a_figure_of_a_lifecycle(kinform: Lifecycle, columns: tuple[Column, ...]) -> None:
    known = kinform.figures | derived(kinform.figures, PODS) | {"beyond_idle": 0.0, "read_all_seconds": 0.0}
    assert {name for _, name, _ in columns} <= set(known)


def test_every_target_names_a_figure_of_a_lifecycle(kinform: Lifecycle, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[tuple[str, str]]()

    def median(record: Record | None, name: str) -> float | None:
        if record is not None:
            asked.append((record["benchmark"], name))
        return None

    monkeypatch.setattr(targets, "median", median)
    targets.check_targets(all_records())
    named = {name for benchmark, name in asked if benchmark in ("peers", "scale")}
    assert "sync.rss_at_rest" in named
    assert named <= set(kinform.figures | derived(kinform.figures, PODS))


# Failing peers


def test_wrong_content_after_the_first_sync_is_an_error(fake: Fake, pods: Source, empty: Source) -> None:
    counts = rf"\(the copy has {PODS} objects, the server has {PODS}\)"
    with pytest.raises(WrongContent, match=rf"its copy differs .*{counts}"):
        ran(fake(WRONG_AT_SYNC), pods, empty)


def test_death_at_the_first_sync_is_an_error_with_the_status(fake: Fake, pods: Source, empty: Source) -> None:
    with pytest.raises(ProcessDied, match=r"ended with exit status 3 during sync"):
        ran(fake(DIES_AT_SYNC), pods, empty)


@pytest.mark.parametrize(
    ("method", "phase", "why"),
    [
        (WRONG_AFTER_STORM, "storm", "its copy differs from the server"),
        (NEVER_REACHES, "unchanged", f"did not reach within {TIMEOUT:g} s"),
        (DIES_AFTER_A_RELIST, "changed", "ended with exit status 4"),
        (KEEPS_OBJECTS_MISSING_IN_A_RELIST, "lost", "its copy differs from the server"),
        (KEEPS_DELETED_OBJECTS, "deleted", "its copy differs from the server"),
    ],
)
def test_a_failed_phase_and_later_ones_have_no_figures(
    fake: Fake, pods: Source, empty: Source, method: str, phase: str, why: str
) -> None:
    found = ran(fake(method), pods, empty)
    place = PHASES.index(phase)
    assert why in found.failures[phase]
    assert found.failures | {phase: ""} == {phase: "", **dict.fromkeys(PHASES[place + 1 :], NOT_RUN)}
    assert phases(found.figures) == set(PHASES[:place])
    assert not any(name.startswith("fresh.") for name in found.figures)
    more = derived(found.figures, PODS)
    assert phases(more) <= set(PHASES[:place])
    assert more["sync.per_cpu_second"]


def test_a_peer_that_stops_watching_has_failed(fake: Fake, impatient: Source, empty: Source) -> None:
    found = ran(fake(DIES_AT_A_RELIST), impatient, empty)
    assert found.failures.pop("unchanged") == "it no longer watches"
    assert set(found.failures) == {"changed", "lost", "deleted"}
    assert phases(found.figures) == {"sync", "storm"}


def test_after_a_peer_that_never_watches_the_next_one_runs(fake: Fake, impatient: Source, empty: Source) -> None:
    found = ran(fake(NEVER_WATCHES), impatient, empty)
    assert found.failures.pop("storm") == "it no longer watches"
    assert phases(found.figures) == {"sync"}
    assert not ran(fake("", "next"), impatient, empty).failures


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (WRONG_IN_NEW_PROCESS, "its copy differs from the server"),
        (DIES_IN_NEW_PROCESS, "ended with exit status 6"),
    ],
)
def test_a_failed_new_process_costs_only_its_own_figures(
    fake: Fake, pods: Source, empty: Source, method: str, why: str
) -> None:
    found = ran(fake(method), pods, empty)
    assert set(found.failures) == {"fresh"}
    assert why in found.failures["fresh"]
    assert not any(name.startswith("fresh.") for name in found.figures)
    assert phases(found.figures) == set(PHASES)
    assert derived(found.figures, PODS)["changed.per_total_cpu_second"]


def test_derived_figures_are_per_object_and_per_event() -> None:
    found: Figures = {"idle.rss": 1_000, "sync.rss_at_rest": 5_000, "storm.events": 60.0}
    found |= {f"{phase}.cpu_seconds": 2.0 for phase in ("sync", "storm", "unchanged")}
    found |= {"sync.total_cpu_seconds": 4.0, "storm.total_cpu_seconds": 3.0, "unchanged.total_cpu_seconds": 0.0}
    assert derived(found, 20) == {
        "bytes_per_object": 200,
        "sync.per_cpu_second": 10,
        "sync.per_total_cpu_second": 5,
        "storm.per_cpu_second": 30,
        "storm.per_total_cpu_second": 20,
        "unchanged.per_cpu_second": 10,
        "unchanged.per_total_cpu_second": 2_000,  # as if it took a tick, the resolution of CPU time
    }


# The records


@pytest.fixture
def compared(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """Compares a wrong peer, a dead one, an absent one, and a correct one."""
    absent = Peer(name="absent", family="Rust", command=("/nowhere/absent",), mode="streaming", needs="Rust")
    peers = (fake(WRONG_AT_SYNC, "wrong"), absent, fake(DIES_AT_SYNC, "dead"), fake("", "honest", max_objects=9))
    monkeypatch.setattr(compare, "PEERS", peers)
    return list(compare.measure(_options("--objects", str(PODS), "--rounds", "1")))


def _options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    compare.arguments(parser)
    return parser.parse_args(arguments, argparse.Namespace(benchmark="peers", seed=0))


def test_no_peer_is_left_out_silently(compared: list[Record], capfd: pytest.CaptureFixture[str]) -> None:
    found = {each["peer"]: each for each in compared if "peer" in each}
    assert {name: each["record"] for name, each in found.items()} == {
        "wrong": "peer",
        "absent": "absent",
        "dead": "peer",
        "honest": "peer",
    }
    assert found["absent"]["why"] == "not built: `make peers`, which needs Rust"
    for name in ("wrong", "dead"):
        assert (found[name]["figures"], found[name]["rounds"]) == ({}, 0)
    assert "its copy differs from the server" in found["wrong"]["failures"]["sync"]
    assert "exit status 3" in found["dead"]["failures"]["sync"]
    assert (found["honest"]["objects"], found["honest"]["rounds"], found["honest"]["failures"]) == (9, 1, {})
    assert found["honest"]["figures"]["bytes_per_object"]["median"]
    (about,) = of(compared, "peers", record="collection")
    assert (about["objects"], about["kind"]) == (PODS, "pods")

    text = compare.table(compared)
    assert "absent: not built: `make peers`, which needs Rust" in text
    assert text.count("failed: sync: ") == 2
    notes = tables.notes(compared, "pods")
    assert "absent was not measured: not built" in notes
    assert "wrong failed in the phase “first sync”: its copy differs" in notes


def test_representative_peers_run_all_rounds_and_others_one(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = list[str]()

    class Brief(Lifecycle):
        def run(self) -> None:
            runs.append(self._peer.name)
            if runs == ["often", "once", "often"]:
                raise ProcessDied("it was too much")
            self.figures |= {"idle.rss": 0.0, "sync.rss_at_rest": 90.0 * len(runs)}

    monkeypatch.setattr(compare, "PEERS", (fake("", "often", representative=True), fake("", "once")))
    monkeypatch.setattr(compare, "Lifecycle", Brief)
    found = list(compare.measure(_options("--objects", "9", "--rounds", "4")))
    often, once = of(found, "peers", record="peer")
    assert runs == ["often", "once", "often", "often", "often"]
    assert (often["rounds"], once["rounds"]) == (3, 1)  # without the failed round
    assert (often["failures"], once["failures"]) == ({"sync": "it was too much"}, {})
    assert often["figures"]["bytes_per_object"] == {"median": 40.0, "min": 10.0, "max": 50.0}
    assert once["figures"]["bytes_per_object"] == {"median": 20.0, "min": 20.0, "max": 20.0}


@pytest.mark.parametrize(("others", "objects"), [((), (9, 9, 4)), (("--others", "5"), (9, 5, 4))])
def test_other_peers_get_at_most_the_objects_for_others(
    others: tuple[str, ...],
    objects: tuple[int, ...],
    fake: Fake,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Brief(Lifecycle):
        def run(self) -> None:
            self.figures |= {"idle.rss": 0.0, "sync.rss_at_rest": 9.0 * self._source.about["objects"]}

    peers = (fake("", "representative", representative=True), fake("", "other"), fake("", "few", max_objects=4))
    monkeypatch.setattr(compare, "PEERS", peers)
    monkeypatch.setattr(compare, "Lifecycle", Brief)
    found = of(list(compare.measure(_options("--objects", "9", "--rounds", "1", *others))), "peers", record="peer")
    assert tuple(each["objects"] for each in found) == objects
    assert {each["figures"]["bytes_per_object"]["median"] for each in found} == {9.0}


def test_only_and_representative_both_select(monkeypatch: pytest.MonkeyPatch) -> None:
    options = _options("--representative", "--only", "kinform", "--only", "jemalloc")
    names = [peer.name for peer in compare.PEERS if compare._selected(peer, options)]
    assert names == ["kinform", "kube-rs, streaming, cleared, jemalloc"]
    with pytest.raises(SystemExit, match="no name contains kopf; the representative clients are kinform; "):
        list(compare.measure(_options("--representative", "--only", "kopf")))


@pytest.mark.parametrize(("used", "needed"), [(0.0, 3.0), (1.0, 5.0)])
def test_quiet_seconds_before_the_reading_count_as_rest(
    used: float, needed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Quiet:
        seconds = 0.0

        def cpu_seconds(self) -> float:
            return self.seconds

        def __getattr__(self, name: str) -> Any:
            return lambda: 0

    gauge, asked = Quiet(), list[float]()

    def sleep(seconds: float) -> None:
        assert seconds == 2.0
        gauge.seconds += used

    def wait(gauge: Any, timeout: float, *, idle_seconds: float) -> float:
        asked.append(idle_seconds)
        return 0.0

    monkeypatch.setattr(phase.time, "sleep", sleep)
    monkeypatch.setattr(phase, "wait_until_idle", wait)
    with phase.phase({}, "sync", gauge, 2.0):  # type: ignore[arg-type]
        pass
    assert asked == [needed]


def test_records_of_a_corpus_have_the_kind_of_its_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(dump({"kind": "List", "items": [_service(number) for number in range(9)]}))
    absent = Peer(name="absent", family="Rust", command=("/nowhere/absent",), mode="streaming", needs="Rust")
    monkeypatch.setattr(compare, "PEERS", (absent,))
    options = _options("--corpus", str(path))
    assert [(each["record"], each["kind"]) for each in compare.measure(options)] == [
        ("collection", "services"),
        ("absent", "services"),
    ]
    assert options.kind == "services"  # the kind of the `about` record


def _service(number: int) -> dict[str, Any]:
    metadata = {"name": f"some-{number}", "namespace": "default", "uid": str(number), "resourceVersion": "1"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
