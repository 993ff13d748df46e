"""The counts of the state machine: relists by reason, and reconnects."""

from __future__ import annotations

import pytest

from kinform._counts import StreamCounts
from kinform._errors import TransportError
from kinform._listwatch.capabilities import Capabilities
from kinform._listwatch.frames import ListEnd
from kinform._listwatch.machine import ListWatchMachine
from kinform._options import Resource, WatchOptions
from kinform._spec import CollectionSpec
from kinform._status import Status
from tests.core.machines import close, watching


@pytest.fixture
def counts() -> StreamCounts:
    return StreamCounts()


@pytest.fixture
def machine(counts: StreamCounts) -> ListWatchMachine:
    spec = CollectionSpec.of(Resource.of("v1/pods"), options=WatchOptions(initial="list"))
    return ListWatchMachine(spec, "", capabilities=Capabilities(), random=lambda: 0.0, counts=counts)


def relists(counts: StreamCounts) -> dict[str, int]:
    return {reason: number for reason, number in counts.relists.items() if number}


def test_the_first_state_is_no_relist(machine, counts):
    watching(machine)
    assert (relists(counts), counts.reconnects) == ({}, 0)


def test_each_watch_that_is_requested_again_is_a_reconnect(machine, counts):
    close(watching(machine), times=2)
    machine.ended(TransportError("reset"), 0.0)
    assert (relists(counts), counts.reconnects) == ({"failing": 1}, 2)


@pytest.mark.parametrize(("code", "reason"), [(410, "expired"), (404, "not_found")])
def test_a_refused_watch_is_a_relist_with_its_reason(machine, counts, code, reason):
    close(watching(machine))
    machine.ended(None, 1000.0)
    machine.request()
    machine.refused(Status(code))
    assert (relists(counts), counts.reconnects) == ({reason: 1}, 2)


def test_a_requested_relist_is_counted(machine, counts):
    watching(machine).relist()
    assert (relists(counts), counts.reconnects) == ({"requested": 1}, 0)


def test_a_watch_without_a_resource_version_ends_in_a_relist(machine, counts):
    machine.request()
    machine.accepted()
    machine.take(ListEnd(""))
    machine.request()
    machine.accepted()
    machine.ended(None, 1000.0)
    assert (relists(counts), counts.reconnects) == ({"no_resource_version": 1}, 0)


def test_a_relist_that_fails_is_counted_once(machine, counts):
    watching(machine).take(Status(410))
    for _ in range(3):
        machine.request()
        machine.refused(Status(503))
    assert relists(counts) == {"expired": 1}
