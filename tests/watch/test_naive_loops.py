"""Naive loops through faults, with the Watch of a client and that of kinform."""

from __future__ import annotations

import pytest

from tests.docs.watch_faults import CLIENT, WATCH_PAGE, Outcomes, filled, measure
from tests.watch.clients import Client
from tests.watch.naive_loops import LOOPS, MAX_RATE

pytestmark = [
    pytest.mark.timeout(300),
    # The clients leave connections of requests that failed.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def fast() -> None:
    """Keeps the waits between requests."""


@pytest.fixture
def theirs(client: Client) -> Outcomes:
    return measure(client)[0]


@pytest.fixture
def ours(client: Client) -> Outcomes:
    return measure(client)[1]


def test_no_loop_hangs_or_goes_on_with_a_wrong_state(ours):
    assert not [cell for cell, outcome in ours.items() if outcome.result in ("hangs", "wrong", "crash")]


def test_a_loop_that_was_right_stays_right(theirs, ours):
    right = [cell for cell, outcome in theirs.items() if outcome.result == "right"]
    assert right
    assert [cell for cell in right if ours[cell].result != "right"] == []


def test_only_refusals_end_a_loop_without_timeout_seconds(ours):
    for (fault, loop), outcome in ours.items():
        if outcome.result != "right" and loop != "begin again":
            assert outcome.result.startswith("ApiException"), (fault, loop, outcome)


def test_each_loop_sends_few_requests(ours):
    assert {cell: outcome.rate for cell, outcome in ours.items() if outcome.rate > MAX_RATE} == {}


def test_each_loop_meets_each_fault(ours):
    assert len(ours) == 15 * len(LOOPS)


def test_the_page_is_as_measured():
    pytest.importorskip(CLIENT.name)
    page = WATCH_PAGE.read_text()
    assert "<!-- from naive loops: faults -->" in page
    assert filled(page) == page, "run: python -m tests.docs.watch_faults"
