"""The benchmark of threads that read: each load gives figures, of a correct copy."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager, nullcontext

import pytest

from benchmarks.peers import threads


def test_each_load_has_figures() -> None:
    options = argparse.Namespace(
        benchmark="threads", kind="pods", objects=50, events=300, readers=2, rounds=1, seed=0, plain=True
    )
    records = list(threads.measure(options))
    assert records[0]["load"] == "no readers"
    assert len(records) == 7
    for each in records:
        figures = each["figures"]
        assert figures["events_per_second"]["median"] > 0
        assert figures["longest"]["median"] >= figures["p99"]["median"]
        assert (figures["reads_per_second"]["median"] > 0) is (each["load"] != "no readers")
    assert "2 readers, 10 ms of other work after each read, switch interval 0.5 ms" in threads.table(records)


class Scripted:
    """A source and its process, in which every burst takes two seconds."""

    def do(self, name: str, **_: object) -> object:
        return {"reach": 2.0, "stop": {}, "digest": {}}.get(name)

    def start(self, _: object) -> AbstractContextManager[Scripted]:
        return nullcontext(self)


def test_a_rate_counts_the_events_that_were_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "agree", lambda *_: True)
    plain, computing = threads.Load(2), threads.Load(2, computes=0.01)
    figures = threads._round(Scripted(), [plain, computing], 300)  # type: ignore[arg-type]
    assert {load: found["events_per_second"] for load, found in figures.items()} == {plain: 150.0, computing: 15.0}
