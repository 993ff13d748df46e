"""That documents quote what the results file holds, and nothing else; and how aims and losses are told."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import results
from benchmarks.harness.process import ROOT
from benchmarks.harness.results import Record, of
from benchmarks.harness.text import MIB
from benchmarks.report import PLOTS, RESULTS, blocks, main, tables
from benchmarks.report.blocks import BLOCKS, documents
from benchmarks.report.page import page
from benchmarks.report.targets import JUDGES, aims
from benchmarks.scale import GROWTH
from tests.benchmarks.results_maker import collection, everything, figure, peer

PAGE = ROOT / "docs/benchmarks.md"
WITHOUT = ("matplotlib", "memray", "orjson", "pytest_benchmark")
COMPARED = [(phase, cpu) for phase in ("sync", "storm") for cpu in ("cpu_second", "all_cpu_second")]
NOWHERE = ["- Nowhere in these tables, by more than 2 %."]


# What is kept in the repository


def reference() -> list[Record]:
    records = results.read(RESULTS)
    if not records:
        pytest.fail(f"{RESULTS.relative_to(ROOT)} is not there; `python -m benchmarks all` measures what it holds")
    return records


def test_documents_say_what_the_results_file_holds() -> None:
    told = documents(reference())
    other = [str(path.relative_to(ROOT)) for path, text in told.items() if path.read_text() != text]
    if other:
        pytest.fail(f"{', '.join(other)}: other figures than in the results file; run `python -m benchmarks report`")


def test_every_plot_that_the_page_shows_is_there_and_no_other() -> None:
    assert shown(PAGE.read_text()) == {path.name for path in PLOTS.iterdir()}


def test_the_page_differs_where_a_figure_of_the_results_file_does() -> None:
    records = reference()
    before = documents(records)
    changed = copy.deepcopy(records)
    ours = of(changed, "peers", record="peer", kind="pods", peer="kinform")[0]
    ours["figures"]["sync.quiet_rss"]["median"] += MIB
    assert documents(changed)[PAGE] != before[PAGE]


def test_the_results_file_names_neither_a_user_nor_a_folder() -> None:
    reference()
    text = RESULTS.read_text()
    assert str(ROOT) not in text
    assert str(Path.home()) + "/" not in text


def shown(text: str) -> set[str]:
    """The plots on a page."""
    return set(re.findall(r"!\[[^\]]*\]\(benchmarks/([^)]+)\)", text))


# What is made of records


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return everything()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the repository, with pages that quote nothing."""
    (tmp_path / "docs/explanation").mkdir(parents=True)
    for name in ("README.md", "docs/explanation/compression.md"):
        (tmp_path / name).write_text("# A page\n")
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    return tmp_path


def test_a_page_is_made_of_the_same_records_as_the_same_text(records: list[Record]) -> None:
    assert page(records) == page(json.loads(json.dumps(records)))
    assert page(records).startswith("# Benchmarks\n")


def figures(records: list[Record]) -> Iterator[tuple[int, str, str]]:
    """Where each figure is: the number of the record, the member that holds it, its name."""
    for number, record in enumerate(records):
        for member in ("figures", "powers", "real"):
            for name in record.get(member, {}):
                yield number, member, name


def test_every_figure_of_every_record_is_told(records: list[Record]) -> None:
    before = "\n".join(documents(records).values()) + tables_of(records)
    untold = []
    for number, member, name in figures(records):
        changed = copy.deepcopy(records)
        held = changed[number][member]
        held[name] = figure(held[name]["median"] * 1.5) if isinstance(held[name], dict) else held[name] * 1.5
        if "\n".join(documents(changed).values()) + tables_of(changed) == before:
            untold.append((records[number]["benchmark"], records[number].get("record"), name))
    # What grows is drawn, and told as a power.
    drawn = {name for _, name, _ in GROWTH} - {name for _, name, _ in tables.SCALE}
    assert [each for each in untold if each[:2] != ("scale", "size") or each[2] not in drawn] == []


def tables_of(records: list[Record]) -> str:
    """What the blocks tell that no page need ask for."""
    return "\n".join(line for block in BLOCKS.values() for line in block(records))


def test_who_is_absent_or_gave_up_is_told_and_its_figures_are_dashes(records: list[Record]) -> None:
    text = page([*records, peer("quitter", "Python", {"idle.rss": 30 * MIB}, gave_up={"unchanged": "it sleeps"})])
    assert "- goer is absent: not built." in text
    assert "- quitter did not get over: unchanged (it sleeps)." in text
    for columns, first in ((tables.PEERS, "30.0"), (tables.SPEEDS, "-")):
        assert f"| quitter | 1 | {first} |{' - |' * (len(columns) - 1)}\n" in text


