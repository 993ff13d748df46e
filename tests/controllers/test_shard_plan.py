"""The plan of shards: fair, the same everywhere, and with few moves."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from kinform.controllers._shards.plan import plan

MEMBERS = [f"widget-{number}" for number in range(6)]


@pytest.mark.parametrize(("members", "count"), list(itertools.product([1, 2, 3, 4, 6], [1, 2, 8, 13, 64])))
def test_each_member_has_the_same_number_or_one_more(members: int, count: int) -> None:
    planned = plan(MEMBERS[:members], {}, count)
    loads = Counter(dict.fromkeys(MEMBERS[:members], 0))
    loads.update(planned.values())
    assert sorted(planned) == list(range(count))
    assert max(loads.values()) - min(loads.values()) <= 1


def test_the_order_of_members_does_not_matter() -> None:
    holders = {0: "widget-1", 3: "widget-2"}
    plans = [plan(order, holders, 16) for order in itertools.permutations(MEMBERS[:4])]
    assert all(each == plans[0] for each in plans)


def test_a_fair_plan_moves_nothing() -> None:
    planned = plan(MEMBERS, {}, 64)
    assert plan(MEMBERS, planned, 64) == planned


def test_only_the_share_of_a_member_that_comes_moves() -> None:
    before = plan(MEMBERS[:3], {}, 12)
    after = plan(MEMBERS[:4], before, 12)
    moved = {index for index in range(12) if before[index] != after[index]}
    assert {after[index] for index in moved} == {MEMBERS[3]}
    assert len(moved) == 3


def test_only_the_shards_of_a_member_that_goes_move() -> None:
    before = plan(MEMBERS[:4], {}, 12)
    after = plan(MEMBERS[:3], before, 12)
    assert all(after[index] == before[index] for index in range(12) if before[index] != MEMBERS[3])


def test_what_is_free_between_two_moves_is_planned_as_before() -> None:
    rng = random.Random(1)
    for _ in range(100):
        members = rng.sample(MEMBERS, rng.randrange(1, 6))
        holders = {index: rng.choice(MEMBERS) for index in range(16) if rng.random() < 0.7}
        planned = plan(members, holders, 16)
        for index, holder in list(holders.items()):
            if planned[index] != holder:
                del holders[index]  # given up
                assert plan(members, holders, 16) == planned
