"""The life that every peer goes through: who holds something else, gives up or dies is told as such, with no figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.corpus import dump
from benchmarks.harness.process import Died, Process, python
from benchmarks.harness.results import Record, of
from benchmarks.harness.text import Row
from benchmarks.peers import compare, lifecycle
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.peers.lifecycle import Figures, Life, Source, Wrong, derived
from benchmarks.report import tables, targets
from benchmarks.scale import COLUMNS as SCALE
from benchmarks.scale import GROWTH
from tests.benchmarks.results_maker import everything

PODS = 30
PATIENCE = 3.0
PHASES = ("sync", "storm", "unchanged", "changed", "lost", "deleted")

HONEST = """
import asyncio, os
from benchmarks.peers.python.orders import obey
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

LIES = """
    async def digest(self, *, whole=True):
        return await super().digest(whole=whole) | {"identity": "0" * 64}
"""

LIES_LATER = """
    async def digest(self, *, whole=True):
        self.digests += 1
        told = await super().digest(whole=whole)
        return told | {"content": "0" * 64} if self.digests == 2 else told
"""

LIES_AFRESH = """
    async def digest(self, *, whole=True):
        told = await super().digest(whole=whole)
        return told | {"identity": "0" * 64} if self.relists == 0 and told["objects"] < 9 else told
"""

DIES_AFRESH = """
    async def sync(self):
        await super().sync()
        if 0 < len(self._store) < 9:
            os._exit(6)
"""

NEVER_REACHES = f"""
    async def reach(self, *, version):
        if self.relists:
            asyncio.get_running_loop().call_later({PATIENCE + 0.5}, os._exit, 0)
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

KEEPS_WHAT_IS_DELETED = """
    def _take(self, verb, found):
        if verb == "DELETED":
            self.handle(found["metadata"]["resourceVersion"])
        else:
            super()._take(verb, found)
"""

KEEPS_WHAT_A_RELIST_DOES_NOT_BRING = """
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
def nothing() -> Iterator[Source]:
    with _serving(0) as process:
        yield Source(process)


def _serving(objects: int) -> Process:
    return Process(python(compare.SERVER), resource="pods", objects=objects, seed=0, corpus=None)


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Source]:
    """A server that does not wait for long until somebody watches."""
    program = tmp_path / "server.py"
    program.write_text("from benchmarks.harness import server\nserver.PATIENCE = 1.0\nserver.main()\n")
    with Process([sys.executable, "-P", str(program)], resource="pods", objects=PODS, seed=0, corpus=None) as process:
        yield Source(process)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked here of what memory does over time."""
    _hurry(monkeypatch)


def _hurry(patch: pytest.MonkeyPatch) -> None:
    for name in ("SETTLE", "BRIEF", "QUIET_SECONDS"):
        patch.setattr(lifecycle, name, 0.0)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """A peer made for a test: a plain dict that lists and watches, with a method of its own."""

    def fake(method: str, name: str = "fake", **more: Any) -> Peer:
        program = tmp_path / f"{name}.py"
        program.write_text(f"{HONEST}{method}\nobey(Fake)\n")
        return Peer(name=name, family="Python", command=(sys.executable, "-P", str(program)), mode="paged", **more)

    return fake


def lived(peer: Peer, pods: Source, nothing: Source) -> Life:
    """The life of a peer, up to its end."""
    found = Life(peer, pods, nothing, patience=PATIENCE)
    found.run()
    return found


def phases(figures: Figures) -> set[str]:
    return {name.partition(".")[0] for name in figures if "." in name} - {"idle", "quiet", "fresh"}


# Who is right


def test_who_holds_what_the_server_has_has_figures_of_every_phase(fake: Fake, pods: Source, nothing: Source) -> None:
    found = lived(fake(""), pods, nothing)
    assert not found.gave_up
    assert phases(found.figures) == set(PHASES)
    assert found.figures["storm.events"] == PODS
    for phase in (*PHASES, "fresh"):
        for part in ("seconds", "cpu_seconds", "all_cpu_seconds", "rss", "quiet_rss", "quiet_pss", "peak"):
            assert found.figures[f"{phase}.{part}"] >= 0  # type: ignore[operator]
        # Work in the background counts, beside that of the phase itself.
        assert found.figures[f"{phase}.all_cpu_seconds"] >= found.figures[f"{phase}.cpu_seconds"]  # type: ignore[operator]
    assert set(found.versions) == {"python", "aiohttp"}
    assert [name for name, _ in found.timeline["phases"]] == list(PHASES)
    assert all(rss > 0 for _, rss in found.timeline["points"])


@pytest.fixture(scope="module")
def kinform(pods: Source, nothing: Source) -> Life:
    """kinform's life, with all that there is to it."""
    with pytest.MonkeyPatch.context() as patch:
        _hurry(patch)
        found = Life(PEERS[0], pods, nothing, patience=20.0, tenth=True, reads=5)
        found.run()
    return found


