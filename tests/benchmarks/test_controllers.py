"""The benchmark of controllers: its records and its checks, but no figures."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from benchmarks import controllers
from benchmarks.controllers import operators, reconciles
from benchmarks.report import tables


def measured(*arguments: str) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser()
    controllers.arguments(parser)
    options = parser.parse_args(["--rounds", "1", *arguments], argparse.Namespace(benchmark="controllers", seed=0))
    return list(controllers.measure(options))


@pytest.mark.timeout(300)
def test_each_program_reconciles_each_object():
    records = measured("--part", "reconciles", "--objects", "50", "--plain")
    assert [each["peer"].partition(",")[0] for each in records] == ["kinform", "client-go", "kopf"]
    for each in records:
        if "absent" not in each:
            assert each["figures"]["updates.per_total_cpu_second"]["min"] > 0
    assert "kinform" in controllers.table(records)
    assert "**kinform**" in tables.controllers(records, "reconciles", reconciles.COLUMNS)


@pytest.mark.timeout(300)
def test_the_operators_converge():
    records = measured("--part", "operators", "--widgets", "5", "--only", "kinform")
    (ours,) = records
    assert ours["figures"]["writes_a_widget"]["max"] <= 2
    assert ours["figures"]["restarted.writes"]["max"] == 0
    assert "kinform" in controllers.table(records)
    assert "**kinform**" in tables.controllers(records, "operators", operators.COLUMNS)


class Scripted:
    """A process with scripted answers."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def do(self, command: str) -> Any:
        return self._answers[command]


def test_a_reconcile_that_is_missing_ends_the_benchmark():
    server, process = Scripted(versions={"a": "2", "b": "3"}), Scripted(seen={"a": "2", "b": "1"})
    with pytest.raises(SystemExit, match=r"1 of 2 objects .* such as b"):
        reconciles._check(server, process, controllers.reconciles.CONTROLLERS[0], "updates")  # type: ignore[arg-type]
