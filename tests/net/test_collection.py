"""Collections that several handles share."""

from __future__ import annotations

import asyncio

import pytest

import kinform
from kinform._dispatch.dispatcher import Dispatcher
from kinform._informer.collection import Collection
from kinform._spec import CollectionSpec
from kinform._transport.adapter import as_transport
from kinform.testing import Invalid
from tests.net.informers import quick
from tests.support.waiting import until

PODS = "v1/pods"


def collection_of(api: object) -> Collection:
    spec = CollectionSpec.of(PODS, options=quick())
    return Collection(as_transport(api), spec, indexes={}, snapshot=None, memory_limit=None)


def dispatcher() -> Dispatcher:
    return Dispatcher(dict, PODS, 100)


async def read(changes: kinform.Changes, n: int) -> list[tuple[str, str]]:
    found = []
    async for change in changes:
        found.append((type(change).__name__, change.key))
        if len(found) == n:
            break
    return found


async def test_handles_share_one_stream_until_the_last_one_leaves(server):
    server.generate(PODS, 3)
    async with kinform.connect(server.url) as api:
        collection, first, second = collection_of(api), dispatcher(), dispatcher()
        await collection.open(first)
        await collection.waits.synced(collection.streams.values, 10)
        await collection.open(second)
        await server.wait_for_watchers(1)
        await collection.close(first)
        await server.wait_for_watchers(1)
        server.generate(PODS, 1)
        await until(lambda: len(collection.writer.contents.table) == 4)
        await collection.close(second)
        await server.wait_for_watchers(0)
        assert len({request.path for request in server.requests if request.verb == "watch"}) == 1


async def test_a_handle_that_opens_late_gets_the_present_state(server):
    keys = server.generate(PODS, 2)
    async with kinform.connect(server.url) as api:
        collection, first, second = collection_of(api), dispatcher(), dispatcher()
        await collection.open(first)
        await collection.waits.synced(collection.streams.values, 10)
        late = collection.changes(second)
        await collection.open(second)
        expected = [*(("Added", key) for key in sorted(keys)), ("Synced", "")]
        found = await read(late, 3)
        assert [*sorted(found[:2]), found[2]] == expected
        server.delete(PODS, keys[0])
        assert await read(late, 1) == [("Deleted", keys[0])]
        await collection.close(second)
        await collection.close(first)


async def test_each_handle_gets_every_change(server):
    async with kinform.connect(server.url) as api:
        collection, handles = collection_of(api), [dispatcher(), dispatcher()]
        readers = [collection.changes(each) for each in handles]
        for each in handles:
            await collection.open(each)
        await collection.waits.synced(collection.streams.values, 10)
        (key,) = server.generate(PODS, 1)
        for reader in readers:
            assert await read(reader, 2) == [("Synced", ""), ("Added", key)]
        for each in handles:
            await collection.close(each)


async def test_a_handle_that_opens_a_failed_collection_gets_its_error(server):
    server.fault(Invalid(), times=None)
    async with kinform.connect(server.url) as api:
        collection, first, second = collection_of(api), dispatcher(), dispatcher()
        await collection.open(first)
        await until(lambda: collection.failure is not None)
        late = collection.changes(second)
        await collection.open(second)
        with pytest.raises(kinform.BadRequestError):
            await read(late, 1)
        await collection.close(second)
        await collection.close(first)


async def test_a_closed_collection_cannot_be_opened_again(server):
    async with kinform.connect(server.url) as api:
        collection, handle = collection_of(api), dispatcher()
        await collection.open(handle)
        await collection.close(handle)
        await collection.close(handle)
        with pytest.raises(kinform.KinformError, match="is closed"):
            await collection.open(dispatcher())


async def test_a_second_handle_starts_if_the_first_one_failed_to(server, monkeypatch):
    server.generate(PODS, 1)
    async with kinform.connect(server.url) as api:
        collection, second = collection_of(api), dispatcher()
        start = collection._start

        async def fail() -> None:
            monkeypatch.setattr(collection, "_start", start)
            await asyncio.sleep(0)
            raise RuntimeError

        monkeypatch.setattr(collection, "_start", fail)
        opening = asyncio.create_task(collection.open(dispatcher()))
        await asyncio.sleep(0)
        await collection.open(second)
        with pytest.raises(RuntimeError):
            await opening
        await collection.waits.synced(collection.streams.values, 10)
        await collection.close(second)
        await server.wait_for_watchers(0)
