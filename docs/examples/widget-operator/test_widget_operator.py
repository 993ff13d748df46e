"""Tests of the operator, with the simulator of kinform: no cluster is needed.

pip install pytest pytest-asyncio
pytest
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from widget_operator import CONFIG_MAPS, LABELS, WIDGETS, WidgetOperator

import kinform
from kinform.testing import Conflict, Gone, InternalError, Server, at_most, settled

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as server:
        server.register(WIDGETS, kind="Widget", status_subresource=True)
        yield server


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[WidgetOperator]:
    """Runs the operator in the block, until it has nothing to do at the start."""
    async with kinform.connect(server.url) as api, kinform.Factory(api) as factory, asyncio.TaskGroup() as group:
        operator = WidgetOperator(api, factory)
        task = group.create_task(operator.controller.run())
        await factory.synced(timeout=10)
        await settled(server, operator.controller)
        yield operator
        task.cancel()


def put(server: Server, name: str = "first", size: int = 3, generation: int = 1) -> None:
    metadata: dict[str, Any] = {"namespace": "shop", "name": name, "generation": generation}
    if (found := server.get(WIDGETS, f"shop/{name}")) is not None:
        metadata["uid"] = found["metadata"]["uid"]
    status = {} if found is None else found.get("status", {})
    server.put(WIDGETS, {"metadata": metadata, "spec": {"size": size, "color": "blue"}, "status": status})


def map_of(server: Server, name: str = "first") -> dict[str, Any]:
    found = server.get(CONFIG_MAPS, f"shop/{name}-widget")
    assert found is not None
    return found


async def test_a_widget_gets_a_config_map_and_a_status_in_two_writes(server: Server) -> None:
    async with running(server) as operator:
        with at_most(server, 2):
            put(server)
            await settled(server, operator.controller)
    widget = server.get(WIDGETS, "shop/first")
    assert widget is not None
    assert map_of(server)["data"] == {"size": "3", "color": "blue"}
    assert map_of(server)["metadata"]["ownerReferences"][0]["uid"] == widget["metadata"]["uid"]
    assert widget["status"] == {"observedGeneration": 1, "configMap": "first-widget"}


async def test_a_change_of_the_spec_changes_the_config_map(server: Server) -> None:
    put(server)
    async with running(server) as operator:
        with at_most(server, 2):
            put(server, size=5, generation=2)
            await settled(server, operator.controller)
    assert map_of(server)["data"]["size"] == "5"


async def test_a_restart_with_nothing_to_do_writes_nothing(server: Server) -> None:
    for number in range(20):
        put(server, f"widget-{number}")
    async with running(server):
        pass
    with at_most(server, 0):
        async with running(server):
            pass


@pytest.mark.parametrize("damage", ["deleted", "without its label", "edited"])
async def test_a_damaged_config_map_comes_back(server: Server, damage: str) -> None:
    put(server)
    async with running(server) as operator:
        with at_most(server, 1):
            if damage == "deleted":
                server.delete(CONFIG_MAPS, "shop/first-widget")
            elif damage == "edited":
                server.update(CONFIG_MAPS, "shop/first-widget", lambda found: found["data"].update(size="99"))
            else:
                server.update(CONFIG_MAPS, "shop/first-widget", lambda found: found["metadata"].pop("labels"))
            await settled(server, operator.controller)
    assert map_of(server)["data"]["size"] == "3"
    assert map_of(server)["metadata"]["labels"] == LABELS


async def test_what_others_add_to_a_config_map_stays(server: Server) -> None:
    put(server)
    async with running(server) as operator:
        with at_most(server, 0):
            server.update(CONFIG_MAPS, "shop/first-widget", lambda found: found["data"].update(note="mine"))
            await settled(server, operator.controller)
    assert map_of(server)["data"]["note"] == "mine"


@pytest.mark.parametrize("fault", [Conflict(), InternalError()])
async def test_each_write_is_repeated_after_a_refusal(server: Server, fault: Any) -> None:
    async with running(server) as operator:
        server.fault(fault, on="apply", times=2)
        server.fault(fault, on="patch", times=2)
        put(server)
        async with asyncio.timeout(10):
            while not (server.get(WIDGETS, "shop/first") or {}).get("status"):
                await asyncio.sleep(0.01)
        await settled(server, operator.controller)
    assert map_of(server)["data"]["size"] == "3"


async def test_what_was_deleted_while_the_watch_was_away_comes_back(server: Server) -> None:
    put(server)
    async with running(server) as operator:
        server.fault(Gone(), on="watch", resource=CONFIG_MAPS)
        server.delete(CONFIG_MAPS, "shop/first-widget")
        server.disconnect()
        async with asyncio.timeout(10):
            while server.get(CONFIG_MAPS, "shop/first-widget") is None:
                await asyncio.sleep(0.01)
        await settled(server, operator.controller)
    assert map_of(server)["data"]["size"] == "3"
