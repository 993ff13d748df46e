"""Versions that do not fit the type of a reader: skipped, unlike their deletion."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

import kinform
from tests.net.informers import quick
from tests.support.waiting import until

WIDGETS = "example.com/v1/widgets"


class Widget(msgspec.Struct):
    size: int


def put(server, name: str, size: Any) -> None:
    server.put(WIDGETS, {"metadata": {"namespace": "shop", "name": name}, "size": size})


@pytest.fixture
async def widgets(server, api):
    server.register(WIDGETS, kind="Widget")
    return kinform.Informer(api, WIDGETS, type=Widget, options=quick(), queue_bound=1)


async def skipped(widgets: kinform.Informer[Widget], count: int) -> None:
    await until(lambda: widgets.stats().undecodable == count)


async def next_of(changes) -> Any:
    return await asyncio.wait_for(anext(changes), 10)


async def read_until_synced(changes) -> None:
    while not isinstance(await next_of(changes), kinform.Synced):
        pass


async def test_a_deletion_comes_with_the_last_version_that_fits(server, widgets):
    put(server, "w", 1)
    async with widgets:
        await widgets.synced(timeout=10)
        changes = widgets.changes()
        await read_until_synced(changes)
        put(server, "w", 2)
        assert (await next_of(changes)).object == Widget(2)
        waits = asyncio.create_task(next_of(changes))
        for count, size in enumerate(("L", "XL"), start=1):
            put(server, "w", size)
            await skipped(widgets, count)
        server.delete(WIDGETS, "shop/w")
        assert await waits == kinform.Deleted("shop/w", Widget(2), False)
        assert widgets.stats().undecodable == 2
        assert changes._kept == {}


async def test_the_next_version_that_fits_has_the_last_one_as_old(server, widgets):
    put(server, "w", 1)
    async with widgets:
        await widgets.synced(timeout=10)
        changes = widgets.changes()
        await read_until_synced(changes)
        waits = asyncio.create_task(next_of(changes))
        put(server, "w", "L")
        await skipped(widgets, 1)
        put(server, "w", 3)
        assert await waits == kinform.Updated("shop/w", Widget(3), Widget(1))
        assert changes._kept == {}


async def test_merged_changes_lose_no_deletion(server, widgets):
    put(server, "w", 1)
    async with widgets:
        await widgets.synced(timeout=10)
        changes = widgets.changes()
        await read_until_synced(changes)
        put(server, "w", 2)
        put(server, "w", "L")
        server.delete(WIDGETS, "shop/w")
        await until(lambda: len(widgets.store) == 0)
        assert widgets.stats().changes_depth == [1]
        assert await next_of(changes) == kinform.Deleted("shop/w", Widget(1), False)


@pytest.mark.parametrize("with_updates", [True, False])
async def test_handlers_get_the_deletion_of_a_skipped_version(server, widgets, with_updates):
    received = []
    widgets.on_add(lambda found: received.append(("added", found.size)))
    widgets.on_delete(lambda found: received.append(("deleted", found.size)))
    if with_updates:
        widgets.on_update(lambda old, new: received.append(("updated", old, new)))
    put(server, "w", 1)
    for _ in range(2):  # the second start begins without the versions of the first
        async with widgets:
            await widgets.synced(timeout=10)
            await until(lambda: received == [("added", 1)])
            put(server, "w", "L")
            await until(lambda: widgets.stats().undecodable)
            server.delete(WIDGETS, "shop/w")
            await until(lambda: received == [("added", 1), ("deleted", 1)])
        received.clear()
        put(server, "w", 1)


async def test_the_end_of_a_block_releases_kept_versions(server, widgets):
    widgets.on_delete(lambda found: None)
    put(server, "w", 1)
    async with widgets:
        await widgets.synced(timeout=10)
        changes = widgets.changes()
        await read_until_synced(changes)
        waits = asyncio.create_task(anext(changes, None))
        put(server, "w", "L")
        await skipped(widgets, 2)
        kept = (changes._kept, widgets._dispatcher.handlers._kept)
        assert [list(each) for each in kept] == [["shop/w"]] * 2
    assert await waits is None
    assert kept == ({}, {})


async def test_an_object_that_never_fitted_has_no_deletion(server, widgets):
    put(server, "never", "L")
    put(server, "w", 1)
    async with widgets:
        await widgets.synced(timeout=10)
        changes = widgets.changes()
        await read_until_synced(changes)
        server.delete(WIDGETS, "shop/never")
        server.delete(WIDGETS, "shop/w")
        assert (await next_of(changes)).key == "shop/w"
        assert widgets.stats().undecodable == 2
