"""The spread of first requests over a fleet."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kinform import _fleet
from kinform._fleet import FLEET_JITTER_SECONDS, NODE_VARIABLES, first_delay, node_name

PODS, NAMESPACES = "v1/pods", "v1/namespaces"


def on_node(name: str, start_jitter: float | None = None, *, stream: str = PODS, age: float = 0.0) -> float:
    return first_delay(start_jitter, stream, node=name, age=age)


@pytest.mark.parametrize("variable", NODE_VARIABLES)
def test_the_environment_names_the_node(monkeypatch, variable):
    for name in NODE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert node_name() == ""
    monkeypatch.setenv(variable, "node-17")
    assert node_name() == "node-17"


def test_a_process_without_a_node_does_not_wait():
    assert on_node("") == 0.0


def test_a_jitter_without_a_node_is_random(monkeypatch):
    monkeypatch.setattr(_fleet, "random_fraction", lambda: 0.25)
    assert on_node("", 8.0) == 2.0


def test_a_node_has_the_same_delay_at_each_start():
    assert 0 < on_node("node-17") == on_node("node-17") < FLEET_JITTER_SECONDS
    assert on_node("node-17", 2 * FLEET_JITTER_SECONDS) == 2 * on_node("node-17")
    assert on_node("node-17", 0.0) == 0.0


def test_streams_of_a_node_have_different_delays():
    assert on_node("node-17") != on_node("node-17", stream=NAMESPACES)


def test_delays_of_1000_nodes_are_spread_evenly():
    delays = sorted(on_node(f"gke-prod-pool-1-{number:04}", stream=NAMESPACES) for number in range(1000))
    assert max(later - earlier for earlier, later in pairwise(delays)) < 0.5
    assert max(sum(second <= each < second + 1 for each in delays) for second in range(20)) < 75


def test_a_process_that_has_run_longer_does_not_wait():
    assert on_node("node-17", age=FLEET_JITTER_SECONDS / 2) == on_node("node-17") / 2
    assert on_node("node-17", age=FLEET_JITTER_SECONDS) == 0.0
