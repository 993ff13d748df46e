"""`python -m benchmarks`: arguments, stored records, and the runs of `all`."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import everything
from benchmarks.__main__ import COMMANDS, main
from benchmarks.harness import results
from benchmarks.harness.arguments import plain
from benchmarks.harness.machine import versions
from benchmarks.harness.process import ROOT
from benchmarks.harness.results import CORPUS, Record

MEASURING = [name for name in COMMANDS if name not in ("all", "report")]
OPTIONAL = ("matplotlib", "memray", "orjson", "pytest_benchmark", "zstandard")
"""Packages that only some commands need, and none needs for its help."""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Registers a command `fake` that finds what it is given."""
    fake = ModuleType("fake_command", doc="Finds what it is given.")

    def arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--kind", default="pods")
        parser.add_argument("--value", type=int, default=1)
        parser.add_argument("--corpus", type=Path)
        plain(parser)

    def measure(options: argparse.Namespace) -> Iterator[Record]:
        if options.value < 0:
            raise SystemExit("a wrong answer")
        yield {"benchmark": options.benchmark, "kind": options.kind, "value": options.value}

    fake.__dict__.update(
        arguments=arguments,
        measure=measure,
        table=lambda found: f"found: {found[0]['value']}",
        verdict=lambda found: int(found[0]["value"] > 1),
    )
    monkeypatch.setitem(sys.modules, "fake_command", fake)
    monkeypatch.setitem(COMMANDS, "fake", "fake_command")
    return fake


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def test_a_run_prints_and_stores_its_figures_and_options(
    command: ModuleType, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fake", "--results", str(file), "--seed", "7", "--value", "1"]) == 0
    assert capsys.readouterr().out == "found: 1\n"
    about, found = results.read(file)
    assert (about["benchmark"], about["record"], about["kind"], about["seed"]) == ("fake", "about", "pods", 7)
    assert about["arguments"] == ["--seed", "7", "--value", "1"]
    assert about["machine"]["versions"]["kinform"]
    assert "data" not in about
    assert found == {"benchmark": "fake", "kind": "pods", "value": 1, "tls": True}
    assert about["tls"] is True


def test_a_run_over_plain_http_is_marked(command: ModuleType, file: Path) -> None:
    main(["fake", "--results", str(file), "--plain"])
    about, found = results.read(file)
    assert about["arguments"] == ["--plain"]
    assert about["tls"] is found["tls"] is False


def test_a_run_on_a_corpus_is_marked_and_names_no_folder(command: ModuleType, file: Path) -> None:
    main(["fake", "--results", str(file), "--corpus", "/some/where/pods.json"])
    about, found = results.read(file)
    assert about["arguments"] == ["--corpus", "pods.json"]
    assert "/" not in json.dumps(about["arguments"])
    assert about["data"] == found["data"] == CORPUS


def test_a_run_on_a_corpus_keeps_figures_of_generated_objects(command: ModuleType, file: Path) -> None:
    main(["fake", "--results", str(file)])
    generated = results.read(file)
    main(["fake", "--results", str(file), "--value", "0", "--corpus", "pods.json"])
    assert results.read(file)[:2] == generated
    assert [each["value"] for each in results.of(results.read(file), "fake")] == [1]
    assert [each["value"] for each in results.of(results.read(file), "fake", data=CORPUS)] == [0]


def test_json_output_is_what_the_results_file_holds(
    command: ModuleType, file: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    main(["fake", "--json", "--results", str(file)])
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == file.read_bytes()


def test_the_verdict_is_the_exit_code_and_records_are_stored(command: ModuleType, file: Path) -> None:
    assert main(["fake", "--value", "2", "--results", str(file)]) == 1
    assert results.read(file)[1]["value"] == 2


def test_a_wrong_answer_keeps_the_previous_records(command: ModuleType, file: Path) -> None:
    main(["fake", "--results", str(file)])
    before = file.read_bytes()
    with pytest.raises(SystemExit, match="a wrong answer"):
        main(["fake", "--value", "-1", "--results", str(file)])
    assert file.read_bytes() == before


def test_an_unknown_command_is_an_error_with_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["no-such"])
    error = capsys.readouterr().err
    assert all(name in error for name in COMMANDS)


@pytest.mark.parametrize("run", everything.RUNS)
def test_each_run_of_all_is_a_command_with_valid_arguments(run: str) -> None:
    name, *arguments = run.split()
    assert name in MEASURING
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(COMMANDS[name]).arguments(parser)
    parser.parse_args(arguments)


def test_all_runs_every_benchmark_in_at_most_75_minutes() -> None:
    assert {run.split()[0] for run in everything.RUNS} == set(MEASURING) - {"quick"}  # a part of others
    assert sum(everything.RUNS.values()) <= 75 - 1  # a minute for the page


def test_the_version_of_libzstd_is_that_of_the_loaded_file() -> None:
    version = versions()["libzstd"]
    loaded = [line for line in Path("/proc/self/maps").read_text().splitlines() if "/libzstd" in line]
    assert any(line.endswith(f".so.{version}") for line in loaded), loaded


def test_a_measured_process_does_not_import_zstandard() -> None:
    program = "import sys, benchmarks.memory.mode_process; print('zstandard' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True) == "False\n"


def test_help_needs_no_optional_package() -> None:
    program = f"""
import contextlib, io, sys
sys.modules.update(dict.fromkeys({OPTIONAL}))
from benchmarks.__main__ import COMMANDS, main
for name in COMMANDS:
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.suppress(SystemExit):
        main([name, "--help"])
    print(name, "--results" in output.getvalue())
"""
    output = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    assert output.splitlines() == [f"{name} True" for name in COMMANDS]
