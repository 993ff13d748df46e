"""Memory under many updates of the same objects."""

from __future__ import annotations

import pytest

from tests.memory.conftest import Follow
from tests.memory.follower import MIB, Source


@pytest.mark.parametrize("source", ["few_namespaces"], indirect=True)
def test_a_million_updates_do_not_grow_the_process(source: Source, follow: Follow) -> None:
    with follow(source) as follower:
        follower.churn(100_000)
        after_warm_up = follower.gauge.rss()
        peak = follower.churn(900_000)
        assert peak <= after_warm_up + 2 * MIB
        most = after_warm_up + MIB
        assert follower.settled(most) <= most
