"""The simulation of a fleet: the server's limits, and the records."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import fleet
from benchmarks.fleet.agents import AGENTS
from benchmarks.fleet.simulation import Agent, Capacity, Send, Simulation, Sleep

SMALL = ["--agents", "20", "--objects", "1000", "--slots", "2", "--queue", "3", "--megabytes", "1", "--rounds", "1"]


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    fleet.arguments(parser)
    return parser.parse_args([*SMALL, *arguments], argparse.Namespace(benchmark="fleet", seed=0))


def once(answers: list[tuple[float, bool | None]], simulation: Simulation, *, after: float = 0.0) -> Agent:
    """An agent that sends one request of a second."""
    if after:
        yield Sleep(after)
    answer = yield Send(10.0)
    answers.append((simulation.now, answer))


def test_requests_beyond_slots_and_queue_are_refused():
    simulation, answers = Simulation(Capacity(1, 1, 9.0, 10.0)), []
    simulation.run([once(answers, simulation) for _ in range(3)])
    assert answers == [(0.0, False), (1.0, True), (2.0, True)]
    assert (simulation.requests.total(), simulation.refused) == (3, 1)


def test_a_request_that_waits_too_long_is_refused():
    simulation, answers = Simulation(Capacity(1, 5, 1.5, 10.0)), []
    simulation.run([once(answers, simulation) for _ in range(3)])
    assert answers == [(1.0, True), (1.5, False), (2.0, True)]


def test_requests_are_counted_by_second():
    simulation = Simulation(Capacity(9, 0, 1.0, 10.0))
    simulation.run([once([], simulation, after=after) for after in (0.0, 0.9, 3.1)])
    assert dict(simulation.requests) == {0: 2, 3: 1}


@pytest.mark.parametrize("client", AGENTS)
def test_each_agent_has_its_state_and_no_slot_is_exceeded(client):
    record = next(fleet.measure(options("--only", client)))
    figures = record["figures"]
    assert record["client"] == client
    assert sum(record["timeline"]) == figures["requests"]["median"] >= 20
    if "snapshots" not in client:
        assert figures["last"]["median"] >= figures["ideal"]["median"] - 1e-9


def test_agents_with_snapshots_receive_no_state():
    (record,) = fleet.measure(options("--only", "snapshots"))
    assert (record["figures"]["requests"]["median"], record["figures"]["refused"]["median"]) == (20, 0)


def test_the_same_seed_gives_the_same_figures():
    assert list(fleet.measure(options())) == list(fleet.measure(options()))
    assert "20 agents" in fleet.table(list(fleet.measure(options("--only", "client-go"))))
