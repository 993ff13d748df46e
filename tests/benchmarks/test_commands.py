"""`python -m benchmarks`: what each command takes, what is kept of it, and that `all` asks for what there is."""

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
from benchmarks.harness.process import ROOT
from benchmarks.harness.results import Record

MEASURED = [name for name in COMMANDS if name not in ("all", "report")]
FOR_ONE_OF_THEM = ("matplotlib", "memray", "orjson", "pytest_benchmark")
"""What some commands need; no other is to miss it."""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A command that finds what it is told to; `made up` is its name."""
    made = ModuleType("made_up", doc="Finds what it is told to.")

    def arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--kind", default="pods")
        parser.add_argument("--value", type=int, default=1)
        parser.add_argument("--corpus", type=Path)

    def measure(options: argparse.Namespace) -> Iterator[Record]:
        if options.value < 0:
            raise SystemExit("a wrong answer")
        yield {"benchmark": options.benchmark, "kind": options.kind, "value": options.value}

    made.__dict__.update(
        arguments=arguments,
        measure=measure,
        table=lambda found: f"found: {found[0]['value']}",
        verdict=lambda found: int(found[0]["value"] > 1),
    )
    monkeypatch.setitem(sys.modules, "made_up", made)
    monkeypatch.setitem(COMMANDS, "made-up", ("made_up", "--value", "1"))
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def test_what_is_found_is_told_and_kept_with_what_was_asked_for(
    command: ModuleType, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["made-up", "--results", str(file), "--seed", "7", "--corpus", "/some/where/pods.json"]
    assert main(asked) == 0
    assert capsys.readouterr().out == "found: 1\n"
    about, found = results.read(file)
    assert (about["benchmark"], about["record"], about["kind"], about["seed"]) == ("made-up", "about", "pods", 7)
    assert about["arguments"] == ["--value", "1", "--seed", "7", "--corpus", "pods.json"]
    assert about["machine"]["versions"]["kinform"]
    assert "/" not in json.dumps(about["arguments"])
    assert found == {"benchmark": "made-up", "kind": "pods", "value": 1}


def test_as_json_the_same_records_are_told_as_are_kept(
    command: ModuleType, file: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    main(["made-up", "--json", "--results", str(file)])
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == file.read_bytes()


def test_a_verdict_is_the_exit_code_and_what_was_found_is_kept_all_the_same(command: ModuleType, file: Path) -> None:
    assert main(["made-up", "--value", "2", "--results", str(file)]) == 1
    assert results.read(file)[1]["value"] == 2


def test_a_wrong_answer_keeps_what_was_found_before(command: ModuleType, file: Path) -> None:
    main(["made-up", "--results", str(file)])
    before = file.read_bytes()
    with pytest.raises(SystemExit, match="a wrong answer"):
        main(["made-up", "--value", "-1", "--results", str(file)])
    assert file.read_bytes() == before


def test_a_command_that_does_not_exist_is_told_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["no-such"])
    told = capsys.readouterr().err
    assert all(name in told for name in COMMANDS)


@pytest.mark.parametrize("run", everything.RUNS, ids=" ".join)
def test_what_all_runs_is_a_command_that_takes_those_arguments(run: tuple[str, ...]) -> None:
    name, *arguments = run
    assert name in MEASURED
    place, *always = COMMANDS[name]
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(place).arguments(parser)
    parser.parse_args([*always, *arguments])


def test_all_leaves_out_no_command_that_needs_no_more_than_is_here() -> None:
    parts = {"quick", "scan"}  # are in others
    assert {run[0] for run in everything.RUNS} == set(MEASURED) - parts - {"corpora"}  # which needs dumps


def test_help_of_every_command_needs_nothing_that_only_measuring_does() -> None:
    program = f"""
import contextlib, io, sys
sys.modules.update(dict.fromkeys({FOR_ONE_OF_THEM}))
from benchmarks.__main__ import COMMANDS, main
for name in COMMANDS:
    with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.suppress(SystemExit):
        main([name, "--help"])
    print(name, "--results" in told.getvalue())
"""
    told = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    assert told.splitlines() == [f"{name} True" for name in COMMANDS]
