"""The replicas that live, as their Leases say."""

from __future__ import annotations

from typing import Any

import pytest

from kinform.controllers._shards.members import Members

NAME = "shop/widgets"


def lease(holder: str, transitions: int | None = None, *, seconds: int = 10) -> dict[str, Any]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": transitions}
    return {"metadata": {}, "spec": spec if holder else {}}


@pytest.fixture
def members() -> Members:
    """Members, as the replica "me" with 8 shards sees them."""
    return Members(NAME, 8, "me", 10.0)


def test_the_key_has_the_count_and_is_new_each_time(members: Members) -> None:
    before = members.key
    assert before.startswith(f"{NAME}-member-8-")
    assert members.new_key() == members.key != before


def test_a_replica_is_announced_when_it_sees_its_lease(members: Members) -> None:
    members.observe(members.key, lease(""), 0.0)
    assert not members.announced
    members.observe(members.key, lease("me", 5), 0.0)
    assert members.announced
    members.observe(members.key, None, 0.0)
    assert not members.announced


def test_replicas_with_another_count_are_no_members(members: Members) -> None:
    assert members.observe(f"{NAME}-member-8-aa", lease("friend", 1), 0.0)
    assert members.observe(f"{NAME}-member-16-bb", lease("stranger", 2), 0.0)
    assert not members.observe(f"{NAME}-3", lease("friend", 3), 0.0)
    assert members.live(0.0) == {"me", "friend"}
    assert members.live(10.0) == {"me"}


def test_only_replicas_that_came_before_are_waited_for(members: Members) -> None:
    members.observe(f"{NAME}-member-16-aa", lease("first", 3), 0.0)
    members.observe(f"{NAME}-member-16-bb", lease("last", 7), 0.0)
    members.observe(f"{NAME}-member-8-cc", lease("friend", 1), 0.0)
    assert members.before(0.0) == ["first", "last"]  # not announced, so all may have come before
    members.observe(members.key, lease("me", 5), 0.0)
    assert members.before(0.0) == ["first"]
    assert members.before(10.0) == []


def test_a_renewal_is_no_change_of_the_members(members: Members) -> None:
    key = f"{NAME}-member-8-aa"
    assert members.observe(key, lease("friend", 1), 0.0)
    assert not members.observe(key, {**lease("friend", 1), "metadata": {"resourceVersion": "9"}}, 5.0)
    assert members.observe(key, None, 6.0)
    assert not members.observe(key, None, 6.0)


def test_the_lease_of_a_dead_replica_is_to_be_deleted(members: Members) -> None:
    key = f"{NAME}-member-16-aa"
    members.observe(key, {**lease("dead", 1), "metadata": {"resourceVersion": "7"}}, 0.0)
    assert members.dead(9.0) is None
    assert 10.0 in members.changes()
    assert members.dead(10.0) == (key, "7")
    assert members.dead(19.0) is None
    assert members.dead(20.0) == (key, "7")
    members.observe(key, None, 20.0)
    assert members.dead(40.0) is None


def test_a_new_lease_without_a_holder_is_not_dead(members: Members) -> None:
    key = f"{NAME}-member-8-aa"
    members.observe(key, lease(""), 0.0)
    assert members.dead(9.0) is None
    assert members.dead(10.0) == (key, "")
