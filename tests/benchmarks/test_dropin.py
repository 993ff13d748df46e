"""The benchmark of the drop-in Watch: its records, but none of its times."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import dropin


@pytest.mark.parametrize("client", dropin.CLIENTS)
def test_each_client_has_a_record_for_each_touch(client, monkeypatch):
    pytest.importorskip(client)
    monkeypatch.setattr(dropin, "CLIENTS", (client,))
    parser = argparse.ArgumentParser()
    dropin.arguments(parser)
    arguments = ["--objects", "20", "--rounds", "1", "--seconds", "0.1", "--events", "2000", "--plain"]
    options = parser.parse_args(arguments, argparse.Namespace(benchmark="dropin", seed=0))
    records = list(dropin.measure(options))
    assert [record.get("touch") for record in records if record["record"] == "speed"] == list(dropin.TOUCHES)
    for record in records:
        if record["record"] == "speed":
            assert all(figure["min"] > 0 for figure in record["figures"].values())
    table = dropin.table(records)
    assert client in table


def test_the_memory_is_that_of_one_loop():
    record = {"record": "memory", "client": "x", "events": 10, "rss_after_a_tenth": 1 << 20, "rss_at_the_end": 2 << 20}
    assert "1.0 to 2.0 MiB" in dropin.table([record])
