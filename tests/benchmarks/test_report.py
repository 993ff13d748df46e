"""The report: documents quote the results file, and targets and losses are right.

Over 500 lines: all tests make results with the same few functions, and look at the same page.
"""

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
from benchmarks.harness.results import CORPUS, Record, of
from benchmarks.harness.text import MIB
from benchmarks.memory.holders import RULES
from benchmarks.peers.catalogue import CLIENT_GO, CLIENT_GO_PROTOBUF, KUBE_RS
from benchmarks.peers.lifecycle import CPU_TIME, MEMORY, NOT_RUN
from benchmarks.report import PLOTS, RESULTS, blocks, main, tables
from benchmarks.report.blocks import BLOCKS, documents
from benchmarks.report.headline import headline, transports
from benchmarks.report.page import page
from benchmarks.report.targets import CHECKS, LARGE_PHASES, check_targets
from benchmarks.report.titles import (
    ADVERSARIAL,
    COLLECTIONS,
    GROUPS,
    PARTS,
    SCOPES,
    SIZE_TITLES,
    SOURCES,
    TIME_TITLES,
    VARIANTS,
)
from benchmarks.scale import COLUMNS as SCALE
from benchmarks.scale import GROWTH
from benchmarks.store import adversarial
from benchmarks.store.blobs import HALF, NOTHING, SIZES, TIMES
from tests.benchmarks.results_maker import about, all_records, collection, figure, peer

PAGE = ROOT / "docs/benchmarks.md"
OPTIONAL = ("matplotlib", "memray", "orjson", "pytest_benchmark")
NO_LOSS = ["- None, by more than 2 %."]


# The files of the repository


def reference() -> list[Record]:
    records = results.read(RESULTS)
    if not records:
        pytest.fail(f"{RESULTS.relative_to(ROOT)} does not exist; `python -m benchmarks all` writes it")
    return records


def test_documents_are_up_to_date_with_the_results_file() -> None:
    texts = documents(reference())
    outdated = [str(path.relative_to(ROOT)) for path, text in texts.items() if path.read_text() != text]
    if outdated:
        pytest.fail(f"{', '.join(outdated)}: differs from the results file; run `python -m benchmarks report`")


def test_readme_quotes_the_table_of_peers() -> None:
    assert "<!-- benchmarks: readme -->" in (ROOT / "README.md").read_text()


def test_the_folder_has_exactly_the_plots_of_the_page() -> None:
    assert shown(PAGE.read_text()) == {path.name for path in PLOTS.iterdir()}


def test_every_group_of_single_operations_has_a_title() -> None:
    assert {each["group"] for each in of(reference(), "speed")} <= set(GROUPS)


def test_each_name_with_a_title_is_in_the_results_of_its_command() -> None:
    records = reference()
    for titles, benchmark, member in (
        (VARIANTS, "variants", "variant"),
        (SCOPES, "scope", "scope"),
        (SOURCES, "store", "source"),
        (COLLECTIONS, "store", "collection"),
    ):
        found = {each.get(member) for each in of(records, benchmark)}
        assert set(titles) <= found or not found  # not measured yet
    assert set(PARTS) <= {name for name, _ in RULES}


def test_the_titles_of_the_store_are_of_its_figures() -> None:
    assert set(SIZE_TITLES) <= set(SIZES)
    assert set(TIME_TITLES) == set(TIMES)
    assert set(ADVERSARIAL) == set(adversarial.COLLECTIONS)


def test_a_changed_figure_changes_the_page() -> None:
    records = reference()
    before = documents(records)
    changed = copy.deepcopy(records)
    for ours in of(changed, "peers", record="peer", kind="pods", peer="kinform"):  # the page shows one transport
        ours["figures"]["sync.rss_at_rest"]["median"] += MIB
    assert documents(changed)[PAGE] != before[PAGE]


def test_the_results_file_names_no_user_and_no_folder() -> None:
    reference()
    text = RESULTS.read_text()
    assert str(ROOT) not in text
    assert str(Path.home()) + "/" not in text


def shown(text: str) -> set[str]:
    """Returns the plots on a page."""
    return set(re.findall(r"!\[[^\]]*\]\(benchmarks/([^)]+)\)", text))


