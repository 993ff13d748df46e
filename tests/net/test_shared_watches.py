"""`OnDemand` of namespaces against the simulator: one watch follows many names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode

import pytest

import kinform
from kinform.testing import (
    CutMidObject,
    Forbidden,
    Gone,
    InternalError,
    MalformedObject,
    NoBookmark,
    Server,
    TooManyRequests,
    Unavailable,
    _storage,
)
from kinform.testing._faults import Fault
from kinform.testing._objects.kinds import Object
from kinform.testing._requests import RecordedRequest
from kinform.testing._resources import ServedResource
from tests.support.loops import other_tasks
from tests.support.recording import RecordingTransport
from tests.support.waiting import until

Make = Callable[..., kinform.OnDemand[Any]]
NAMESPACES = "v1/namespaces"
NAMES = [f"n{i}" for i in range(6)]


@pytest.fixture
async def make(server: Server) -> AsyncIterator[Make]:
    for name in NAMES:
        put(server, name, "1")
    async with kinform.connect(server.url) as api:
        yield lambda **options: kinform.OnDemand(api, NAMESPACES, **options)


def put(server: Server, name: str, value: str) -> None:
    server.put(NAMESPACES, {"metadata": {"name": name, "labels": {"x": value}}})


async def label(cache: kinform.OnDemand[Any], name: str) -> str | None:
    found = await cache.get(name)
    return None if found is None else found["metadata"]["labels"].get("x")


async def labels(cache: kinform.OnDemand[Any], names: list[str] = NAMES) -> list[str | None]:
    """Reads names at the same time."""
    return await asyncio.gather(*(label(cache, name) for name in names))


async def read_one_by_one(cache: kinform.OnDemand[Any], names: list[str] = NAMES) -> None:
    for name in names:
        assert await label(cache, name) == "1"


async def becomes(cache: kinform.OnDemand[Any], name: str, value: str | None) -> None:
    """Waits until a read has this result, and checks that no read has sent a request."""
    requests = cache.stats().requests
    async with asyncio.timeout(10):
        while await label(cache, name) != value:
            await asyncio.sleep(0.01)
    assert cache.stats().requests == requests


async def are_followed(server: Server, cache: kinform.OnDemand[Any], names: list[str] = NAMES) -> None:
    """Checks that changes of all names arrive without requests."""
    for name in names:
        put(server, name, "changed")
        await becomes(cache, name, "changed")


async def are_merged(server: Server, cache: kinform.OnDemand[Any], watches: int = 1) -> None:
    await until(lambda: (cache.stats().watches, server.watchers) == (watches, watches), within=20)


def is_shared(request: RecordedRequest) -> bool:
    return "labelSelector" in request.params


def shared(server: Server) -> list[set[str]]:
    """Returns the names in each request for several."""
    prefix = "kubernetes.io/metadata.name in ("
    selectors = [request.params["labelSelector"] for request in server.requests if is_shared(request)]
    assert all(selector.startswith(prefix) for selector in selectors)
    return [set(selector.removeprefix(prefix).removesuffix(")").split(",")) for selector in selectors]


def single(server: Server, verb: str = "watch") -> list[str]:
    """Returns the names in the requests for one."""
    found = [request for request in server.requests if request.verb == verb and not is_shared(request)]
    return [request.params["fieldSelector"].removeprefix("metadata.name=") for request in found]


# Reads at the same time


async def test_names_that_are_read_together_share_a_watch(server: Server, make: Make) -> None:
    names = server.generate(NAMESPACES, 50)
    async with make() as cache:
        assert all(await asyncio.gather(*map(cache.get, names)))
        assert (cache.stats().watches, cache.stats().requests, len(server.requests)) == (1, 1, 1)
        assert shared(server) == [set(names)]
        await are_followed(server, cache, names)
    await until(lambda: server.watchers == 0)


async def test_objects_without_the_label_share_no_watch(server: Server) -> None:
    names = server.generate("v1/nodes", 3)
    async with kinform.connect(server.url) as api, kinform.OnDemand(api, "v1/nodes") as cache:
        assert all(await asyncio.gather(*map(cache.get, names)))
        assert sorted(single(server)) == sorted(names)
        assert shared(server) == []


async def test_a_name_that_is_no_label_value_is_read_alone(server: Server, make: Make) -> None:
    async with make() as cache:
        assert await labels(cache, [*NAMES[:2], "a" * 64, "x_"]) == ["1", "1", None, None]
        assert shared(server) == [{"n0", "n1"}]


async def test_a_missing_name_is_listed_and_not_followed(server: Server, make: Make) -> None:
    async with make(negative_ttl=0.5) as cache:
        assert await labels(cache, ["n0", "shop", "n1"]) == ["1", None, "1"]
        assert await label(cache, "shop") is None
        assert single(server, "list") == ["shop"]
        put(server, "shop", "1")
        await has(cache, "shop", "1")
        await are_followed(server, cache, ["n0", "n1", "shop"])
        assert cache.stats().watches == 2


async def test_missing_names_alone_keep_no_watch(server: Server, make: Make) -> None:
    async with make() as cache:
        assert await labels(cache, ["shop", "bank"]) == [None, None]
        assert (cache.stats().missing, cache.stats().watches) == (2, 0)
        await until(lambda: server.watchers == 0)


async def test_a_request_line_stays_short(server: Server, make: Make) -> None:
    names = [f"{i:04}-{'x' * 58}" for i in range(300)]
    for name in names:
        put(server, name, "1")
    async with make() as cache:
        assert await labels(cache, names) == ["1"] * 300
        assert set().union(*shared(server)) == set(names)
        assert cache.stats().watches == len(server.requests) <= 6
        assert max(len(f"{request.path}?{urlencode(request.params)}") for request in server.requests) < 5_000


# Changes


async def test_a_name_can_be_deleted_and_created_again(server: Server, make: Make) -> None:
    async with make(negative_ttl=0.2) as cache:
        await labels(cache)
        server.delete(NAMESPACES, "n0")
        await has(cache, "n0", None)
        assert (len(shared(server)), single(server)) == (1, ["n0"])
        put(server, "n0", "2")
        await has(cache, "n0", "2")
        await are_followed(server, cache)


async def has(cache: kinform.OnDemand[Any], name: str, value: str | None) -> None:
    """Waits until a read has this result."""
    async with asyncio.timeout(10):
        while await label(cache, name) != value:
            await asyncio.sleep(0.01)


async def test_an_object_that_loses_the_label_is_found(
    server: Server, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make() as cache:
        await labels(cache)
        unlabel(monkeypatch, "n0")
        put(server, "n0", "2")  # to the watch, this is a deletion
        await has(cache, "n0", "2")
        await are_followed(server, cache)


async def test_an_evicted_name_leaves_the_shared_watch(server: Server, make: Make) -> None:
    async with make(max_objects=3) as cache:
        await labels(cache, ["n0", "n1", "n2"])
        assert await label(cache, "n3") == "1"
        put(server, "n0", "2")
        await are_followed(server, cache, ["n1", "n2", "n3"])
        assert (cache.stats().objects, cache.stats().evictions) == (3, 1)
        assert await label(cache, "n0") == "2"
        assert (cache.stats().objects, cache.stats().evictions) == (3, 2)


async def test_an_unread_name_leaves_the_shared_watch(server: Server, make: Make) -> None:
    async with make(ttl=0.5) as cache:
        await labels(cache)
        async with asyncio.timeout(10):
            while cache.stats().objects > 1:
                await label(cache, "n0")
                await asyncio.sleep(0.05)
        assert server.watchers == 1
        await until(lambda: (server.watchers, cache.stats().objects) == (0, 0))


async def test_a_shared_watch_that_cannot_resume_reads_again(server: Server, make: Make) -> None:
    async with make() as cache:
        await labels(cache)
        server.fault(Gone(), on="watch")
        server.disconnect()
        server.delete(NAMESPACES, "n0")
        put(server, "n1", "2")
        await becomes(cache, "n1", "2")
        assert await labels(cache) == [None, "2", "1", "1", "1", "1"]
        assert single(server) == ["n0"]  # a state that lacks it is no proof
        await are_followed(server, cache, NAMES[1:])


async def test_a_change_that_cannot_be_read_is_fetched(server: Server, make: Make) -> None:
    async with make() as cache:
        await labels(cache)
        server.fault(MalformedObject(), on="watch")
        server.disconnect()
        put(server, "n0", "2")
        await has(cache, "n0", "2")
        assert await labels(cache) == ["2", *"11111"]


# Merges


async def test_many_watches_become_one(server: Server, make: Make) -> None:
    async with make() as cache:
        await read_one_by_one(cache)
        assert cache.stats().watches == len(NAMES)
        await are_merged(server, cache)
        assert shared(server) == [set(NAMES)]
        assert cache.stats().requests == len(NAMES)
        await are_followed(server, cache)


async def test_shared_watches_are_merged_with_others(server: Server, make: Make) -> None:
    async with make() as cache:
        await labels(cache, NAMES[:2])
        await read_one_by_one(cache, NAMES[2:])
        await are_merged(server, cache)
        assert shared(server) == [set(NAMES[:2]), set(NAMES)]
        await are_followed(server, cache)


async def test_a_few_watches_are_not_merged(server: Server, make: Make) -> None:
    async with make() as cache:
        await read_one_by_one(cache, NAMES[:4])
        await asyncio.sleep(1.5)
        assert (cache.stats().watches, len(server.requests)) == (4, 4)


async def test_names_without_a_place_get_into_a_shared_watch(server: Server, make: Make) -> None:
    async with make(max_watches=1) as cache:
        await read_one_by_one(cache)
        assert cache.stats().watches == 1
        await until(lambda: [request.ended for request in server.requests if request.verb == "watch"] == [True, False])
        assert shared(server) == [set(NAMES)]
        await are_followed(server, cache)
        assert cache.stats().watches == 1


async def test_the_end_of_a_merge_forgets_unread_names(server: Server, make: Make) -> None:
    async with make(ttl=1.5) as cache:
        await labels(cache, ["n0", "n1"])
        async with asyncio.timeout(10):
            while cache.stats().objects:
                await asyncio.sleep(0.05)
        await read_one_by_one(cache, NAMES[1:])
        await are_merged(server, cache)
        assert shared(server)[-1] == set(NAMES[1:])


class Held(RecordingTransport):
    """Holds the responses to requests for several names back, until the gate opens."""

    def __init__(self, inner: kinform.Transport) -> None:
        super().__init__(inner)
        self.gate = asyncio.Event()
        self.held = 0

    async def open(self, request: kinform.Request) -> kinform.Response:
        response = await super().open(request)
        if "labelSelector" in dict(request.params):
            self.held += 1
            await self.gate.wait()
        return response


@pytest.mark.parametrize("value", ["2", None])
async def test_an_older_state_replaces_no_answer(server: Server, make: Make, value: str | None) -> None:
    del make  # it has put the objects
    async with kinform.connect(server.url) as api, kinform.OnDemand(held := Held(api), NAMESPACES) as cache:
        await read_one_by_one(cache)
        await until(lambda: held.held == 1)
        if value is None:
            server.delete(NAMESPACES, "n0")
        else:
            put(server, "n0", value)
        await becomes(cache, "n0", value)
        held.gate.set()
        async with asyncio.timeout(20):
            while cache.stats().watches > 2:  # one of n0, and one of the others
                assert await labels(cache) == [value, *"11111"]
                await asyncio.sleep(0)
        assert await labels(cache) == [value, *"11111"]
        assert len(shared(server)) == 1
        await are_followed(server, cache, NAMES[1:])


async def test_a_name_that_leaves_during_a_merge_is_not_followed(server: Server, make: Make) -> None:
    del make
    options: dict[str, Any] = {"max_objects": len(NAMES)}
    async with kinform.connect(server.url) as api, kinform.OnDemand(held := Held(api), NAMESPACES, **options) as cache:
        await read_one_by_one(cache)
        await until(lambda: held.held == 1)
        put(server, "shop", "1")
        assert await label(cache, "shop") == "1"  # evicts n0
        held.gate.set()
        await until(lambda: cache.stats().watches == 2)
        put(server, "n0", "2")
        await are_followed(server, cache, [*NAMES[1:], "shop"])
        assert cache.stats().objects == len(NAMES)


@pytest.mark.parametrize("reads", [labels, read_one_by_one])
async def test_the_end_of_the_block_ends_a_start(server: Server, make: Make, reads: Callable[..., Any]) -> None:
    del make
    async with kinform.connect(server.url) as api, kinform.OnDemand(held := Held(api), NAMESPACES) as cache:
        reader = asyncio.create_task(reads(cache))
        await until(lambda: held.held == 1)
    await asyncio.wait([reader])
    assert {name for task in other_tasks() if (name := task.get_name()).startswith("kinform")} == set()
    await until(lambda: server.watchers == 0)
    if reads is labels:
        assert isinstance(reader.exception(), kinform.KinformError)


# Errors


@pytest.mark.parametrize(
    "fault",
    [
        Forbidden(),
        TooManyRequests(retry_after=None),
        InternalError(),
        Unavailable(),
        CutMidObject(),
        MalformedObject(),
    ],
)
async def test_a_failed_start_leaves_each_name_to_itself(server: Server, make: Make, fault: Fault) -> None:
    server.fault(fault, on="watch", when=is_shared)
    async with make() as cache:
        assert await labels(cache) == ["1"] * 6
        assert len(shared(server)) == 1
        assert sorted(single(server, "list")) == NAMES
        assert cache.stats().errors == 0
        await are_merged(server, cache)
        await are_followed(server, cache)


async def test_a_retry_after_of_a_shared_watch_is_awaited(server: Server, make: Make) -> None:
    server.fault(TooManyRequests(retry_after=1), on="watch", when=is_shared)
    async with make() as cache:
        refused = asyncio.create_task(labels(cache))
        await until(lambda: len(server.requests) > 1)
        assert server.requests[1].at - server.requests[0].at >= 1
        assert await refused == ["1"] * 6


async def test_rights_on_single_names_are_enough(server: Server, make: Make) -> None:
    server.fault(Forbidden(), times=None, when=is_shared)
    async with make() as cache:
        assert await labels(cache) == ["1"] * 6
        await until(lambda: server.watchers == 6)
        await are_followed(server, cache)
        await until(lambda: len(shared(server)) > 1, within=20)  # a merge, which is refused
        await until(lambda: cache.stats().watches == 6)
        await are_followed(server, cache)


async def test_a_shared_watch_without_watch_list_begins_with_a_list(server: Server, make: Make) -> None:
    server.fault(NoBookmark(), on="watch", times=None)
    async with make(timeout=1) as cache:
        assert await labels(cache) == ["1"] * 6
        assert sorted(single(server, "list")) == NAMES
        await are_merged(server, cache)
        assert {request.verb for request in server.requests if is_shared(request)} == {"list", "watch"}
        await are_followed(server, cache)


# Servers without the label


def unlabel(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Lets the simulator set the label on other namespaces only."""
    set_defaults = _storage.set_defaults

    def set_some(resource: ServedResource, metadata: Object) -> None:
        if metadata["name"] not in names:
            set_defaults(resource, metadata)

    monkeypatch.setattr(_storage, "set_defaults", set_some)


@pytest.mark.parametrize("lacking", [NAMES, NAMES[:1]])
async def test_objects_without_the_label_are_found(
    server: Server, make: Make, lacking: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unlabel(monkeypatch, *lacking)
    for name in NAMES:
        put(server, name, "1")
    async with make() as cache:
        assert await labels(cache) == ["1"] * 6
        assert sorted(single(server, "list")) == sorted(lacking)
        await are_followed(server, cache)
        await asyncio.sleep(1.5)
        assert len(shared(server)) == 1  # it has learned
        assert cache.stats().watches == len(lacking) + (lacking != NAMES)


async def test_a_state_that_lacks_a_name_replaces_no_watch(
    server: Server, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlabel(monkeypatch, "n0")
    put(server, "n0", "1")
    async with make() as cache:
        await read_one_by_one(cache)
        await are_merged(server, cache, 2)
        await are_followed(server, cache)
        server.delete(NAMESPACES, "n0")
        await becomes(cache, "n0", None)  # by its own watch
