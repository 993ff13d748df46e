"""Memory compared to buffered and streamed stores, as in the history of kube-rs."""

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
    """Measures the peak of a process in a mode, at a relist in which all has changed."""
    source = runs.Source(pods.process)

    @cache
    def peak(mode: str) -> float:
        return runs.resident(source, mode, idle_seconds=IDLE_SECONDS)["rss.relist_peak"]

    return peak


def test_streaming_a_state_takes_20_percent_less_than_buffering(
    peak_of: Peak,
) -> None:
    assert peak_of("streamed") <= 0.8 * peak_of("buffered")


def test_an_informer_takes_60_percent_less_than_a_buffered_store(peak_of: Peak) -> None:
    assert peak_of("kinform") <= 0.4 * peak_of("buffered")


def test_events_alone_take_80_percent_less_than_a_buffered_store(peak_of: Peak) -> None:
    assert peak_of("events") <= 0.2 * peak_of("buffered")


def test_events_alone_take_no_more_for_a_larger_collection(namespaces: Source, few_namespaces: Source) -> None:
    served = (runs.Source(source.process) for source in (few_namespaces, namespaces))
    few, many = (runs.resident(source, "events", idle_seconds=IDLE_SECONDS) for source in served)
    for peak in ("rss.sync_peak", "rss.relist_peak"):
        assert many[peak] <= few[peak] + 3 * MIB


def test_memray_reports_the_peak_its_holders_and_what_remains(few_namespaces: Source, tmp_path: Path) -> None:
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