# The page


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return all_records()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replaces the repository by a folder with a README.md without blocks."""
    (tmp_path / "README.md").write_text("# A page\n")
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    return tmp_path


def test_the_same_records_give_the_same_page(records: list[Record]) -> None:
    assert page(records) == page(json.loads(json.dumps(records)))
    assert page(records).startswith("# Benchmarks\n")


def figures(records: list[Record]) -> Iterator[tuple[int, str, str]]:
    """Yields the place of each figure: the number of the record, the member, the name."""
    for number, record in enumerate(records):
        for member in ("figures", "powers", "real"):
            for name in record.get(member, {}):
                yield number, member, name


def test_every_figure_of_every_record_is_shown(records: list[Record]) -> None:
    before = "\n".join(documents(records).values())
    missing = []
    for number, member, name in figures(records):
        changed = copy.deepcopy(records)
        values = changed[number][member]
        old = values[name]
        values[name] = figure(old["median"] * 1.5) if isinstance(old, dict) else old * 1.5
        if "\n".join(documents(changed).values()) == before:
            missing.append((records[number]["benchmark"], records[number].get("record"), name))
    # Growing figures are in a plot, and as exponents in a table.
    plotted = {name for _, name, _ in GROWTH} - {name for _, name, _ in SCALE}
    assert [each for each in missing if each[:2] != ("scale", "size") or each[2] not in plotted] == []


def test_absent_and_failed_peers_are_listed_with_dashes(records: list[Record]) -> None:
    failures = {"unchanged": "it sleeps", "changed": NOT_RUN}
    text = page([*records, peer("quitter", "Python", {"idle.rss": 30 * MIB}, failures=failures)])
    assert "- goer was not measured: not built." in text
    assert (
        "- quitter failed in the phase “relist, nothing changed”: it sleeps. Its later phases were not measured."
        in text
    )
    for columns, first in ((MEMORY, "30.0"), (CPU_TIME, "-")):
        assert f"| quitter | 1 | {first} |{' - |' * (len(columns) - 1)}\n" in text


def test_fewer_objects_are_marked_and_explained(records: list[Record]) -> None:
    text = page([*records, peer("slow", "Python", {"idle.rss": 30 * MIB}, objects=2_000)])
    assert "| slow * | 1 | 30.0 |" in text
    assert "- \\* This client gets only 2,000 objects, because it needs minutes for more." in text


def test_sections_without_records_are_left_out(records: list[Record]) -> None:
    text = page([each for each in records if each["benchmark"] in ("peers", "store")])
    assert "## Comparison with other clients" in text
    assert "### Warm start" in text
    for heading in ("### TLS and gzip", "### The event loop", "## Single operations", "## Growth with the collection"):
        assert heading in page(records)
        assert heading not in text


def test_a_variant_is_relative_to_the_same_peer_and_mode() -> None:
    records = [
        variant("plain", "auto", 1.0, 4.0),
        variant("plain", "list", 2.0, 4.0),
        variant("TLS", "auto", 3.0, 5.0),
        variant("gzip", "list", 3.0),
    ]
    rows = [row.split(" | ") for row in tables.variants(records).splitlines()[2:]]
    assert [tuple(row[1:4]) for row in rows] == [
        ("plain HTTP", "1.00", "1.00"),
        ("plain HTTP", "1.00", "1.00"),
        ("TLS", "3.00", "1.25"),
        ("plain HTTP with gzip", "1.50", "-"),
    ]


def variant(
    variant: str, mode: str, sync: float, storm: float | None = None, name: str = "kinform", family: str = "kinform"
) -> Record:
    """Returns the record of a client, with CPU seconds for 1,000 objects or events."""
    spreads = {}
    for part, seconds in (("sync", sync), ("storm", storm)):
        if seconds is not None:
            spreads[f"{part}.total_cpu_seconds"] = figure(seconds)
            spreads[f"{part}.per_total_cpu_second"] = figure(1_000 / seconds)
    about = {"variant": variant, "peer": name, "family": family, "mode": mode, "objects": 1_000}
    return {"benchmark": "variants", "record": "client", **about, "figures": spreads}


# The transport


def over_both(old: float, new: float) -> list[Record]:
    """Returns records over plain HTTP, without the field `tls`, and over TLS."""
    return [
        about("peers", kind="pods"),
        collection(),
        peer("kinform", "kinform", {"idle.rss": old * MIB}),
        about("peers", kind="pods", tls=True),
        collection() | {"tls": True},
        peer("kinform", "kinform", {"idle.rss": new * MIB}, tls=True),
    ]


def test_where_both_transports_were_measured_the_page_shows_tls() -> None:
    text = documents(over_both(41.0, 43.0))[PAGE]
    assert "Over TLS. An object has" in text
    assert "| **kinform** | 1 | 43.0 |" in text
    assert "| **kinform** | 1 | 41.0 |" not in text


def test_a_kind_without_tls_is_shown_over_plain_http() -> None:
    old = [about("peers", kind="namespaces"), collection("namespaces")]
    old.append(peer("kinform", "kinform", {"idle.rss": 44 * MIB}, kind="namespaces"))
    text = documents([*over_both(41.0, 43.0), *old])[PAGE]
    assert "### 20,000 namespaces\n\nOver plain HTTP. An object has" in text
    assert "| **kinform** | 1 | 44.0 |" in text


def test_a_command_without_the_choice_shows_all_figures() -> None:
    records = [about("store"), *of(all_records(), "store", record="fixed")]
    both = [*records, records[1] | {"tls": True}]
    assert headline(both) == both


def test_the_transports_of_a_table_are_named() -> None:
    sizes = [{"benchmark": "scale", "record": "size", "kind": kind} for kind in ("pods", "namespaces")]
    assert transports([], "scale") == ""
    assert transports(sizes, "scale") == "plain HTTP"
    assert transports([each | {"tls": True} for each in sizes], "scale", record="size") == "TLS"
    mixed = [sizes[0] | {"tls": True}, sizes[1]]
    assert transports(mixed, "scale", record="size") == "TLS (pods) and plain HTTP (namespaces)"


def test_the_spread_of_rounds_is_shown() -> None:
    found = peer("kinform", "kinform", {}, rounds=3)
    found["figures"] = {"idle.rss": figure(40 * MIB, 39 * MIB, 42 * MIB), "sync.peak": figure(50 * MIB)}
    row = tables.peers([found], "pods", MEMORY).splitlines()[2]
    assert row.startswith("| **kinform** | 3 | 40.0 ±2.0 | 50.0 | -")


def test_documents_need_no_optional_package(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"".join(map(results.line, records)))
    program = f"""
