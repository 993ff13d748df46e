"""What lists over and over take, and that it is given back to the system afterwards."""

from __future__ import annotations

import pytest

from tests.memory.conftest import Follow
from tests.memory.follower import MIB, Source

both = pytest.mark.parametrize("source", ["namespaces", "pods"], indirect=True)


@both
def test_a_relist_in_which_nothing_changed_takes_at_most_a_tenth_more(source: Source, follow: Follow) -> None:
    with follow(source) as follower:
        peak = follower.relist()
        assert peak <= follower.idle + 1.1 * follower.marginal + 4 * MIB
        most = follower.steady + follower.slack
        assert follower.back(most) <= most


@both
def test_a_relist_in_which_all_changed_takes_at_most_twice_as_much_and_gives_it_back(
    source: Source, follow: Follow
) -> None:
    with follow(source) as follower:
        peak = follower.relist(changed=1.0)
        assert peak <= follower.idle + 2 * follower.marginal + 8 * MIB
        most = follower.steady + follower.slack
        assert follower.back(most) <= most


@pytest.mark.parametrize("source", ["namespaces"], indirect=True)
def test_after_most_is_deleted_a_process_holds_what_a_fresh_one_would(source: Source, follow: Follow) -> None:
    with follow(source) as follower:
        follower.delete(0.9)
        with follow(source) as fresh:
            most = fresh.steady + follower.slack
        assert follower.back(most) <= most


@pytest.mark.parametrize("source", ["namespaces"], indirect=True)
def test_ten_relists_in_a_row_end_where_the_first_ended(source: Source, follow: Follow) -> None:
    with follow(source) as follower:
        follower.relist(changed=1.0)
        for _ in range(9):
            follower.relist(changed=0.3)
        most = follower.steady + follower.slack
        assert follower.back(most) <= most
