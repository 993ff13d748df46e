"""Listeners to owners, and the keys of the objects that an owner controls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import pytest

import kinform
from kinform._paths.index_program import CONTROLLER
from kinform.testing import Gone, Server
from tests.net.informers import in_sync, quick
from tests.net.test_expect import answer
from tests.support.waiting import until

MAPS = "v1/configmaps"
SEED = 20261128


def owned(name: str, *owners: str, namespace: str = "shop", kind: str = "Widget", **data: str) -> dict[str, Any]:
    references = [
        {"apiVersion": "example.com/v1", "kind": kind, "name": owner, "uid": f"u-{owner}", "controller": True}
        for owner in owners
    ]
    return {"metadata": {"namespace": namespace, "name": name, "ownerReferences": references}, "data": data}


class Seen(list[str]):
    """A listener: the owners so far, those of present objects included."""

    def changed(self, keys: Iterable[str]) -> None:
        self.extend(keys)

    present = changed


def of(*owners: str) -> list[str]:
    return [f"Widget.example.com/{owner}" for owner in owners]


@pytest.fixture
async def maps(server: Server):
    async with kinform.connect(server.url) as api:
        yield kinform.Informer(api, MAPS, options=quick())


async def test_owners_of_present_changed_and_deleted_objects_come(server, maps):
    server.put(MAPS, owned("a", "one"))
    server.put(MAPS, owned("plain"))
    seen = Seen()
    async with maps:
        await maps.synced()
        await maps._add_owner_listener(seen)
        await until(lambda: seen == of("shop/one"))
        server.put(MAPS, owned("a", "two"))
        await until(lambda: sorted(seen[1:]) == of("shop/one", "shop/two"))
        seen.clear()
        server.delete(MAPS, "shop/a")
        await until(lambda: seen == of("shop/two"))


async def test_owners_come_to_a_handler_from_before_the_start(server, maps):
    server.put(MAPS, owned("a", "one"))
    seen = Seen()
    await maps._add_owner_listener(seen)
    for _ in range(2):  # an informer can be entered again
        async with maps:
            await until(lambda: seen == of("shop/one"))
            assert maps.store.owned_keys("Widget.example.com", "shop/one") == ["shop/a"]
        seen.clear()


async def test_a_relist_gives_the_owners_of_what_went_meanwhile(server, maps):
    server.put(MAPS, owned("a", "one"))
    server.put(MAPS, owned("b", "two"))
    seen = Seen()
    async with maps:
        await maps.synced()
        await maps._add_owner_listener(seen)
        await until(lambda: len(seen) == 2)
        seen.clear()
        server.fault(Gone(), on="watch")
        server.disconnect()
        server.delete(MAPS, "shop/a")
        server.compact()
        await until(lambda: in_sync(maps.store, server, MAPS))
        await until(lambda: seen == of("shop/one"))


async def test_each_owner_of_random_writes_comes(server, maps):
    rng = random.Random(SEED)
    seen = Seen()
    async with maps:
        await maps.synced()
        await maps._add_owner_listener(seen)
        present: dict[str, str] = {}
        for _ in range(30):
            seen.clear()
            expected = set()
            for name in rng.sample([f"m{at}" for at in range(12)], 3):
                if (before := present.pop(name, None)) is not None:
                    expected.add(before)
                if rng.random() < 0.3:
                    if before is not None:
                        server.delete(MAPS, f"shop/{name}")
                    continue
                present[name] = f"o{rng.randrange(5)}"
                expected.add(present[name])
                server.put(MAPS, owned(name, present[name], random=str(rng.random())))
            await until(lambda expected=expected: set(seen) == set(of(*(f"shop/{each}" for each in expected))))
            for owner in {*present.values()}:
                keys = sorted(f"shop/{name}" for name, its_owner in present.items() if its_owner == owner)
                assert maps.store.owned_keys("Widget.example.com", f"shop/{owner}") == keys


async def test_owned_keys_without_an_index_says_how_to_get_one(server, api):
    store = kinform.Informer(api, MAPS).store
    why = r"no index has the path metadata\.ownerReferences\[controller\]: declare one in `indexes`"
    with pytest.raises(kinform.KinformError, match=why):
        store.owned_keys("Widget.example.com", "shop/one")


async def test_owned_keys_are_of_the_namespace_of_the_owner(server, maps):
    server.put(MAPS, owned("a", "one"))
    server.put(MAPS, owned("b", "one", namespace="till"))
    async with maps:
        await maps._add_owner_listener(Seen())
        await maps.synced()
        assert maps.store.owned_keys("Widget.example.com", "till/one") == ["till/b"]
        assert maps.store.owned_keys("Widget.example.com", "one") == ["shop/a", "till/b"]  # cluster-scoped
        assert maps.store.owned_keys("Widget", "shop/one") == []


async def test_an_own_write_counts_among_the_owned_keys(server, maps):
    server.put(MAPS, owned("a", "one"))
    async with maps:
        await maps._add_owner_listener(Seen())
        await maps.synced()
        maps.expect(answer("b") | {"metadata": answer("b")["metadata"] | owned("b", "one")["metadata"]})
        assert maps.store.owned_keys("Widget.example.com", "shop/one") == ["shop/a", "shop/b"]


async def test_owners_are_also_an_index_by_name(server):
    server.put(MAPS, owned("a", "one"))
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, MAPS, indexes={"owner": CONTROLLER}, options=quick()) as maps,
    ):
        await maps.synced()
        assert maps.store.index_values("owner") == of("one")
        assert maps.store.owned_keys("Widget.example.com", "shop/one") == ["shop/a"]


async def test_informers_of_a_factory_share_the_index(server):
    server.put(MAPS, owned("a", "one"))
    async with kinform.connect(server.url) as api, kinform.Factory(api) as factory:
        first, second = (factory.informer(MAPS, options=quick()) for _ in range(2))
        await factory.synced()
        seen = [Seen(), Seen(), Seen()]
        await asyncio.gather(
            first._add_owner_listener(seen[0]),
            first._add_owner_listener(seen[1]),
            second._add_owner_listener(seen[2]),
        )
        assert seen == [of("shop/one")] * 3
        async with first:
            pass
        assert second.store.owned_keys("Widget.example.com", "shop/one") == ["shop/a"]


async def test_a_store_without_the_index_says_so(maps):
    async with maps:
        with pytest.raises(kinform.KinformError, match="ownerReferences"):
            maps.store.owned_keys("Widget.example.com", "shop/one")


async def test_pruned_references_cannot_be_followed(server):
    async with kinform.connect(server.url) as api:
        maps = kinform.Informer(api, MAPS, prune=kinform.Prune(keep=["data"]))
        with pytest.raises(kinform.OptionError, match="ownerReferences"):
            await maps._add_owner_listener(Seen())
        with pytest.raises(kinform.OptionError, match="ownerReferences"):
            kinform.Informer(api, MAPS, indexes={"o": CONTROLLER}, prune=kinform.Prune(drop=["metadata[*][*].kind"]))


async def test_the_index_ends_with_the_last_listener(server):
    server.put(MAPS, owned("a", "one"))
    async with kinform.connect(server.url) as api, kinform.Factory(api) as factory:
        first, second = (factory.informer(MAPS, options=quick()) for _ in range(2))
        await factory.synced()
        seen = [Seen(), Seen(), Seen()]
        await first._add_owner_listener(seen[0])
        await first._add_owner_listener(seen[1])
        await second._add_owner_listener(seen[2])
        for informer, listener in ((first, seen[0]), (second, seen[2])):
            await informer._remove_owner_listener(listener)
            assert first.store.owned_keys("Widget.example.com", "shop/one") == ["shop/a"]
        server.put(MAPS, owned("a", "two"))
        await until(lambda: seen[1] == of("shop/one", "shop/one", "shop/two"))
        assert seen[0] == seen[2] == of("shop/one")
        await first._remove_owner_listener(seen[1])
        with pytest.raises(kinform.KinformError, match="ownerReferences"):
            first.store.owned_keys("Widget.example.com", "shop/one")
        assert first.stats().memory.index_bytes == 0


async def test_a_resync_passes_all_owners_again(server):
    server.put(MAPS, owned("a", "one"))
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, MAPS, options=quick(), resync_period=0.05) as maps,
    ):
        seen = Seen()
        await maps._add_owner_listener(seen)
        await until(lambda: len(seen) > 3)
        assert set(seen) == set(of("shop/one"))


async def test_a_listener_added_while_another_goes_keeps_the_index(server, maps):
    server.put(MAPS, owned("a", "one"))
    async with maps:
        await maps.synced()
        for _ in range(3):
            first, second = Seen(), Seen()
            await maps._add_owner_listener(first)
            await asyncio.gather(maps._add_owner_listener(second), maps._remove_owner_listener(first))
            assert maps.store.owned_keys("Widget.example.com", "shop/one") == ["shop/a"]
            assert second == of("shop/one")
            await asyncio.gather(maps._remove_owner_listener(second), maps._add_owner_listener(first))
            assert maps.store.owned_keys("Widget.example.com", "shop/one") == ["shop/a"]
            await maps._remove_owner_listener(first)


async def test_a_listener_beside_handlers_of_objects_gets_all_owners(server, maps):
    server.put(MAPS, owned("a", "one"))
    added: list[Any] = []
    maps.on_add(added.append)
    async with maps:
        seen = Seen()
        await maps._add_owner_listener(seen)
        await until(lambda: len(added) == 1)
        server.put(MAPS, owned("a", "two"))
        await until(lambda: seen == of("shop/one", "shop/one", "shop/two"))
        server.delete(MAPS, "shop/a")
        await until(lambda: seen[3:] == of("shop/two"))


def test_listeners_can_be_added_at_once_in_each_event_loop():
    class OfEachRun:
        connection: kinform.Connection

        @property
        def identity(self) -> object:
            return self

        async def open(self, request: kinform.Request) -> kinform.Response:
            return await self.connection.open(request)

        async def refresh_credentials(self) -> bool:
            return False

    async def run() -> None:
        async with Server() as server, kinform.connect(server.url) as transport.connection:
            for number in range(100):  # more than one slice of the index
                server.put(MAPS, owned(f"m-{number}", "one", text="x" * 10_000))
            async with maps:
                await maps.synced(timeout=10)
                seen = [Seen(), Seen()]
                await asyncio.gather(*map(maps._add_owner_listener, seen))
                assert [set(each) for each in seen] == [{*of("shop/one")}] * 2
                for each in seen:
                    await maps._remove_owner_listener(each)

    transport = OfEachRun()
    maps = kinform.Informer(transport, MAPS, options=quick())
    for _ in range(2):
        asyncio.run(run())
