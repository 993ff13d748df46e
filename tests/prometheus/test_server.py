"""The queries of docs/monitoring, in a real Prometheus that scrapes informers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, start_http_server

import kinform
import kinform.prometheus
from kinform.testing import Gone, MalformedObject, Server
from tests.net.informers import fails, quick
from tests.prometheus.queries import panel_queries, rule_file
from tests.prometheus.server import binary, prometheus
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(binary() is None, reason="prometheus is not installed; KINFORM_PROMETHEUS names it")

PODS, NODES, SECRETS = "v1/pods", "v1/nodes", "v1/secrets"
UNHEALED = kinform.Backoff(initial=300.0, maximum=300.0)  # nothing is healed during a test


@pytest.fixture
async def api(server: Server) -> AsyncIterator[kinform.Connection]:
    async with kinform.connect(server.url) as api:
        yield api


@pytest.fixture
def exported() -> Any:
    """Yields a registry and the port at which it can be scraped."""
    registry = CollectorRegistry()
    httpd, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    yield registry, httpd.server_port
    httpd.shutdown()
    httpd.server_close()
    thread.join()


async def test_each_query_of_the_dashboard_has_a_result(server: Server, api, exported, tmp_path):
    registry, port = exported
    server.generate(PODS, 10)
    snapshot = kinform.Snapshot(path=tmp_path / "pods", interval=1.0)
    async with kinform.Informer(api, PODS, options=quick(), snapshot=snapshot, memory_limit=64 << 20) as pods:
        kinform.prometheus.register(pods, registry=registry)
        async with prometheus(port, {"groups": []}, tmp_path) as real:
            missing = set(panel_queries())

            async def answered() -> bool:
                server.touch(PODS, server.keys(PODS)[0])  # the snapshot is written after changes
                missing.difference_update([title for title in missing if await real.query(panel_queries()[title])])
                return not missing

            try:
                await until(answered, within=30)
            except TimeoutError:
                pytest.fail(f"no result: {missing}")


def impatient_rules() -> dict[str, Any]:
    """Returns the rules with smaller numbers, so that a test waits for seconds."""
    rules = rule_file()
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["for"] = "1s"
            rule["expr"] = rule["expr"].replace("> 300", "> 3").replace("> 10", "> 0")
    return rules


async def test_each_alert_fires_for_its_informer_alone(server: Server, api, exported, tmp_path):
    registry, port = exported
    server.generate(NODES, 1)
    server.generate(SECRETS, 1)
    server.generate(PODS, 10, namespace="shop")
    server.generate(PODS, 200, namespace="till")
    wrong = kinform.Informer(api, PODS, scope=kinform.Scope(field_selector="spec.colour=red"), options=quick())
    async with AsyncExitStack() as stack:

        async def start(resource: str, namespace: str | None = None, **options: Any) -> kinform.Informer:
            scope = kinform.Scope(namespaces=[namespace] if namespace else None)
            informer = kinform.Informer(api, resource, scope=scope, **{"options": quick(), **options})
            kinform.prometheus.register(informer, registry=registry)
            return await stack.enter_async_context(informer)

        await stack.enter_async_context(fails(wrong, kinform.BadRequestError))
        kinform.prometheus.register(wrong, registry=registry)
        server.fault(MalformedObject(), resource=PODS, namespace="shop")
        degraded = await start(PODS, "shop", options=quick(backoff=UNHEALED))
        await until(lambda: bool(degraded.stats().degraded))
        well, quiet, absent = await start(NODES), await start(SECRETS), await start("example.com/v1/absent")
        sized = await start(PODS, "till")
        await sized.synced(timeout=10)
        limit = int(sized.stats().memory.held_bytes * 1.12)
        full = await start(PODS, "till", memory_limit=limit)
        busy = await start("v1/namespaces")
        busy.on_change(len)
        busy.on_change(lambda key: 1 / 0)
        expected = {
            ("KinformFailed", wrong.name),
            ("KinformDegraded", degraded.name),
            ("KinformNotSynced", absent.name),
            ("KinformMemoryNearLimit", f"{full.name} #2"),
            ("KinformStale", quiet.name),
            ("KinformRelisting", busy.name),
            ("KinformHandlerErrors", busy.name),
        }
        async with prometheus(port, impatient_rules(), tmp_path) as real:
            await until(lambda: _scraped(real), within=30)
            server.fault(Gone(), resource="v1/namespaces", on="watch", times=1)
            server.disconnect("v1/namespaces")
            firing: set[tuple[str, str]] = set()

            async def fired() -> bool:
                nonlocal firing
                server.put("v1/namespaces", {"metadata": {"name": "team"}})
                server.touch(NODES, server.keys(NODES)[0])
                for namespace in ("shop", "till"):
                    keys = server.keys(PODS, namespace=namespace)
                    server.touch(PODS, next(key for key in keys if key not in degraded.stats().degraded))
                await asyncio.sleep(0.3)
                firing = await real.firing()
                return expected <= firing

            try:
                await until(fired, within=40)
            except TimeoutError:
                pytest.fail(f"do not fire: {expected - firing}")
        assert firing == expected
        assert well.health().ok


async def _scraped(real: Any) -> bool:
    return bool(await real.query("rate(kinform_received_bytes_total[1m])"))