def test_fewer_objects_are_marked_and_explained(records: list[Record]) -> None:
    text = page([*records, peer("slow", "Python", {"idle.rss": 30 * MIB}, objects=2_000)])
    assert "| slow * | 1 | 30.0 |" in text
    assert "- \\* With 2,000 objects, as more would take minutes" in text


def test_a_variant_is_compared_with_the_same_peer_in_the_same_mode() -> None:
    def sync(variant: str, mode: str, seconds: float) -> Record:
        figures = {"cpu_seconds": seconds, "per_cpu_second": 1 / seconds, "peak": MIB}
        told = {"variant": variant, "peer": "kinform", "mode": mode, "objects": 20_000}
        spreads = {name: figure(value) for name, value in figures.items()}
        return {"benchmark": "variants", "record": "sync", **told, "figures": spreads}

    records = [
        sync("plain", "auto", 1.0),
        sync("plain", "list", 2.0),
        sync("TLS", "auto", 3.0),
        sync("gzip", "list", 3.0),
    ]
    told = [(row.split(" | ")[1], row.split(" | ")[3]) for row in tables.variants(records)[2:]]
    assert told == [("plain", "1.00"), ("plain", "1.00"), ("TLS", "3.00"), ("gzip", "1.50")]


def test_rounds_that_differ_are_told_by_how_much() -> None:
    found = peer("kinform", "kinform", {}, rounds=3)
    found["figures"] = {"idle.rss": figure(40 * MIB, 39 * MIB, 42 * MIB), "sync.peak": figure(50 * MIB)}
    row = tables.peers([found], "pods", tables.PEERS)[2]
    assert row.startswith("| **kinform** | 3 | 40.0 ±2.0 | 50.0 | -")


def test_documents_need_nothing_that_is_only_measured_or_drawn_with(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"".join(map(results.line, records)))
    program = f"""
import sys
sys.modules.update(dict.fromkeys({WITHOUT}))
from pathlib import Path
from benchmarks.harness.results import read
from benchmarks.report.blocks import documents
print(next(iter(documents(read(Path(sys.argv[1])).copy()).values())), end="")
"""
    command = [sys.executable, "-c", program, str(path)]
    assert subprocess.check_output(command, cwd=ROOT, text=True) == page(records)


def test_without_results_nothing_is_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--results", str(root / "none.jsonl")])
    assert "holds no results; `python -m benchmarks all`" in capsys.readouterr().err
    assert not (root / "docs/benchmarks.md").exists()


