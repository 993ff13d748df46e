"""The speed suite: that it runs, and the shape of its records. No time is checked."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import speed

pytest.importorskip("pytest_benchmark")
pytest.importorskip("orjson")


def options(*arguments: str) -> argparse.Namespace:
    """Returns the options of `python -m benchmarks speed --quick`."""
    parser = argparse.ArgumentParser()
    speed.arguments(parser)
    return parser.parse_args(["--quick", *arguments], argparse.Namespace(benchmark="speed", seed=0))


@pytest.fixture(autouse=True)
def serial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides pytest-xdist from the pytest that measures.

    pytest-benchmark does not measure in a worker. No time is checked here.
    """
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def test_a_group_has_a_record_for_each_rival(capfd):
    records = speed.measure(options("--objects", "100", "-k", "test_watch"))
    assert {record["group"] for record in records} == {"scan, WATCH"}
    assert [record["name"] for record in records][:2] == ["kinform", "memcpy"]
    for record in records:
        assert record["benchmark"] == "speed"
        assert record["objects"] == 100
        assert record["bytes"] > 100 * 1_000
        for figures in record["figures"].values():
            assert 0 < figures["min"] <= figures["median"] <= figures["max"]
        assert set(record["figures"]) == {"ns", "gb_per_s"}
    assert "kinform" in speed.table(records)


def test_no_match_is_an_error(capfd):
    with pytest.raises(SystemExit):
        speed.measure(options("--objects", "50", "-k", "no such thing"))
