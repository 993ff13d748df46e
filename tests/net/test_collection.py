"""Collections that several handles share."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

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


def collection_of(api: object, path: Path | None = None) -> Collection:
    spec = CollectionSpec.of(PODS, options=quick())
    snapshot = None if path is None else kinform.Snapshot(path=path)
    return Collection(as_transport(api), spec, indexes={}, snapshot=snapshot, memory_limit=None)


def dispatcher() -> Dispatcher:
    made = Dispatcher(dict, PODS, 100)
    made.open()
    return made


async def synced(collection: Collection) -> None:
    async def opened() -> None: ...

    await collection.waits.synced(collection.streams.values, 10, opened=opened)


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
        await synced(collection)
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
        await synced(collection)
        late = collection.changes(second, opened=False)
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
        readers = [collection.changes(each, opened=False) for each in handles]
        for each in handles:
            await collection.open(each)
        await synced(collection)
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
        late = collection.changes(second, opened=False)
        await collection.open(second)
        with pytest.raises(kinform.BadRequestError):
            await read(late, 1)
        await collection.close(second)
        await collection.close(first)


async def test_a_closed_collection_starts_anew(server):
    server.generate(PODS, 2)
    async with kinform.connect(server.url) as api:
        collection, handle = collection_of(api), dispatcher()
        for found in (2, 3):
            await collection.open(handle)
            assert len(collection.contents.table) == 0
            await synced(collection)
            assert len(collection.contents.table) == found
            await collection.close(handle)
            await collection.close(handle)
            server.generate(PODS, 1)
        await server.wait_for_watchers(0)


async def test_a_handle_that_opens_during_a_stop_waits_for_its_end(server, tmp_path):
    server.generate(PODS, 20)
    async with kinform.connect(server.url) as api:
        collection, first, second = collection_of(api, tmp_path / "pods"), dispatcher(), dispatcher()
        await collection.open(first)
        await synced(collection)
        stopping = asyncio.create_task(collection.close(first))
        await asyncio.sleep(0)
        await collection.open(second)
        assert stopping.done()
        assert collection.keeper.stats().loaded
        await synced(collection)
        await collection.close(second)


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
        await synced(collection)
        await collection.close(second)
        await server.wait_for_watchers(0)


async def test_a_stream_closed_before_it_starts_warns_of_nothing(server):
    async with kinform.connect(server.url) as api:
        collection, handle = collection_of(api), dispatcher()
        await collection.open(handle)
        await collection.close(handle)  # nothing was awaited in between
        assert server.requests == []
        gc.collect()  # a coroutine that was never awaited is an error of the test