def test_every_plot_that_a_page_shows_is_drawn(records: list[Record], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.report.plots import draw

    assert {path.name for path in draw(records, tmp_path)} == shown(page(records)) != set()
    assert all((tmp_path / name).stat().st_size > 5_000 for name in shown(page(records)))


# Blocks in other pages


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_filled_and_what_stands_around_it_is_left(name: str, root: Path, records: list[Record]) -> None:
    readme = root / "README.md"
    readme.write_text(f"before\n<!-- benchmarks: {name} -->\nold\n<!-- end -->\nafter\n")
    text = documents(records)[readme]
    assert text.startswith(f"before\n<!-- benchmarks: {name} -->\n")
    assert text.endswith("\n<!-- end -->\nafter\n")
    assert "old" not in text
    assert "kinform" in text or "| pods |" in text
    readme.write_text(text)
    assert documents(records)[readme] == text


def test_a_page_without_a_block_is_left_as_it_is(root: Path, records: list[Record]) -> None:
    assert documents(records)[root / "README.md"] == "# A page\n"


def test_a_block_that_does_not_exist_is_an_error_that_names_those_that_do(root: Path, records: list[Record]) -> None:
    (root / "README.md").write_text("<!-- benchmarks: no-such -->\n<!-- end -->\n")
    with pytest.raises(ValueError, match="'no-such'") as told:
        documents(records)
    assert all(name in str(told.value) for name in BLOCKS)


def test_the_headline_compares_cpu_time_with_kinforms() -> None:
    times = {f"{phase}.per_{cpu}": 2 + number for number, (phase, cpu) in enumerate(COMPARED)}
    ours = peer("kinform", "kinform", dict.fromkeys(times, 1_000.0) | {"sync.quiet_rss": 50 * MIB})
    slower = {name: 1_000.0 / each for name, each in times.items()}
    other = peer("lightkube", "Python", slower | {"sync.quiet_rss": 12.5 * MIB}, objects=2_000)
    lines = BLOCKS["headline"]([collection(), ours, other])
    assert "| first sync | until quiet | events | until quiet |" in lines[3]
    assert "20,000 pods, 154 MiB of JSON" in lines[0]
    assert "| **kinform** | 50.0 | - | - | - | 1.00 x | 1.00 x | 1.00 x | 1.00 x |" in lines
    assert "| lightkube * | 12.5 | - | - | - | 2.0 x | 3.0 x | 4.0 x | 5.0 x |" in lines


# Aims


def found(records: list[Record], text: str) -> list[tuple[str, str]]:
    """What was found, and its state, of aims with that in them."""
    return [(each["found"], each["state"]) for each in aims(records) if text in each["aim"]]


def test_without_results_every_aim_is_told_as_not_measured() -> None:
    told = aims([])
    assert {each["number"] for each in told} == set(range(1, len(JUDGES) + 1))
    assert {each["state"] for each in told} == {"not measured"}


@pytest.mark.parametrize(("beyond", "state"), [(-1, "reached"), (0, "reached"), (1, "missed")])
def test_an_aim_is_reached_up_to_its_bound(beyond: int, state: str) -> None:
    records = [peer("kinform", "kinform", {"idle.rss": 42 * MIB + beyond, "sync.quiet_rss": 52 * MIB + beyond})]
    assert found(records, "an idle process with one informer: at most 42.0 MiB") == [("42.0 MiB", state)]
    assert found(records, "20,000 pods, whole process: at most 52.0 MiB") == [("52.0 MiB", state)]


@pytest.mark.parametrize(("beyond", "state"), [(0, "reached"), (1, "missed")])
def test_bounds_that_depend_on_other_figures_do(beyond: int, state: str) -> None:
    figures = {"idle.rss": 40 * MIB, "sync.quiet_rss": 60 * MIB, "fresh.quiet_rss": 44 * MIB}
    figures |= {"sync.peak": 68 * MIB + beyond, "unchanged.peak": 64 * MIB + beyond, "changed.peak": 88 * MIB + beyond}
    figures |= {"changed.rss": 62 * MIB + beyond, "deleted.rss": 46 * MIB + beyond}
    records = [peer("kinform", "kinform", figures)]
    for text, value in (
        ("peak of the first sync", "68.0"),
        ("peak of a relist, nothing changed", "64.0"),
        ("peak of a relist, all changed, pods", "88.0"),
        ("5 s after a relist, all changed, pods", "62.0"),
        ("5 s after 90 % was deleted, pods", "46.0"),
    ):
        assert found(records, f"{text}: ") == [(f"{value} MiB", state)]
    assert found(records, "all changed, namespaces") == [("not measured", "not measured")] * 2


@pytest.mark.parametrize(("speed", "state"), [(4_000.0, "reached"), (3_999.0, "missed")])
def test_speed_is_compared_with_the_fastest_of_a_family(speed: float, state: str) -> None:
    name = "sync.per_cpu_second"
    records = [
        peer("kinform", "kinform", {name: speed}),
        peer("slower", "Rust", {name: 700.0}),
        peer("fastest", "Rust", {name: 1_000.0}),
        peer("metadata", "Rust", {name: 9_000.0}, metadata=True),
        peer("namespaces", "Rust", {name: 8_000.0}, kind="namespaces"),
    ]
    ((text, told),) = found(records, "first sync, objects a CPU second, pods: 4 times the fastest in Rust")
    assert told == state
    assert text == f"{speed / 1_000:.2f} times ({speed:,.0f}; fastest: 1,000)"
    assert found(records, "pods: 10 times the fastest in Go") == [("not measured", "not measured")]


def test_the_worst_phase_is_what_the_event_loop_is_judged_by() -> None:
    def phase(name: str, p99: float, longest: float) -> Record:
        told = {"busy_p99": figure(p99), "busy_longest": figure(longest / 2, longest / 2, longest)}
        return {"benchmark": "delays", "record": "phase", "phase": name, "figures": told}

    records = [phase("sync", 0.011, 0.020), phase("storm", 0.002, 0.050)]
    assert found(records, "p99 in the worst phase (sync): at most 10.0 ms") == [("11.0 ms", "missed")]
    assert found(records, "the longest of all rounds (storm): at most 50.0 ms") == [("50.0 ms", "reached")]


@pytest.mark.parametrize(("tenth", "state"), [(99.0, "reached"), (101.0, "missed"), (None, "not measured")])
def test_the_headlines_peak_is_the_highest_of_its_phases(tenth: float | None, state: str) -> None:
    peaks = {"sync": 80.0, "storm": 90.0, "unchanged": 85.0, "tenth": tenth, "changed": 110.0}
    told = {f"{phase}.peak": figure(peak * MIB) for phase, peak in peaks.items() if peak is not None}
    sizes: dict[str, Any] = {"kind": "pods", "objects": 88_000, "raw_bytes": 640_000_000}
    records: list[Record] = [{"benchmark": "scale", "record": "size", **sizes, "figures": told}]
    ((text, found_state),) = found(records, "88,000 pods, 640 MB: peak of first sync")
    assert (text, found_state) == ("not measured" if tenth is None else f"{max(90.0, tenth):.1f} MiB", state)
    assert found(records, "peak of one with all: at most 115.0 MiB") == [("110.0 MiB", "reached")]


@pytest.mark.parametrize(("ns", "state"), [(199.0, "reached"), (201.0, "missed")])
def test_reads_are_judged_by_the_time_of_one(ns: float, state: str) -> None:
    def speed(group: str, name: str, taken: float) -> Record:
        return {"benchmark": "speed", "group": group, "name": name, "figures": {"ns": figure(taken)}}

    records = [
        speed("keys", "kinform", ns),
        speed("raw", "kinform", 5_000.0),
        speed("raw", "kinform, a closed exemplar", 12_001.0),
        speed("get, to a dict", "kinform", 25_000.0),
        speed("get, to a dict", "dict of bytes, msgspec", 20_000.0),
    ]
    assert found(records, "keys: at least 5 million a second") == [(f"{1e3 / ns:.1f} million", state)]
    assert found(records, "raw, kinform: at most 5.0 us") == [("5.0 us", "reached")]
    assert found(records, "raw, kinform, a closed exemplar: ") == [("12.0 us", "missed")]
    assert found(records, "get, to a dict: ") == [("25.0 us", "reached")]
    assert found(records, "get, to a small struct") == [("not measured", "not measured")]


# Losses


def losses(*others: Record, **mine: float) -> list[str]:
    figures = {"idle.rss": 40 * MIB, "sync.quiet_rss": 50 * MIB, "sync.per_cpu_second": 1_000.0} | mine
    return tables.losses([peer("kinform", "kinform", figures), *others], "pods")


def test_where_a_peer_is_better_the_best_is_told_with_its_factor() -> None:
    lines = losses(
        peer("rusty", "Rust", {"idle.rss": 8 * MIB, "sync.quiet_rss": 500 * MIB, "sync.per_cpu_second": 900.0}),
        peer("other", "Go", {"idle.rss": 20 * MIB, "sync.quiet_rss": 500 * MIB, "sync.per_cpu_second": 1_500.0}),
    )
    assert lines == [
        "- idle: 40.0 MiB; rusty: 8.0 MiB, 5.0 times better.",
        "- first sync: objects a CPU s: 1,000; other: 1,500, 1.50 times better.",
    ]


def test_where_nobody_is_better_that_is_told() -> None:
    assert losses(peer("rusty", "Rust", {"idle.rss": 41 * MIB})) == NOWHERE


@pytest.mark.parametrize(("mib", "lost"), [(39.3, False), (39.1, True)])
def test_what_is_within_the_noise_is_no_loss(mib: float, lost: bool) -> None:
    assert (losses(peer("rusty", "Rust", {"idle.rss": mib * MIB})) != NOWHERE) == lost


def test_a_column_that_is_named_by_its_neighbour_is_told_with_its_phase() -> None:
    mine = {"storm.per_all_cpu_second": 500.0, "changed.all_cpu_seconds": 4.0, "unchanged.rss": 60 * MIB}
    others = {"storm.per_all_cpu_second": 1_500.0, "changed.all_cpu_seconds": 1.0, "unchanged.rss": 40 * MIB}
    assert losses(peer("rusty", "Rust", others), **mine) == [
        "- relist, nothing changed, 5 s after: 60.0 MiB; rusty: 40.0 MiB, 1.50 times better.",
        "- events, until quiet: 500; rusty: 1,500, 3.0 times better.",
        "- relist, all changed, until quiet: 4.00 s; rusty: 1.00 s, 4.0 times better.",
    ]


def test_kinform_is_not_better_than_itself_nor_compared_with_who_holds_less() -> None:
    assert (
        losses(
            peer("kinform, metadata only", "kinform", {"sync.quiet_rss": 45 * MIB}, metadata=True),
            peer("metadata", "Rust", {"sync.quiet_rss": 10 * MIB}, metadata=True),
            peer("namespaces", "Rust", {"sync.quiet_rss": 10 * MIB}, kind="namespaces"),
            peer("few", "Python", {"sync.quiet_rss": 45 * MIB}, objects=2_000),
        )
        == NOWHERE
    )


def test_of_who_was_given_fewer_objects_what_does_not_depend_on_that_is_compared() -> None:
    lines = losses(peer("few", "Python", {"idle.rss": 20 * MIB, "sync.quiet_rss": 45 * MIB}, objects=2_000))
    assert lines == ["- idle: 40.0 MiB; few: 20.0 MiB, 2.0 times better."]
