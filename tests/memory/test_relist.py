"""Memory of relists, and that it is returned to the system afterwards."""

from __future__ import annotations

import pytest

from tests.memory.conftest import Follow
from tests.memory.follower import MIB, Source

both = pytest.mark.parametrize("source", ["namespaces", "pods"], indirect=True)


@both
def test_a_relist_without_changes_takes_at_most_10_percent_more(source: Source, follow: Follow) -> None:
    with follow(source) as follower:
        peak = follower.relist()
        assert peak <= follower.idle + 1.1 * follower.marginal + 4 * MIB
        most = follower.steady + follower.slack
        assert follower.settled(most) <= most


@both
def test_a_relist_with_all_changed_takes_at_most_twice_as_much(source: Source, follow: Follow) -> None:
    with follow(source) as follower:
        peak = follower.relist(changed=1.0)
        assert peak <= follower.idle + 2 * follower.marginal + 8 * MIB
        most = follower.steady + follower.slack
        assert follower.settled(most) <= most


@pytest.mark.parametrize("source", ["namespaces"], indirect=True)
def test_after_deletion_a_process_holds_as_much_as_a_new_one(source: Source, follow: Follow) -> None:
    with follow(source) as follower:
        follower.delete(0.9)
        with follow(source) as fresh:
            most = fresh.steady + follower.slack
        assert follower.settled(most) <= most


@pytest.mark.parametrize("source", ["namespaces"], indirect=True)
def test_ten_relists_take_no_more_than_one(source: Source, follow: Follow) -> None:
    with follow(source) as follower:
        follower.relist(changed=1.0)
        for _ in range(9):
            follower.relist(changed=0.3)
        most = follower.steady + follower.slack
        assert follower.settled(most) <= most
