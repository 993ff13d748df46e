"""The histogram of the age of leases, and its query in a real Prometheus."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, start_http_server

import kinform
import kinform.prometheus
import kinform.sync
from kinform.prometheus import LeaseRenewalAge
from kinform.testing import Server
from tests.net.informers import quick
from tests.prometheus.server import binary, prometheus
from tests.support.waiting import until

LEASES = "coordination.k8s.io/v1/leases"
NAME = "lease_renewal_age_seconds"


def lease(name: str, minute: int, holder: str | None = "a") -> dict[str, Any]:
    spec = {"renewTime": f"2026-04-01T12:{minute:02}:00.000000Z"}
    if holder is not None:
        spec["holderIdentity"] = holder
    return {"metadata": {"namespace": "shop", "name": name}, "spec": spec}


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr("kinform.prometheus._lease_age.time", self)

    def monotonic(self) -> float:
        return self.now


def observed(ages: LeaseRenewalAge) -> tuple[dict[str, float], float, float]:
    """Collects, and returns the buckets that are not empty, the count and the sum."""
    found = {(sample.name, sample.labels.get("le")): sample.value for each in ages.collect() for sample in each.samples}
    buckets = {str(le): value for (name, le), value in found.items() if name == f"{NAME}_bucket" and value}
    return buckets, found[f"{NAME}_count", None], found[f"{NAME}_sum", None]


async def test_a_heartbeat_without_a_holder_has_an_age(server: Server):
    async with kinform.connect(server.url) as api:
        leases = kinform.Informer(api, LEASES, options=quick())
        ages = LeaseRenewalAge(leases)
        async with leases:
            server.put(LEASES, lease("heartbeat", 0, holder=None))
            await until(lambda: observed(ages)[1] > 0)


async def test_each_scrape_observes_the_age_of_each_held_lease(server: Server, monkeypatch: pytest.MonkeyPatch):
    clock = Clock(monkeypatch)
    async with kinform.connect(server.url) as api:
        leases = kinform.Informer(api, LEASES, options=quick())
        ages = LeaseRenewalAge(leases)
        async with leases:
            for name in ("renewed", "abandoned", "deleted", "released"):
                server.put(LEASES, lease(name, 0))
            await until(lambda: len(ages._renewed) == 4)
            assert observed(ages)[1:] == (4, 0.0)

            clock.now += 15.0
            server.put(LEASES, lease("renewed", 1))
            server.put(LEASES, lease("abandoned", 0))  # a write that is no renewal
            server.put(LEASES, lease("released", 1, holder=""))
            server.delete(LEASES, "shop/deleted")
            await until(lambda: len(ages._renewed) == 2)
            clock.now += 30.0
            buckets, count, total = observed(ages)
    assert (count, total) == (6, 30.0 + 45.0)
    assert buckets["20.0"] == 4
    assert buckets["30.0"] == 5
    assert buckets["60.0"] == 6


async def test_it_needs_an_informer_on_leases(server: Server):
    async with kinform.connect(server.url) as api:
        with pytest.raises(kinform.OptionError, match="leases"):
            LeaseRenewalAge(kinform.Informer(api, "v1/pods"))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"prune": kinform.Prune(drop=["spec.renewTime"])}, "renewTime"),
        ({"prune": kinform.Prune(keep=["spec.renewTime"])}, "holderIdentity"),
        ({"scope": kinform.Scope(metadata_only=True)}, "renewTime"),
    ],
)
async def test_it_needs_the_fields_that_it_reads(server: Server, options: dict[str, Any], field: str):
    async with kinform.connect(server.url) as api:
        with pytest.raises(kinform.OptionError, match=f"leases: .*{LEASES}.* an informer that keeps spec.{field}"):
            LeaseRenewalAge(kinform.Informer(api, LEASES, **options))
        LeaseRenewalAge(
            kinform.Informer(api, LEASES, prune=kinform.Prune(keep=["spec.renewTime", "spec.holderIdentity"]))
        )


def test_a_blocking_informer_is_checked_too():
    with kinform.sync.connect("http://127.0.0.1:1") as api:
        LeaseRenewalAge(kinform.sync.Informer(api, LEASES))
        pruned = kinform.sync.Informer(api, LEASES, prune=kinform.Prune(drop=["spec.renewTime"]))
        with pytest.raises(kinform.OptionError, match=f"leases: .*{LEASES}.* an informer that keeps spec.renewTime"):
            LeaseRenewalAge(pruned)


@pytest.mark.skipif(binary() is None, reason="prometheus is not installed; KINFORM_PROMETHEUS names it")
async def test_the_query_of_the_page_has_a_result(server: Server, tmp_path):
    registry = CollectorRegistry()
    httpd, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    query = f"histogram_quantile(0.99, rate({NAME}_bucket[5m]))"
    try:
        async with kinform.connect(server.url) as api:
            leases = kinform.Informer(api, LEASES, options=quick())
            kinform.prometheus.register(LeaseRenewalAge(leases), registry=registry)
            server.put(LEASES, lease("a", 0))
            async with leases, prometheus(httpd.server_port, {"groups": []}, tmp_path) as real:
                found: list[Any] = []

                async def answered() -> bool:
                    found[:] = await real.query(query)
                    return bool(found) and found[0]["value"][1] != "NaN"

                await until(answered, within=30)
                assert 0 < float(found[0]["value"][1]) <= 30
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
