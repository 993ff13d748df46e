"""The benchmark of the audited case: its collections and its records."""

from __future__ import annotations

import argparse

import msgspec

from benchmarks import bounded
from benchmarks.harness.text import MIB

SMALL = ["--custom-resources", "60", "--pods", "30", "--runners", "5", "--namespaces", "20", "--rounds", "1", "--plain"]


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bounded.arguments(parser)
    return parser.parse_args([*SMALL, *arguments], argparse.Namespace(benchmark="bounded", seed=0))


def test_the_default_case_has_the_sizes_of_the_audit():
    parser = argparse.ArgumentParser()
    bounded.arguments(parser)
    customs, pods, namespaces = bounded.cases(parser.parse_args([]))
    assert [len(each.objects) for each in (customs, pods, namespaces)] == [4_319, 477, 763]
    assert len(pods.needed) == 80
    size = sum(len(msgspec.json.encode(each)) for each in customs.objects)
    assert 24 * MIB < size < 30 * MIB
    lengths = [len(each["status"]["conditions"]) for each in customs.objects]
    assert (min(lengths), max(lengths)) == (1, 2 * bounded.CONDITIONS)


def test_kinform_has_the_objects_that_it_needs():
    records = list(bounded.measure(options("--only", "scoped")))
    clients = {each["client"]: each["figures"] for each in records if each["record"] == "client"}
    assert list(clients) == ["kinform, scoped and pruned"]
    needed = {each["collection"]: each["needed"] for each in records if each["record"] == "collection"}
    assert needed == {"custom resources": 60, "pods": 5, "namespaces": 20}
    assert "5 needed" in bounded.table(records)


def test_client_go_is_estimated():
    (record,) = (each for each in bounded.measure(options("--only", "client-go")) if each["record"] == "client")
    assert record["client"] == "client-go, estimated"
    assert record["figures"]["held"]["median"] > sum(
        len(msgspec.json.encode(obj)) for case in bounded.cases(options()) for obj in case.objects
    )