def test_kinform_goes_through_all_of_it(kinform: Life) -> None:
    assert not kinform.gave_up
    assert phases(kinform.figures) == {*PHASES, "tenth"}
    assert kinform.figures["read_seconds"]
    assert kinform.figures["fresh.quiet_rss"]
    assert "kinform" in kinform.versions


@pytest.mark.parametrize("columns", [compare.COLUMNS, tables.PEERS, tables.SPEEDS, tables.SCALE, SCALE, GROWTH])
def test_every_figure_of_a_table_is_one_that_a_life_has(kinform: Life, columns: tuple[Row, ...]) -> None:
    known = kinform.figures | derived(kinform.figures, PODS) | {"marginal": 0.0, "reading_seconds": 0.0}
    assert {name for _, name, _ in columns} <= set(known)


def test_every_figure_that_an_aim_looks_at_is_one_that_a_life_has(
    kinform: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[tuple[str, str]]()

    def median(record: Record | None, name: str) -> float | None:
        if record is not None:
            asked.append((record["benchmark"], name))
        return None

    monkeypatch.setattr(targets, "median", median)
    targets.aims(everything())
    looked_at = {name for benchmark, name in asked if benchmark in ("peers", "scale")}
    assert "sync.quiet_rss" in looked_at
    assert looked_at <= set(kinform.figures | derived(kinform.figures, PODS))


# Who is not


def test_who_holds_something_else_after_its_first_sync_is_wrong(fake: Fake, pods: Source, nothing: Source) -> None:
    with pytest.raises(Wrong, match=rf"after sync it holds other .*\({PODS} objects, the server {PODS}\)"):
        lived(fake(LIES), pods, nothing)


def test_who_dies_at_its_first_sync_is_told_with_its_exit_status(fake: Fake, pods: Source, nothing: Source) -> None:
    with pytest.raises(Died, match=r"died with exit status 3; it was to sync"):
        lived(fake(DIES_AT_SYNC), pods, nothing)


@pytest.mark.parametrize(
    ("method", "phase", "why"),
    [
        (LIES_LATER, "storm", "after storm it holds other objects than the server"),
        (NEVER_REACHES, "unchanged", f"did not reach within {PATIENCE:g} s"),
        (DIES_AFTER_A_RELIST, "changed", "died with exit status 4"),
        (KEEPS_WHAT_A_RELIST_DOES_NOT_BRING, "lost", "after lost it holds other objects than the server"),
        (KEEPS_WHAT_IS_DELETED, "deleted", "after deleted it holds other objects than the server"),
    ],
)
def test_who_never_gets_over_a_phase_has_given_up_and_has_no_figure_of_it_nor_of_later_ones(
    fake: Fake, pods: Source, nothing: Source, method: str, phase: str, why: str
) -> None:
    found = lived(fake(method), pods, nothing)
    place = PHASES.index(phase)
    assert why in found.gave_up[phase]
    assert found.gave_up | {phase: ""} == {phase: "", **dict.fromkeys(PHASES[place + 1 :], "after that")}
    assert phases(found.figures) == set(PHASES[:place])
    assert not any(name.startswith("fresh.") for name in found.figures)
    told = derived(found.figures, PODS)
    assert phases(told) <= set(PHASES[:place])
    assert told["sync.per_cpu_second"]


def test_who_watches_no_more_after_a_relist_has_given_up(fake: Fake, impatient: Source, nothing: Source) -> None:
    found = lived(fake(DIES_AT_A_RELIST), impatient, nothing)
    assert found.gave_up.pop("unchanged") == "it watches no more"
    assert set(found.gave_up) == {"changed", "lost", "deleted"}
    assert phases(found.figures) == {"sync", "storm"}


def test_who_never_watches_has_given_up_and_the_server_goes_on_for_the_next(
    fake: Fake, impatient: Source, nothing: Source
) -> None:
    found = lived(fake(NEVER_WATCHES), impatient, nothing)
    assert found.gave_up.pop("storm") == "it watches no more"
    assert phases(found.figures) == {"sync"}
    assert not lived(fake("", "next"), impatient, nothing).gave_up


@pytest.mark.parametrize(
    ("method", "why"),
    [(LIES_AFRESH, "after fresh it holds other objects than the server"), (DIES_AFRESH, "died with exit status 6")],
)
def test_who_does_not_get_over_a_fresh_start_has_no_figure_of_that_alone(
    fake: Fake, pods: Source, nothing: Source, method: str, why: str
) -> None:
    found = lived(fake(method), pods, nothing)
    assert set(found.gave_up) == {"fresh"}
    assert why in found.gave_up["fresh"]
    assert not any(name.startswith("fresh.") for name in found.figures)
    assert phases(found.figures) == set(PHASES)
    assert derived(found.figures, PODS)["changed.per_all_cpu_second"]


def test_what_is_derived_is_an_objects_or_events_share() -> None:
    found: Figures = {"idle.rss": 1_000, "sync.quiet_rss": 5_000, "storm.events": 60.0}
    found |= {f"{phase}.cpu_seconds": 2.0 for phase in ("sync", "storm", "unchanged")}
    found |= {"sync.all_cpu_seconds": 4.0, "storm.all_cpu_seconds": 3.0, "unchanged.all_cpu_seconds": 0.0}
    assert derived(found, 20) == {
        "quiet.bytes_per_object": 200,
        "sync.per_cpu_second": 10,
        "sync.per_all_cpu_second": 5,
        "storm.per_cpu_second": 30,
        "storm.per_all_cpu_second": 20,
        "unchanged.per_cpu_second": 10,
        "unchanged.per_all_cpu_second": 2_000,  # a tick is the least that can be told apart
    }


# Who is told of in the end


@pytest.fixture
def compared(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """What is found of one who lies, one who dies, one that was not built, and an honest one who has few objects."""
    absent = Peer(name="absent", family="Rust", command=("/nowhere/absent",), mode="streaming", needs="Rust")
    peers = (fake(LIES, "liar"), absent, fake(DIES_AT_SYNC, "dead"), fake("", "honest", most=9))
    monkeypatch.setattr(compare, "PEERS", peers)
    return list(compare.measure(_options("--objects", str(PODS), "--rounds", "1")))


def _options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    compare.arguments(parser)
    return parser.parse_args(arguments, argparse.Namespace(benchmark="peers", seed=0))


def test_nobody_is_left_out_in_silence(compared: list[Record], capfd: pytest.CaptureFixture[str]) -> None:
    told = {each["peer"]: each for each in compared if "peer" in each}
    assert {name: each["record"] for name, each in told.items()} == {
        "liar": "peer",
        "absent": "absent",
        "dead": "peer",
        "honest": "peer",
    }
    assert told["absent"]["why"] == "not built: `make peers`, which needs Rust"
    for name in ("liar", "dead"):
        assert (told[name]["figures"], told[name]["rounds"]) == ({}, 0)
    assert "holds other objects than the server" in told["liar"]["gave_up"]["sync"]
    assert "exit status 3" in told["dead"]["gave_up"]["sync"]
    assert (told["honest"]["objects"], told["honest"]["rounds"], told["honest"]["gave_up"]) == (9, 1, {})
    assert told["honest"]["figures"]["quiet.bytes_per_object"]["median"]
    (about,) = of(compared, "peers", record="collection")
    assert (about["objects"], about["kind"]) == (PODS, "pods")

    text = compare.table(compared)
    assert "absent: not built: `make peers`, which needs Rust" in text
    assert text.count("gave up: sync: ") == 2
    notes = "\n".join(tables.notes(compared, "pods"))
    assert "absent is absent: not built" in notes
    assert "liar did not get over: sync (after sync it holds other objects" in notes


def test_who_stands_for_a_language_goes_through_all_rounds_and_others_through_one(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lives = list[str]()

    class Brief(Life):
        def run(self) -> None:
            lives.append(self._peer.name)
            if lives == ["often", "once", "often"]:
                raise Died("it was too much")
            self.figures |= {"idle.rss": 0.0, "sync.quiet_rss": 90.0 * len(lives)}

    monkeypatch.setattr(compare, "PEERS", (fake("", "often", quick=True), fake("", "once")))
    monkeypatch.setattr(compare, "Life", Brief)
    found = list(compare.measure(_options("--objects", "9", "--rounds", "4")))
    often, once = of(found, "peers", record="peer")
    assert lives == ["often", "once", "often", "often", "often"]
    assert (often["rounds"], once["rounds"]) == (3, 1)  # but for that which was given up
    assert (often["gave_up"], once["gave_up"]) == ({"sync": "it was too much"}, {})
    assert often["figures"]["quiet.bytes_per_object"] == {"median": 40.0, "min": 10.0, "max": 50.0}
    assert once["figures"]["quiet.bytes_per_object"] == {"median": 20.0, "min": 20.0, "max": 20.0}


def test_of_a_corpus_everything_is_told_under_its_own_kind(
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
    assert options.kind == "services"  # under which the results file has it


def _service(number: int) -> dict[str, Any]:
    metadata = {"name": f"some-{number}", "namespace": "default", "uid": str(number), "resourceVersion": "1"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
