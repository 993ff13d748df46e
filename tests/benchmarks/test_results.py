"""The results file: who replaces what in it, that it is whole at any time, and that what is no record is told."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.harness import results
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spread, spreads

LEAST = 64 << 10
"""What may be written until the disk is full."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "results.jsonl"


def about(benchmark: str, **more: object) -> Record:
    return {"benchmark": benchmark, "record": "about", **more}


def found(benchmark: str, value: int, **more: object) -> Record:
    return {"benchmark": benchmark, "record": "figure", "value": value, **more}


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may become longer than that; what fits is written all the same, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LEAST, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_where_there_is_no_file_there_are_no_records(path: Path) -> None:
    assert results.read(path) == []


def test_what_is_written_is_read_in_its_order_and_about_comes_first(path: Path) -> None:
    results.replace(path, about("scan", seed=0), [found("scan", 1), found("scan", 2)])
    assert results.read(path) == [about("scan", seed=0), found("scan", 1), found("scan", 2)]


def test_a_command_replaces_all_that_it_found_before_and_nothing_of_others(path: Path) -> None:
    results.replace(path, about("scan"), [found("scan", 1), found("scan", 2)])
    results.replace(path, about("store"), [found("store", 3)])
    results.replace(path, about("scan", seed=1), [found("scan", 4)])
    assert results.read(path) == [about("store"), found("store", 3), about("scan", seed=1), found("scan", 4)]


def test_a_command_that_measures_one_kind_leaves_what_it_found_of_others(path: Path) -> None:
    for value, kind in enumerate(("pods", "namespaces", "pods")):
        results.replace(path, about("peers", kind=kind), [found("peers", value, kind=kind)])
    assert results.read(path) == [
        about("peers", kind="namespaces"),
        found("peers", 1, kind="namespaces"),
        about("peers", kind="pods"),
        found("peers", 2, kind="pods"),
    ]


def test_another_command_of_the_same_kind_is_left_alone(path: Path) -> None:
    results.replace(path, about("scale", kind="pods"), [found("scale", 1, kind="pods")])
    results.replace(path, about("peers", kind="pods"), [found("peers", 2, kind="pods")])
    assert [each["benchmark"] for each in results.read(path)] == ["scale", "scale", "peers", "peers"]


def test_a_full_disk_leaves_the_file_as_it_was(path: Path) -> None:
    results.replace(path, about("scan"), [found("scan", 1)])
    with full_disk(), pytest.raises(OSError, match="File too large"):
        results.replace(path, about("store"), [found("store", each) for each in range(LEAST // 16)])
    assert results.read(path) == [about("scan"), found("scan", 1)]
    results.replace(path, about("store"), [found("store", 2)])
    assert len(results.read(path)) == 4


def test_who_is_reading_the_file_reads_all_of_it_as_it_was(path: Path) -> None:
    results.replace(path, about("scan"), [found("scan", 1)])
    before = path.read_bytes()
    with path.open("rb") as reader:
        results.replace(path, about("scan"), [found("scan", 2)])
        assert reader.read() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("what", ["a measurement that fails", "a record that is no JSON"])
def test_who_fails_on_the_way_leaves_the_file_as_it_was(path: Path, what: str) -> None:
    def failing() -> Iterator[Record]:
        yield found("scan", 2)
        if what == "a record that is no JSON":
            yield {"benchmark": "scan", "value": object()}
        raise TypeError("failed")

    results.replace(path, about("scan"), [found("scan", 1)])
    before = path.read_bytes()
    with pytest.raises(TypeError):
        results.replace(path, about("scan"), failing())
    assert path.read_bytes() == before


@pytest.mark.parametrize("broken", [b'{"benchmark":"scan"', b"[1,2]", b"", b"\xff", b'"scan"'])
def test_a_broken_line_is_an_error_that_names_the_file_and_the_line(path: Path, broken: bytes) -> None:
    results.replace(path, about("scan"), [found("scan", 1)])
    path.write_bytes(path.read_bytes() + broken + b"\n" + results.line(found("scan", 2)))
    with pytest.raises(ValueError, match="expected a record in JSON") as told:
        results.read(path)
    assert str(told.value).startswith(f"{path}, line 3: ")


def test_nothing_is_replaced_in_a_file_that_cannot_be_read(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no results\n")
    with pytest.raises(ValueError, match="line 1"):
        results.replace(path, about("scan"), [])
    assert path.read_bytes() == b"no results\n"


def test_records_are_found_by_command_and_values_without_the_one_about_the_run() -> None:
    records = [about("peers", kind="pods"), found("peers", 1, kind="pods"), found("peers", 2), found("scan", 3)]
    assert results.of(records, "peers") == records[1:3]
    assert results.of(records, "peers", kind="pods") == [records[1]]
    assert results.of(records, "peers", kind="pods", value=2) == []


def test_rounds_are_told_as_median_and_ends_and_only_where_each_has_the_figure() -> None:
    assert spread([5.0, 1.0, 3.0]) == {"median": 3.0, "min": 1.0, "max": 5.0}
    rounds: list[Mapping[str, float | None]] = [{"a": 1.0, "b": 2.0, "c": None}, {"a": 3.0, "c": 1.0}]
    assert spreads(rounds) == {"a": {"median": 2.0, "min": 1.0, "max": 3.0}}
