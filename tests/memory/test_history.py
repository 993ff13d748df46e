"""That what kube-rs won by not holding a collection three times is won here too, and by kinform again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from benchmarks.memory import runs
from tests.memory.follower import MIB, Source

Peak = Callable[[str], float]

IDLE_SECONDS = 0.5
"""Seconds; only peaks are compared, and those of work in the background are not the highest."""


@pytest.fixture(scope="module")
def peak_of(pods: Source) -> Peak:
    """The most bytes resident in a process that is in that mode, at a relist in which all has changed."""
    source = runs.Source(pods.process)

    @cache
    def peak(mode: str) -> float:
        return runs.resident(source, mode, idle_seconds=IDLE_SECONDS)["rss.relist_peak"]

    return peak


def test_a_new_state_that_is_streamed_into_its_store_takes_a_fifth_less_than_one_that_is_buffered(
    peak_of: Peak,
) -> None:
    assert peak_of("streamed") <= 0.8 * peak_of("buffered")


def test_an_informer_takes_three_fifths_less_than_the_buffered_store(peak_of: Peak) -> None:
    assert peak_of("kinform") <= 0.4 * peak_of("buffered")


def test_events_that_nobody_keeps_take_four_fifths_less_than_the_buffered_store(peak_of: Peak) -> None:
    assert peak_of("events") <= 0.2 * peak_of("buffered")


def test_events_that_nobody_keeps_take_no_more_of_a_larger_collection(
    namespaces: Source, few_namespaces: Source
) -> None:
    served = (runs.Source(source.process) for source in (few_namespaces, namespaces))
    few, many = (runs.resident(source, "events", idle_seconds=IDLE_SECONDS) for source in served)
    for peak in ("rss.sync_peak", "rss.relist_peak"):
        assert many[peak] <= few[peak] + 3 * MIB


def test_memray_tells_of_a_peak_who_holds_it_and_what_is_left_of_it(few_namespaces: Source, tmp_path: Path) -> None:
    pytest.importorskip("memray")
    from benchmarks.memory import capture

    file = tmp_path / "kinform.capture"
    found = capture.heap(file, runs.captured(runs.Source(few_namespaces.process), "kinform", file))
    figures = found["figures"]
    for phase in runs.PHASES:
        assert 0 < figures[f"heap.{phase}_held"] <= figures[f"heap.{phase}_peak"] <= figures["heap.peak"]
        assert 2 <= len(found["timeline"][phase]) <= capture.POINTS
    assert sum(each["bytes"] for each in found["holders"]) == pytest.approx(figures["heap.peak"], rel=0.05)
    assert any(each["where"].startswith("kinform") for each in found["holders"])
