"""The results file: the records that a run replaces, atomicity, and errors."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.harness import results
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spread, spreads

DISK_BYTES = 64 << 10
"""Bytes that fit on the full disk."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "results.jsonl"


def about(benchmark: str, **more: object) -> Record:
    return {"benchmark": benchmark, "record": "about", **more}


def found(benchmark: str, value: int, **more: object) -> Record:
    return {"benchmark": benchmark, "record": "figure", "value": value, **more}


@contextmanager
def full_disk() -> Iterator[None]:
    """Limits the size of files. What fits is written, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_missing_file_has_no_records(path: Path) -> None:
    assert results.read(path) == []


def test_records_are_read_in_order_after_the_about_record(path: Path) -> None:
    results.replace(path, about("scan", seed=0), [found("scan", 1), found("scan", 2)])
    assert results.read(path) == [about("scan", seed=0), found("scan", 1), found("scan", 2)]


def test_a_run_replaces_the_records_of_its_command_only(path: Path) -> None:
    results.replace(path, about("scan"), [found("scan", 1), found("scan", 2)])
    results.replace(path, about("store"), [found("store", 3)])
    results.replace(path, about("scan", seed=1), [found("scan", 4)])
    assert results.read(path) == [about("store"), found("store", 3), about("scan", seed=1), found("scan", 4)]


def test_a_run_on_one_kind_keeps_the_records_of_other_kinds(path: Path) -> None:
    for value, kind in enumerate(("pods", "namespaces", "pods")):
        results.replace(path, about("peers", kind=kind), [found("peers", value, kind=kind)])
    assert results.read(path) == [
        about("peers", kind="namespaces"),
        found("peers", 1, kind="namespaces"),
        about("peers", kind="pods"),
        found("peers", 2, kind="pods"),
    ]


def test_a_run_over_one_transport_keeps_the_records_of_the_other(path: Path) -> None:
    results.replace(path, about("peers", kind="pods"), [found("peers", 1, kind="pods")])  # as before there was TLS
    for value, tls in ((2, True), (3, False), (4, True)):
        results.replace(path, about("peers", kind="pods", tls=tls), [found("peers", value, kind="pods", tls=tls)])
    assert results.read(path) == [
        about("peers", kind="pods", tls=False),
        found("peers", 3, kind="pods", tls=False),
        about("peers", kind="pods", tls=True),
        found("peers", 4, kind="pods", tls=True),
    ]


def test_a_run_without_a_choice_of_transport_replaces_both(path: Path) -> None:
    results.replace(path, about("store"), [found("store", 1, tls=True), found("store", 2, tls=False)])
    results.replace(path, about("store"), [found("store", 3, tls=True)])
    assert results.read(path) == [about("store"), found("store", 3, tls=True)]


def test_a_run_keeps_other_commands_of_the_same_kind(path: Path) -> None:
    results.replace(path, about("scale", kind="pods"), [found("scale", 1, kind="pods")])
    results.replace(path, about("peers", kind="pods"), [found("peers", 2, kind="pods")])
    assert [each["benchmark"] for each in results.read(path)] == ["scale", "scale", "peers", "peers"]


def test_a_run_keeps_the_records_of_other_data(path: Path) -> None:
    corpus = {"data": results.CORPUS}
    results.replace(path, about("store"), [found("store", 1)])
    results.replace(path, about("store", **corpus), [found("store", 2, **corpus)])
    results.replace(path, about("store"), [found("store", 3)])
    results.replace(path, about("store", **corpus), [found("store", 4, **corpus)])
    assert results.read(path) == [
        about("store"),
        found("store", 3),
        about("store", **corpus),
        found("store", 4, **corpus),
    ]


def test_of_selects_generated_data_by_default(path: Path) -> None:
    records = [found("store", 1), found("store", 2, data=results.CORPUS)]
    assert results.of(records, "store") == records[:1]
    assert results.of(records, "store", data=results.CORPUS) == records[1:]


def test_a_full_disk_leaves_the_file_as_it_was(path: Path) -> None:
    results.replace(path, about("scan"), [found("scan", 1)])
    with full_disk(), pytest.raises(OSError, match="File too large"):
        results.replace(path, about("store"), [found("store", each) for each in range(DISK_BYTES // 16)])
    assert results.read(path) == [about("scan"), found("scan", 1)]
    results.replace(path, about("store"), [found("store", 2)])
    assert len(results.read(path)) == 4


def test_an_open_reader_reads_the_old_file_completely(path: Path) -> None:
    results.replace(path, about("scan"), [found("scan", 1)])
    before = path.read_bytes()
    with path.open("rb") as reader:
        results.replace(path, about("scan"), [found("scan", 2)])
        assert reader.read() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("what", ["a failing measurement", "a record that is not JSON"])
def test_a_failing_run_leaves_the_file_as_it_was(path: Path, what: str) -> None:
    def failing() -> Iterator[Record]:
        yield found("scan", 2)
        if what == "a record that is not JSON":
            yield {"benchmark": "scan", "value": object()}
        raise TypeError("failed")

    results.replace(path, about("scan"), [found("scan", 1)])
    before = path.read_bytes()
    with pytest.raises(TypeError):
        results.replace(path, about("scan"), failing())
    assert path.read_bytes() == before


@pytest.mark.parametrize("broken", [b'{"benchmark":"scan"', b"[1,2]", b"", b"\xff", b'"scan"'])
def test_an_invalid_line_is_an_error_with_file_and_line(path: Path, broken: bytes) -> None:
    results.replace(path, about("scan"), [found("scan", 1)])
    path.write_bytes(path.read_bytes() + broken + b"\n" + results.line(found("scan", 2)))
    with pytest.raises(ValueError, match="expected a record in JSON") as error:
        results.read(path)
    assert str(error.value).startswith(f"{path}, line 3: ")


def test_an_unreadable_file_is_not_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no results\n")
    with pytest.raises(ValueError, match="line 1"):
        results.replace(path, about("scan"), [])
    assert path.read_bytes() == b"no results\n"


def test_of_selects_by_command_and_values_without_about() -> None:
    records = [about("peers", kind="pods"), found("peers", 1, kind="pods"), found("peers", 2), found("scan", 3)]
    assert results.of(records, "peers") == records[1:3]
    assert results.of(records, "peers", kind="pods") == [records[1]]
    assert results.of(records, "peers", kind="pods", value=2) == []


def test_spreads_have_the_figures_that_every_round_has() -> None:
    assert spread([5.0, 1.0, 3.0]) == {"median": 3.0, "min": 1.0, "max": 5.0}
    rounds: list[Mapping[str, float | None]] = [{"a": 1.0, "b": 2.0, "c": None}, {"a": 3.0, "c": 1.0}]
    assert spreads(rounds) == {"a": {"median": 2.0, "min": 1.0, "max": 3.0}}
