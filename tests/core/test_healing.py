"""Times at which skipped objects are requested again, without a clock and a loop."""

from __future__ import annotations

import math

import pytest

import kinform
from kinform._listwatch.healing import MAX_FETCH_WAIT, MAX_KEYS, MAX_RELIST_WAIT, Healing
from kinform._resource_versions import is_reached

BACKOFF = kinform.Backoff(initial=1.0, maximum=30.0)


@pytest.fixture
def healing() -> Healing:
    return Healing(BACKOFF, lambda: 0.0)


def test_nothing_is_due_without_a_skip(healing):
    assert healing.due == math.inf
    assert healing.degraded == ()
    assert not healing.is_degraded


def test_a_known_key_is_fetched_after_the_first_wait(healing):
    healing.skip("shop/a", 100.0, initial=False)
    assert healing.degraded == ("shop/a",)
    assert healing.due == 101.0
    assert healing.next_key(101.0) == "shop/a"


def test_an_unknown_key_needs_a_relist_after_a_longer_wait(healing):
    healing.skip(None, 100.0, initial=False)
    assert healing.degraded == ("(unknown keys)",)
    assert healing.due == 130.0
    assert healing.next_key(130.0) is None
    assert healing.due == math.inf  # until the state is complete
    healing.begin()
    healing.complete(131.0)
    assert healing.degraded == ()


def test_waits_of_a_key_double_up_to_a_limit(healing):
    now = 0.0
    healing.skip("a", now, initial=False)
    waits = []
    for _ in range(15):
        waits.append(healing.due - now)
        now = healing.due
        assert healing.next_key(now) == "a"
        healing.fail("a", now)
    assert waits[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert waits[-1] == MAX_FETCH_WAIT


def test_a_new_skip_of_a_key_does_not_shorten_its_wait(healing):
    healing.skip("a", 0.0, initial=False)
    for now in (1.0, 3.0, 7.0):
        healing.fail("a", now)
    due = healing.due
    healing.skip("a", 7.5, initial=False)
    assert healing.due == due


def test_relists_of_a_list_that_always_skips_become_rare(healing):
    now, waits = 0.0, []
    for _ in range(12):
        healing.begin()
        healing.skip(None, now, initial=True)
        healing.complete(now)
        waits.append(healing.due - now)
        now = healing.due
        assert healing.next_key(now) is None
    assert waits[:4] == [30.0, 60.0, 120.0, 240.0]
    assert waits[-1] == MAX_RELIST_WAIT


def test_two_keys_are_fetched_one_after_the_other(healing):
    healing.skip("a", 0.0, initial=False)
    healing.skip("b", 0.0, initial=False)
    assert healing.next_key(1.0) == "a"
    healing.receive("a", initial=False)
    assert healing.due == 2.0
    assert healing.next_key(2.0) == "b"


def test_more_keys_than_the_limit_are_left_to_a_relist(healing):
    for number in range(MAX_KEYS + 50):
        healing.skip(f"shop/{number}", 0.0, initial=False)
    assert len(healing.degraded) == MAX_KEYS + 1
    assert healing.degraded[-1] == "(unknown keys)"


def test_only_what_the_newest_state_skipped_is_degraded(healing):
    healing.skip("old", 0.0, initial=False)
    healing.begin()
    healing.skip("again", 1.0, initial=True)
    healing.skip("new", 1.0, initial=True)
    assert healing.degraded == ("old",)  # readers still see the old state
    healing.receive("again", initial=True)
    healing.complete(2.0)
    assert healing.degraded == ("new",)


def test_an_aborted_state_leaves_no_skips(healing):
    healing.begin()
    healing.skip("a", 0.0, initial=True)
    healing.skip(None, 0.0, initial=True)
    healing.begin()
    healing.complete(1.0)
    assert not healing.is_degraded


def test_a_key_that_a_relist_skips_again_keeps_its_failures(healing):
    healing.skip("a", 0.0, initial=False)
    healing.fail("a", 1.0)
    healing.begin()
    healing.skip("a", 10.0, initial=True)
    healing.complete(10.0)
    assert healing.due == 12.0


def test_an_attempt_is_void_after_an_event_of_its_key(healing):
    healing.skip("a", 0.0, initial=False)
    attempt = healing.attempt("a")
    assert healing.attempt("a") == attempt
    healing.skip("a", 1.0, initial=False)
    assert healing.attempt("a") != attempt
    healing.receive("a", initial=False)
    assert healing.attempt("a") is None


def test_a_server_can_ask_for_a_longer_wait(healing):
    healing.skip("a", 0.0, initial=False)
    healing.fail("a", 1.0, at_least=60.0)
    assert healing.due == 61.0


@pytest.mark.parametrize(
    ("version", "stream", "reached"),
    [("5", "5", True), ("5", "6", True), ("10", "9", False), ("9", "10", True), ("", "7", True), ("a", "b", True)],
)
def test_an_answer_waits_until_the_stream_has_its_version(version, stream, reached):
    assert is_reached(version, stream) is reached
