"""The variants: a client is compared with itself, and a wrong one is an error."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from msgspec.structs import replace

from benchmarks.harness.results import Record, of
from benchmarks.peers import phase, variants
from benchmarks.peers.catalogue import KINFORM, KINFORM_UVLOOP
from benchmarks.report.titles import VARIANTS

PODS = 30


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips the waits, since no test here looks at memory over time."""
    monkeypatch.setattr(variants, "BRIEF_SECONDS", 0.0)
    monkeypatch.setattr(phase, "wait_until_idle", lambda *_, **__: 0.0)


def measured(*arguments: str) -> list[Record]:
    parser = argparse.ArgumentParser()
    variants.arguments(parser)
    given = ("--objects", str(PODS), "--rounds", "1", *arguments)
    return list(variants.measure(parser.parse_args(given, argparse.Namespace(benchmark="variants", seed=0))))


def test_kinform_runs_in_each_variant_and_on_each_loop(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvloop")
    found = measured("--only", "kinform")
    assert [(each["variant"], each["peer"], each["mode"]) for each in of(found, "variants", record="client")] == [
        ("plain", "kinform", "auto"),
        ("TLS", "kinform", "auto"),
        ("plain", "kinform, uvloop", "auto"),
        ("TLS", "kinform, uvloop", "auto"),
        ("plain", "kinform", "list"),
        ("gzip", "kinform", "list"),
    ]
    assert {each["variant"] for each in found} == set(VARIANTS)
    for each in found:
        assert {name for _, name, _ in variants.COLUMNS} <= set(each["figures"])
        assert {f"{part}.total_cpu_seconds" for part in ("sync", "storm")} <= set(each["figures"])
    assert "TLS: kinform, uvloop (auto), 30 pods" in variants.table(found)


def test_each_client_also_runs_over_plain_http() -> None:
    plain = {(peer.name, peer.mode) for variant, peer in variants.RUNS if variant == "plain"}
    assert {(peer.name, peer.mode) for _, peer in variants.RUNS} == plain


def test_a_client_without_its_module_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "RUNS", (("TLS", replace(KINFORM_UVLOOP, module="no_such_module")),))
    (record,) = measured()
    assert record["record"] == "absent"
    assert record["why"] == "not installed: no_such_module, which `make bench` installs"
    assert "absent: not installed" in variants.table([record])


def test_a_client_with_other_objects_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def differ(server: dict[str, Any], client: dict[str, Any]) -> bool:
        return False

    monkeypatch.setattr(variants, "agree", differ)
    monkeypatch.setattr(variants, "RUNS", (("plain", KINFORM),))
    with pytest.raises(SystemExit, match="holds other objects than the server"):
        measured()