import sys
sys.modules.update(dict.fromkeys({OPTIONAL}))
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


def test_every_plot_of_the_page_is_drawn(records: list[Record], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.report.plots import draw

    assert {path.name for path in draw(records, tmp_path)} == shown(page(records)) != set()
    assert all((tmp_path / name).stat().st_size > 5_000 for name in shown(page(records)))


# Blocks in other pages


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_filled_and_its_surroundings_are_kept(name: str, root: Path, records: list[Record]) -> None:
    readme = root / "README.md"
    readme.write_text(f"before\n<!-- benchmarks: {name} -->\nold\n<!-- end -->\nafter\n")
    text = documents(records)[readme]
    assert text.startswith(f"before\n<!-- benchmarks: {name} -->\n")
    assert text.endswith("\n<!-- end -->\nafter\n")
    assert "old" not in text
    assert "kinform" in text
    readme.write_text(text)
    assert documents(records)[readme] == text


def test_a_page_without_a_block_is_kept(root: Path, records: list[Record]) -> None:
    assert documents(records)[root / "README.md"] == "# A page\n"


def test_an_unknown_block_is_an_error_with_all_blocks(root: Path, records: list[Record]) -> None:
    (root / "README.md").write_text("<!-- benchmarks: no-such -->\n<!-- end -->\n")
    with pytest.raises(ValueError, match="`no-such` is not a block") as error:
        documents(records)
    assert all(name in str(error.value) for name in BLOCKS)


def test_the_readme_compares_whole_processes_of_one_size() -> None:
    ours = {"sync.rss_at_rest": 50 * MIB, "changed.peak": 60 * MIB, "bytes_per_object": 456.0}
    ours["sync.per_total_cpu_second"] = 5_000.0
    theirs = {name: 10 * value for name, value in ours.items()}
    records = [
        collection(),
        peer("kinform", "kinform", ours),
        peer("kube-rs, streaming, cleared", "Rust", theirs),
        peer("lightkube", "Python", theirs, objects=2_000),
        peer("kr8s", "Python", {"sync.rss_at_rest": MIB}, failures={"changed": "it sleeps"}),
    ]
    text = BLOCKS["readme"](records)
    assert text.startswith("20,000 pods, 154 MiB of JSON, over plain HTTP.")
    assert "| client | memory at rest, MiB | peak of a relist, MiB | bytes per pod | CPU time per pod, µs |" in text
    assert "| **kinform** | 50.0 | 60.0 | 456 | 200 |" in text
    assert "| kube-rs, streaming, cleared | 500.0 | 600.0 | 4,560 | 20 |" in text
    assert "| lightkube * | - | - | 4,560 | 20 |" in text
    assert "| kr8s | 1.0 | - | - | - |" in text
    assert "- \\* Measured with 2,000 pods only, because all phases with more pods take this client minutes." in text
    assert "- kr8s failed in the phase “relist, all changed”: it sleeps." in text


def test_the_readme_shows_the_spread_of_cpu_time() -> None:
    found = peer("kinform", "kinform", {}, rounds=3)
    found["figures"] = {"sync.per_total_cpu_second": figure(5_000.0, 4_000.0, 10_000.0)}
    assert "| **kinform** | - | - | - | 200 ±100 |" in BLOCKS["readme"]([collection(), found])


# Targets


def found(records: list[Record], text: str) -> list[tuple[str, str]]:
    """Returns figure and state of the targets that contain a text, in `TARGET: BOUND`."""
    targets = ((f"{each['target']}: {each['bound']}", each) for each in check_targets(records))
    return [(each["found"], each["state"]) for target, each in targets if text in target]


def test_without_results_every_target_is_not_measured() -> None:
    without = check_targets([])
    assert {each["number"] for each in without} == set(range(1, len(CHECKS) + 1))
    assert {each["state"] for each in without} == {"not measured"}


@pytest.mark.parametrize(("beyond", "state"), [(-1, "reached"), (0, "reached"), (1, "missed")])
def test_a_target_is_reached_up_to_its_bound(beyond: int, state: str) -> None:
    records = [peer("kinform", "kinform", {"sync.rss_at_rest": 48 * MIB + beyond})]
    assert found(records, "memory at rest after the first sync, 20,000 pods: at most 48.0 MiB") == [("48.0 MiB", state)]


@pytest.mark.parametrize(("beyond", "state"), [(0.0, "reached"), (1e-6, "missed")])
def test_an_idle_process_is_judged_by_the_way_it_connects(beyond: float, state: str) -> None:
    mib = {"plain": 28.5, "tls": 30.5, "kubeconfig": 30.5, "in_cluster": 30.5, "watch": 1 / 16}
    figures = {name: figure((value + beyond) * MIB) for name, value in mib.items()}
    figures["openssl"] = figure(0.0)
    figures["import"] = figure(0.1 + beyond)
    records: list[Record] = [{"benchmark": "store", "record": "idle", "watches": 200, "figures": figures}]
    text = "memory of an idle process with one informer, "
    assert found(records, f"{text}a URL with plain HTTP: at most 28.5 MiB") == [("28.5 MiB", state)]
    for way in ("a URL with TLS", "a kubeconfig with TLS", "in a pod"):
        assert found(records, f"{text}{way}: at most 30.5 MiB") == [("30.5 MiB", state)]
    watch = "memory of each of 200 idle watches, TLS, beyond that of OpenSSL: at most 64.0 KiB"
    assert found(records, watch) == [("64.0 KiB", state)]
    assert found(records, "elapsed time of `import kinform`: at most 100 ms") == [("100 ms", state)]


@pytest.mark.parametrize(("seconds", "state"), [(1.25, "reached"), (1.26, "missed")])
def test_tls_is_compared_with_plain_http_and_with_kube_rs(seconds: float, state: str) -> None:
    for name, loop in (("kinform", "asyncio"), ("kinform, uvloop", "uvloop")):
        records = [
            variant("plain", "auto", 1.0, 1.0, name),
            variant("TLS", "auto", seconds, seconds, name),
            variant("plain", "list", 9.0, 9.0, name),
            variant("plain", "streaming", 1.0, 1.0, KUBE_RS.name),
            variant("TLS", "streaming", 3.125, 3.125, KUBE_RS.name),
        ]
        for what, counted in (("first sync", "objects"), ("update burst", "events")):
            text = f"{what} over TLS, until at rest: "
            relative = f"{text}CPU time relative to plain HTTP, pods, {loop}: at most 1.25 times"
            assert found(records, relative) == [(f"{seconds:.2f} times", state)]
            ((times, reached),) = found(
                records, f"{text}{counted} per CPU second, pods, {loop}: at least 2.5 times kube"
            )
            assert reached == state
            assert times == f"{3.125 / seconds:.2f} times (kinform {1_000 / seconds:,.0f}; the other 320)"


@pytest.mark.parametrize(
    ("rate", "states"),
    [(2_001.0, ["reached"] * 3), (2_000.0, ["reached", "reached", "missed"]), (1_999.0, ["missed"] * 3)],
)
def test_a_real_server_is_compared_with_json_and_protobuf(rate: float, states: list[str]) -> None:
    def client(name: str, rate: float) -> Record:
        figures = {f"{part}.per_total_cpu_second": figure(rate) for part in ("sync", "storm")}
        return {"benchmark": "real", "record": "client", "peer": name, "figures": figures}

    others = [client(KUBE_RS.name, 1_000.0), client(CLIENT_GO.name, 1_000.0), client(CLIENT_GO_PROTOBUF.name, 2_000.0)]
    for name, loop in (("kinform", "asyncio"), ("kinform, uvloop", "uvloop")):
        for part in ("first sync", "update burst"):
            text = f"{part} from a real API server"
            targets = found([client(name, rate), *others], text)
            here = [state for target, (_, state) in zip(named(text), targets, strict=True) if target.endswith(loop)]
            assert here == states


def named(text: str) -> list[str]:
    """Returns the targets that contain a text."""
    return [each["target"] for each in check_targets([]) if text in each["target"]]


@pytest.mark.parametrize(("beyond", "state"), [(0, "reached"), (1, "missed")])
def test_bounds_can_depend_on_other_figures(beyond: int, state: str) -> None:
    figures = {"idle.rss": 40 * MIB, "sync.rss_at_rest": 60 * MIB, "fresh.rss_at_rest": 44 * MIB}
    figures |= {"sync.peak": 65 * MIB + beyond, "unchanged.peak": 62 * MIB + beyond, "changed.peak": 84 * MIB + beyond}
    figures |= {"changed.rss": 61 * MIB + beyond, "deleted.rss": 45 * MIB + beyond}
    records = [peer("kinform", "kinform", figures)]
    for text, value in (
        ("peak of the first sync, pods", "65.0"),
        ("peak of a relist, nothing changed, pods", "62.0"),
        ("peak of a relist, all changed, pods", "84.0"),
        ("5 s after a relist, all changed, pods", "61.0"),
        ("5 s after 90 % were deleted, pods", "45.0"),
    ):
        assert found(records, f"{text}: ") == [(f"{value} MiB", state)]
    assert found(records, "all changed, namespaces") == [("not measured", "not measured")] * 2


@pytest.mark.parametrize(("speed", "state"), [(2_500.0, "reached"), (2_499.0, "missed")])
def test_speed_is_compared_with_the_fastest_of_a_family(speed: float, state: str) -> None:
    name, what = "sync.per_total_cpu_second", "first sync, until at rest: objects per CPU second, pods"
    records = [
        peer("kinform", "kinform", {name: speed}),
        peer("slower", "Rust", {name: 700.0}),
        peer("fastest", "Rust", {name: 1_000.0}),
        peer("metadata", "Rust", {name: 9_000.0}, metadata=True),
        peer("namespaces", "Rust", {name: 8_000.0}, kind="namespaces"),
    ]
    ((text, reached),) = found(records, f"{what}: at least 2.5 times the fastest client in Rust")
    assert reached == state
    assert text == f"{speed / 1_000:.2f} times (kinform {speed:,.0f}; fastest 1,000)"
    assert found(records, f"{what}: at least 8 times the fastest client in Go") == [("not measured", "not measured")]


@pytest.mark.parametrize(("seconds", "state"), [(2.0, "reached"), (2.01, "missed")])
def test_the_elapsed_time_is_compared_at_the_same_size(seconds: float, state: str) -> None:
    records = [
        peer("kinform", "kinform", {"sync.seconds": seconds}),
        peer("rusty", "Rust", {"sync.seconds": 3.0}),
        peer("goer", "Go", {"sync.seconds": 2.0}),
        peer("few", "Go", {"sync.seconds": 1.0}, objects=2_000),
        peer("other", "Python", {"sync.seconds": 1.0}),
    ]
    assert found(records, "first sync: elapsed time, pods: ") == [(f"{seconds:.2f} s (goer 2.00 s)", state)]
    assert found(records[:1], "first sync: elapsed time, pods: ") == [("not measured", "not measured")]


def test_the_event_loop_is_judged_by_its_worst_phase() -> None:
    def phase(name: str, p99: float, longest: float) -> Record:
        delays = {"busy_p99": figure(p99), "busy_longest": figure(longest / 2, longest / 2, longest)}
        return {"benchmark": "delays", "record": "phase", "phase": name, "figures": delays}

    records = [phase("sync", 0.011, 0.020), phase("storm", 0.002, 0.050)]
    assert found(records, "p99 in the worst phase (sync): at most 10.0 ms") == [("11.0 ms", "missed")]
    assert found(records, "longest of all rounds (storm): at most 50.0 ms") == [("50.0 ms", "reached")]


@pytest.mark.parametrize(("tenth", "state"), [(79.0, "reached"), (81.0, "missed"), (None, "not measured")])
def test_the_peak_of_88_000_pods_is_the_highest_of_all_phases(tenth: float | None, state: str) -> None:
    peaks = dict.fromkeys(LARGE_PHASES, 75.0) | {"tenth": tenth}
    given = {f"{phase}.peak": figure(peak * MIB) for phase, peak in peaks.items() if peak is not None}
    given |= {"sync.rss_at_rest": figure(62 * MIB)}
    sizes: dict[str, Any] = {"kind": "pods", "objects": 88_000, "raw_bytes": 640_000_000}
    records: list[Record] = [{"benchmark": "scale", "record": "size", **sizes, "figures": given}]
    ((text, found_state),) = found(records, "highest peak of all phases, 88,000 pods, 640 MB of JSON: ")
    assert (text, found_state) == ("not measured" if tenth is None else f"{tenth:.1f} MiB", state)
    assert found(records, "first sync, 88,000 pods, 640 MB of JSON: at most 62.0 MiB") == [("62.0 MiB", "reached")]
    assert found(records, "first sync, 300,000 pods: at most 110.0 MiB") == [("not measured", "not measured")]


@pytest.mark.parametrize(("ns", "state"), [(199.0, "reached"), (201.0, "missed")])
def test_reads_are_judged_by_the_time_of_one_read(ns: float, state: str) -> None:
    def speed(group: str, name: str, taken: float) -> Record:
        return {"benchmark": "speed", "group": group, "name": name, "figures": {"ns": figure(taken)}}

    records = [
        speed("keys", "kinform", ns),
        speed("raw, key order", "kinform", 2_200.0),
        speed("raw, random order", "kinform", 3_501.0),
        speed("get, to a dict, random order", "kinform", 24_500.0),
        speed("get, to a dict, random order", "dict of bytes, msgspec", 20_000.0),
    ]
    assert found(records, "keys per second, in an iteration: at least 5 million") == [
        (f"{1e3 / ns:.1f} million", state)
    ]
    assert found(records, "time of `raw`, pods in key order: at most 2.2 µs") == [("2.2 µs", "reached")]
    assert found(records, "time of `raw`, pods in random order: ") == [("3.5 µs", "missed")]
    assert found(records, "time of `get`, as a dict, random order: at most 24.5 µs") == [("24.5 µs", "reached")]
    assert found(records, "time of `get`, as a small struct") == [("not measured", "not measured")] * 2
    assert found(records, "time of a write of a new pod: ") == [("not measured", "not measured")]


@pytest.mark.parametrize(("total", "ratio", "states"), [(115, 1.0, ["reached"] * 2), (116, 1.01, ["missed"] * 2)])
def test_sizes_in_the_store_are_judged_in_bytes_and_by_xz(total: float, ratio: float, states: list[str]) -> None:
    figures = {"objects": 20_000, "total": total, "total/xz": ratio}
    pods: Record = {"benchmark": "store", "record": "blobs", "collection": "pods", "figures": figures}
    records = [pods | {"before": NOTHING}, pods | {"before": HALF}]
    text = "size in the store, 20,000 pods"
    assert [state for _, state in found(records, text)] == states
    real = [{**each, "collection": "pod-aws", "data": CORPUS} for each in records]
    assert found(real, text) == [(f"{total} B", "reached")]  # without the record of one half
    assert found(real, "size in the store, leases") == [("not measured", "not measured")]


@pytest.mark.parametrize(("ratio", "state"), [(1.05, "reached"), (1.06, "missed")])
def test_adversarial_collections_are_judged_by_ratios(ratio: float, state: str) -> None:
    figures = {"total/alone": ratio, "put/alone": ratio + 0.25}
    record: Record = {"benchmark": "store", "record": "adversarial", "collection": "words", "figures": figures}
    assert [each for _, each in found([record], "relative to zstandard alone, 64 KiB of short words")] == [state] * 2


# Losses


def losses(*others: Record, **mine: float) -> list[str]:
    """Returns the rows of the table of losses, or the text without a table."""
    figures = {"idle.rss": 40 * MIB, "sync.rss_at_rest": 50 * MIB, "sync.per_cpu_second": 1_000.0} | mine
    head = "| figure | best client | kinform | best client's figure | better by |"
    lines = tables.losses([peer("kinform", "kinform", figures), *others], "pods").splitlines()
    return lines[2:] if lines[0] == head else lines


def test_a_loss_names_the_best_peer_and_its_factor() -> None:
    lines = losses(
        peer("rusty", "Rust", {"idle.rss": 8 * MIB, "sync.rss_at_rest": 500 * MIB, "sync.per_cpu_second": 900.0}),
        peer("other", "Go", {"idle.rss": 20 * MIB, "sync.rss_at_rest": 500 * MIB, "sync.per_cpu_second": 1_500.0}),
    )
    assert lines == [
        "| idle | rusty | 40.0 MiB | 8.0 MiB | 5.0 times |",
        "| first sync: objects per CPU second | other | 1,000 | 1,500 | 1.50 times |",
    ]


def test_no_loss_is_stated() -> None:
    assert losses(peer("rusty", "Rust", {"idle.rss": 41 * MIB})) == NO_LOSS


@pytest.mark.parametrize(("mib", "lost"), [(39.3, False), (39.1, True)])
def test_a_difference_within_the_noise_is_no_loss(mib: float, lost: bool) -> None:
    assert (losses(peer("rusty", "Rust", {"idle.rss": mib * MIB})) != NO_LOSS) == lost


def test_a_loss_names_the_phase_and_what_is_counted() -> None:
    mine = {"storm.per_total_cpu_second": 500.0, "changed.total_cpu_seconds": 4.0, "unchanged.rss": 60 * MIB}
    others = {"storm.per_total_cpu_second": 1_500.0, "changed.total_cpu_seconds": 1.0, "unchanged.rss": 40 * MIB}
    assert losses(peer("rusty", "Rust", others), **mine) == [
        "| relist, nothing changed: 5 s later | rusty | 60.0 MiB | 40.0 MiB | 1.50 times |",
        "| update burst, until at rest: events per CPU second | rusty | 500 | 1,500 | 3.0 times |",
        "| relist, all changed, until at rest: CPU time | rusty | 4.00 s | 1.00 s | 4.0 times |",
    ]


def test_losses_compare_neither_kinform_nor_smaller_scopes() -> None:
    assert (
        losses(
            peer("kinform, metadata only", "kinform", {"sync.rss_at_rest": 45 * MIB}, metadata=True),
            peer("metadata", "Rust", {"sync.rss_at_rest": 10 * MIB}, metadata=True),
            peer("namespaces", "Rust", {"sync.rss_at_rest": 10 * MIB}, kind="namespaces"),
            peer("few", "Python", {"sync.rss_at_rest": 45 * MIB}, objects=2_000),
        )
        == NO_LOSS
    )


def test_with_fewer_objects_independent_figures_are_compared() -> None:
    lines = losses(peer("few", "Python", {"idle.rss": 20 * MIB, "sync.rss_at_rest": 45 * MIB}, objects=2_000))
    assert lines == ["| idle | few | 40.0 MiB | 20.0 MiB | 2.0 times |"]
