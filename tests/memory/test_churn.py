"""What the same objects take however often they change."""

from __future__ import annotations

import pytest

from tests.memory.conftest import Follow
from tests.memory.follower import MIB, Source


@pytest.mark.parametrize("source", ["few_namespaces"], indirect=True)
def test_a_million_updates_of_a_thousand_objects_leave_memory_flat(source: Source, follow: Follow) -> None:
    with follow(source) as follower:
        follower.churn(100_000)
        after_the_first = follower.gauge.rss()
        peak = follower.churn(900_000)
        assert peak <= after_the_first + 2 * MIB
        most = after_the_first + MIB
        assert follower.back(most) <= most
