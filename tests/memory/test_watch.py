"""Memory of a loop over the drop-in Watch."""

from __future__ import annotations

import pytest

from benchmarks.dropin import CLIENTS, SERVER, growth
from benchmarks.harness.process import Process, python
from tests.memory.follower import MIB


@pytest.mark.parametrize("client", CLIENTS)
def test_a_loop_that_keeps_nothing_does_not_grow(client: str) -> None:
    pytest.importorskip(client)
    with Process(python(SERVER), resource="pods", objects=100, seed=0, corpus=None) as server:
        found = growth(server, client, 100_000)
    assert found["rss_at_the_end"] <= found["rss_after_a_tenth"] + MIB
