"""`OnDemand` against the simulator: requests, watches, errors, ends."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

import kinform
from kinform.testing import (
    Forbidden,
    Gone,
    InternalError,
    Invalid,
    MalformedObject,
    NoBookmark,
    Server,
    Stall,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from kinform.testing._faults import Fault
from tests.support.clusters import Cluster
from tests.support.loops import other_tasks
from tests.support.recording import RecordingTransport
from tests.support.waiting import until

Make = Callable[..., kinform.OnDemand[Any]]
NAMESPACES = "v1/namespaces"


class Metadata(msgspec.Struct):
    labels: dict[str, str]


class Namespace(msgspec.Struct):
    metadata: Metadata


def own_tasks() -> set[str]:
    """Returns the names of the tasks of kinform."""
    return {name for task in other_tasks() if (name := task.get_name()).startswith("kinform")}


def put(server: Server, name: str, **labels: str) -> None:
    server.put(NAMESPACES, {"metadata": {"name": name, "labels": labels}})


def lists(server: Server) -> list[str]:
    """Returns the field selectors of all LISTs."""
    return [request.params["fieldSelector"] for request in server.requests if "watch" not in request.params]


def watches(server: Server) -> list[str]:
    """Returns the field selectors of all watches."""
    return [request.params["fieldSelector"] for request in server.requests if "watch" in request.params]


@pytest.fixture
async def make(server: Server) -> AsyncIterator[Make]:
    async with kinform.connect(server.url) as api:
        yield lambda **options: kinform.OnDemand(api, NAMESPACES, **options)


async def label(cache: kinform.OnDemand[Any], name: str) -> str | None:
    found = await cache.get(name)
    return None if found is None else found["metadata"]["labels"]["x"]


async def becomes(read: Callable[[], Awaitable[Any]], value: Any) -> None:
    async with asyncio.timeout(10):
        while await read() != value:
            await asyncio.sleep(0.01)


async def test_concurrent_readers_share_one_request(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    async with make() as cache:
        found = await asyncio.gather(*(label(cache, "shop") for _ in range(20)))
    assert found == ["1"] * 20
    assert (lists(server), watches(server)) == ([], ["metadata.name=shop"])
    assert (cache.stats().misses, cache.stats().requests) == (20, 1)


async def test_a_watch_brings_changes_without_requests(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    async with make() as cache:
        await cache.get("shop")
        await until(lambda: watches(server) == ["metadata.name=shop"])
        put(server, "shop", x="2")
        await becomes(lambda: label(cache, "shop"), "2")
        server.delete(NAMESPACES, "shop")
        await becomes(lambda: cache.get("shop"), None)
        put(server, "shop", x="3")
        await becomes(lambda: label(cache, "shop"), "3")
        assert (cache.stats().watches, cache.stats().requests) == (1, 1)
    assert (lists(server), watches(server)) == ([], ["metadata.name=shop"])


async def test_a_watch_resumes_after_a_lost_connection(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    async with make() as cache:
        await cache.get("shop")
        await until(lambda: server.watchers == 1)
        server.disconnect()
        put(server, "shop", x="2")
        await becomes(lambda: label(cache, "shop"), "2")
    assert (lists(server), watches(server)) == ([], ["metadata.name=shop"] * 2)


async def test_a_watch_that_cannot_be_resumed_lists_again(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    async with make() as cache:
        await cache.get("shop")
        for change in ("2", None, "3"):
            await until(lambda: server.watchers == 1)
            server.fault(Gone(), on="watch")
            if change is None:
                server.delete(NAMESPACES, "shop")
            else:
                put(server, "shop", x=change)
            server.disconnect()
            await becomes(lambda: label(cache, "shop"), change)
        assert cache.stats().requests == 1
        assert cache.stats().watches == 1


async def test_a_watch_that_always_ends_at_once_backs_off(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    server.fault(Gone(), on="watch", times=None)
    async with make() as cache:
        await cache.get("shop")
        await asyncio.sleep(1)
        assert await label(cache, "shop") == "1"
        assert cache.stats().requests == 1
    assert len(watches(server)) <= 4


async def test_a_change_that_cannot_be_read_is_fetched(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    async with make() as cache:
        await cache.get("shop")
        await until(lambda: server.watchers == 1)
        server.fault(MalformedObject(), on="watch")
        server.disconnect()
        put(server, "shop", x="2")
        await becomes(lambda: label(cache, "shop"), "2")
        assert cache.stats().requests == 2


async def test_a_slow_answer_is_too_old_for_a_later_reader(server: Server) -> None:
    async with kinform.connect(server.url) as api:
        async with kinform.OnDemand(gated := Gated(api), NAMESPACES, negative_ttl=0.2) as cache:
            first = asyncio.create_task(cache.get("shop"))
            await until(lambda: len(gated.requests) == 1)
            await asyncio.sleep(0.3)
            second = asyncio.create_task(cache.get("shop"))
            await asyncio.sleep(0)
            gated.gate.set()
            assert [await first, await second] == [None, None]
    assert (len(lists(server)), len(watches(server))) == (1, 1)


async def test_a_missing_object_is_remembered_briefly(server: Server, make: Make) -> None:
    async with make(negative_ttl=1) as cache:
        assert [await cache.get("shop") for _ in range(3)] == [None] * 3
        assert (lists(server), watches(server)) == ([], ["metadata.name=shop"])
        assert (cache.stats().missing, cache.stats().watches) == (1, 0)  # none for a missing object
        await until(lambda: server.watchers == 0)
        put(server, "shop", x="1")
        await becomes(lambda: label(cache, "shop"), "1")
        assert (cache.stats().objects, cache.stats().missing) == (1, 0)
        await until(lambda: server.watchers == 1)
    assert set(lists(server)) == {"metadata.name=shop"}  # without a connection for each
    assert watches(server) == ["metadata.name=shop"] * 2


async def test_objects_without_a_watch_are_fetched_after_the_ttl(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    async with make(max_watches=0, ttl=0.3) as cache:
        assert await label(cache, "shop") == "1"
        put(server, "shop", x="2")
        assert await label(cache, "shop") == "1"
        await becomes(lambda: label(cache, "shop"), "2")
    assert watches(server) == []
    assert len(lists(server)) == 2


async def test_only_some_objects_have_watches(server: Server, make: Make) -> None:
    for i in range(5):
        put(server, f"n{i}", x="1")
    async with make(max_watches=2) as cache:
        for i in range(5):
            await cache.get(f"n{i}")
        assert (cache.stats().watches, cache.stats().objects) == (2, 5)
        await until(lambda: sorted(watches(server)) == ["metadata.name=n0", "metadata.name=n1"])


async def test_an_unread_object_loses_its_watch_and_its_memory(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    async with make(ttl=0.3) as cache:
        await cache.get("shop")
        await until(lambda: server.watchers == 1)
        await until(lambda: server.watchers == 0)
        await until(lambda: cache.stats().objects == 0)


async def test_the_least_recently_read_object_is_evicted(server: Server, make: Make) -> None:
    for i in range(4):
        put(server, f"n{i}", x="1")
    async with make(max_objects=3) as cache:
        for name in ("n0", "n1", "n2", "n0", "n3", "n0", "n2"):
            await cache.get(name)
        stats = cache.stats()
        assert (stats.objects, stats.requests, stats.evictions) == (3, 4, 1)
        assert stats.watches == 3
        await cache.get("n1")
        assert cache.stats().requests == 5


async def test_max_bytes_bounds_the_memory(server: Server, make: Make) -> None:
    names = server.generate(NAMESPACES, 300)
    async with make(max_bytes=20_000, max_watches=0) as cache:
        for name in names:
            assert await cache.get(name)
        stats = cache.stats()
        assert stats.memory.held_bytes - stats.memory.dead_bytes <= 20_000
        assert 10 < stats.objects < 300
        assert stats.evictions == 300 - stats.objects


async def test_objects_are_pruned_and_decoded(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    async with make(type=Namespace, prune=kinform.Prune.from_type(Namespace)) as cache:
        found = await cache.get("shop")
        assert isinstance(found, Namespace)
        assert found.metadata.labels["x"] == "1"
        assert await cache.get("shop") == found
    with pytest.raises(kinform.OptionError, match=r"metadata\.labels"):
        make(type=Namespace, prune=kinform.Prune(drop=["metadata.labels"]))


async def test_namespaced_objects_have_their_own_path(server: Server) -> None:
    keys = server.generate("v1/pods", 3)
    async with kinform.connect(server.url) as api, kinform.OnDemand(api, "v1/pods") as pods:
        for key in keys:
            found = await pods.get(key)
            assert found is not None
            assert "{namespace}/{name}".format(**found["metadata"]) == key


# Errors


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Unauthorized(), kinform.UnauthorizedError),
        (Forbidden(), kinform.ForbiddenError),
        (TooManyRequests(retry_after=None), kinform.StatusError),
        (InternalError(), kinform.StatusError),
        (Unavailable(), kinform.StatusError),
    ],
)
async def test_an_error_is_raised_to_all_readers(
    server: Server, make: Make, fault: Fault, error: type[Exception]
) -> None:
    put(server, "shop", x="1")
    for on in ("watch", "list"):
        server.fault(fault, on=on)
    async with make() as cache:
        found = await asyncio.gather(*(cache.get("shop") for _ in range(5)), return_exceptions=True)
        assert [type(each) for each in found] == [error] * 5
        requests = len(lists(server))
        with pytest.raises(error):  # for a second, it is the answer
            await cache.get("shop")
        assert len(lists(server)) == requests
        assert cache.stats().errors == 1
        await becomes(lambda: _label_or_none(cache), "1")


async def _label_or_none(cache: kinform.OnDemand[Any]) -> str | None:
    with suppress(kinform.KinformError):
        return await label(cache, "shop")
    return None


async def test_a_retry_after_is_awaited(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    for on in ("watch", "list"):
        server.fault(TooManyRequests(retry_after=1), on=on)
    async with make() as cache:
        started = time.monotonic()
        assert await label(cache, "shop") == "1"
        assert time.monotonic() - started >= 2
    assert (len(lists(server)), len(watches(server))) == (2, 2)


@pytest.mark.parametrize("max_watches", [0, 100])
async def test_a_retry_after_beyond_the_timeout_stops_requests(server: Server, make: Make, max_watches: int) -> None:
    put(server, "shop", x="1")
    server.fault(TooManyRequests(retry_after=60), on="watch" if max_watches else "list")
    async with make(timeout=1, max_watches=max_watches) as cache:
        for _ in range(3):
            with pytest.raises(kinform.StatusError, match="429"):
                await cache.get("shop")
            await asyncio.sleep(0.6)
        with pytest.raises(kinform.StalledError):
            await cache.get("bank")
    assert len(server.requests) == 1


async def test_a_retry_after_for_a_stream_delays_a_fetch(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    server.fault(TooManyRequests(retry_after=1), on="list")
    async with kinform.connect(server.url) as api, kinform.OnDemand(api, NAMESPACES, max_watches=0) as cache:
        options = kinform.WatchOptions(initial="list")
        async with kinform.Informer(api, NAMESPACES, options=options):
            await server.wait_for_request(on="list")
            await asyncio.sleep(0.1)  # the answer has come
            started = time.monotonic()
            assert await label(cache, "shop") == "1"
            assert time.monotonic() - started >= 0.8


async def test_a_server_that_ignores_watch_list_delays_one_read(make: Make, server: Server) -> None:
    for name in ("shop", "bank"):
        put(server, name, x="1")
    server.fault(NoBookmark(), on="watch", times=None)
    async with make(timeout=1) as cache:
        for number, name in enumerate(("shop", "bank"), 1):
            assert await label(cache, name) == "1"
            await until(lambda number=number: server.watchers == number)
            put(server, name, x="2")
            await becomes(lambda name=name: label(cache, name), "2")
    assert lists(server) == ["metadata.name=shop", "metadata.name=bank"]
    assert watches(server) == ["metadata.name=shop"] * 2 + ["metadata.name=bank"]


async def test_a_server_without_watch_list_gets_a_list_and_a_watch(make: Make, server: Server) -> None:
    for name in ("shop", "bank"):
        put(server, name, x="1")
    server.fault(Invalid(), on="watch")
    async with make() as cache:
        for number, name in enumerate(("shop", "bank"), 1):
            assert await label(cache, name) == "1"
            await until(lambda number=number: server.watchers == number)
            put(server, name, x="2")
            await becomes(lambda name=name: label(cache, name), "2")
        assert cache.stats().requests == 2
    assert lists(server) == ["metadata.name=shop", "metadata.name=bank"]
    assert watches(server) == ["metadata.name=shop"] * 2 + ["metadata.name=bank"]  # it asked once


async def test_an_unknown_resource_is_no_missing_object(server: Server) -> None:
    async with kinform.connect(server.url) as api, kinform.OnDemand(api, "example.com/v1/none") as cache:
        with pytest.raises(kinform.NotFoundError):
            await cache.get("shop")


@pytest.mark.parametrize(
    ("resource", "key", "expected"),
    [
        ("v1/pods", "web", "an object in a namespace needs it in its key"),
        ("v1/namespaces", "shop/web", "an object of a cluster-scoped resource has no namespace"),
    ],
)
async def test_a_key_of_the_wrong_scope_is_refused(server: Server, resource: str, key: str, expected: str) -> None:
    async with kinform.connect(server.url) as api, kinform.OnDemand(api, resource) as cache:
        with pytest.raises(kinform.OptionError, match=rf"^key: '{key}' .*{expected}$"):
            await cache.get(key)
    assert not server.requests


@pytest.mark.parametrize("max_watches", [0, 100])
async def test_a_slow_server_raises_at_the_timeout(server: Server, make: Make, max_watches: int) -> None:
    for on in ("watch", "list"):
        server.fault(Stall(headers=False), on=on, times=None)
    async with make(timeout=0.2, max_watches=max_watches) as cache:
        with pytest.raises(kinform.StalledError, match="v1/namespaces shop"):
            await cache.get("shop")


async def test_stale_answers_are_allowed_counted_and_logged(
    server: Server, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    put(server, "shop", x="1")
    async with make(ttl=0.1, max_watches=0, max_stale=1.0) as cache:
        assert await label(cache, "shop") == "1"
        server.fault(InternalError(), on="list", times=None)
        await asyncio.sleep(0.2)
        assert await label(cache, "shop") == "1"
        assert cache.stats().stale_answers == 1
        assert "old: list v1/namespaces shop: the server answered 500" in caplog.text
        with pytest.raises(kinform.StatusError):
            await cache.get("bank")  # no answer is too old
        await asyncio.sleep(1.2)
        with pytest.raises(kinform.StatusError, match="500"):
            await cache.get("shop")
        assert cache.stats().stale_answers == 1


async def test_readers_of_one_failure_share_no_exception(server: Server, make: Make) -> None:
    server.fault(InternalError(), on="list", times=None)
    async with make(max_watches=0) as cache:
        errors = [await _error(cache) for _ in range(2)]
    assert errors[0] is not errors[1]
    assert [str(error) for error in errors] == [str(errors[0])] * 2
    assert [(error.status, error.verb) for error in errors] == [(500, "list")] * 2


async def _error(cache: kinform.OnDemand[Any]) -> kinform.StatusError:
    with pytest.raises(kinform.StatusError) as caught:
        await cache.get("shop")
    return caught.value


async def test_without_max_stale_an_old_answer_is_never_given(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    async with make(ttl=0.1, max_watches=0) as cache:
        await cache.get("shop")
        server.fault(InternalError(), on="list", times=None)
        await asyncio.sleep(0.2)
        with pytest.raises(kinform.StatusError):
            await cache.get("shop")


async def test_a_refused_watch_leaves_the_ttl(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    server.fault(Forbidden(), on="watch", times=None)
    async with make(ttl=0.5) as cache:
        await cache.get("shop")
        await until(lambda: cache.stats().watches == 0)
        put(server, "shop", x="2")
        await becomes(lambda: label(cache, "shop"), "2")
        assert len(watches(server)) <= len(lists(server))


async def test_credentials_are_read_again_after_a_401(server: Server) -> None:
    class Renewing(RecordingTransport):
        async def refresh_credentials(self) -> bool:
            server.heal()
            return True

    put(server, "shop", x="1")
    server.fault(Unauthorized(), on="list", times=None)
    async with kinform.connect(server.url) as api, kinform.OnDemand(Renewing(api), NAMESPACES) as cache:
        assert await label(cache, "shop") == "1"


# Ends


class Gated(RecordingTransport):
    """Sends no request before the gate opens."""

    def __init__(self, inner: kinform.Transport) -> None:
        super().__init__(inner)
        self.gate = asyncio.Event()
        self.before_request = self._wait

    async def _wait(self, request: kinform.Request) -> None:
        await self.gate.wait()


async def test_cancellation_of_one_reader_does_not_affect_others(server: Server) -> None:
    put(server, "shop", x="1")
    async with kinform.connect(server.url) as api, kinform.OnDemand(gated := Gated(api), NAMESPACES) as cache:
        first, second = (asyncio.create_task(label(cache, "shop")) for _ in range(2))
        await until(lambda: len(gated.requests) == 1)
        first.cancel()
        await asyncio.sleep(0)
        gated.gate.set()
        assert await second == "1"
        assert first.cancelled()
    assert len(server.requests) == 1


async def test_an_error_without_readers_is_not_reported(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.fault(InternalError(), on="list")
    async with (
        kinform.connect(server.url) as api,
        kinform.OnDemand(gated := Gated(api), NAMESPACES, max_watches=0) as cache,
    ):
        reader = asyncio.create_task(cache.get("shop"))
        await until(lambda: len(gated.requests) == 1)
        reader.cancel()
        gated.gate.set()
        await until(lambda: cache.stats().errors == 1)
    del reader
    gc.collect()
    assert caplog.text == ""


async def test_the_end_of_the_block_wakes_all_readers(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    for on in ("watch", "list"):
        server.fault(Stall(headers=False), on=on, times=None)
    async with make() as cache:
        readers = [asyncio.create_task(cache.get(name)) for name in ("shop", "shop", "bank")]
        await asyncio.sleep(0.1)
    found = await asyncio.wait_for(asyncio.gather(*readers, return_exceptions=True), 5)
    assert [type(each) for each in found] == [kinform.KinformError] * 3
    assert "stopped during the read" in str(found[0])
    assert own_tasks() == set()


async def test_a_cache_starts_again_without_answers(server: Server, make: Make) -> None:
    put(server, "shop", x="1")
    cache = make()
    for _ in range(2):
        async with cache:
            assert await label(cache, "shop") == "1"
            await until(lambda: server.watchers == 1)
        assert cache.stats().objects == 0
        await until(lambda: server.watchers == 0)
    assert cache.stats().requests == 2
    assert own_tasks() == set()


async def test_a_cache_that_is_not_running_raises(server: Server, make: Make) -> None:
    cache = make()
    with pytest.raises(kinform.KinformError, match="not running"):
        await cache.get("shop")
    async with cache:
        with pytest.raises(kinform.KinformError, match="started already"):
            await cache.__aenter__()
        with pytest.raises(kinform.OptionError, match="key"):
            await cache.get("a/b/c")
        for wrong in ("", "a/", "a b", None, ["shop"]):
            with pytest.raises(kinform.OptionError, match="key"):
                await cache.get(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"ttl": "5"},
        {"negative_ttl": -1},
        {"max_objects": 0},
        {"max_bytes": 0},
        {"max_watches": -1},
        {"max_stale": float("inf")},
        {"timeout": 0},
        {"prune": "metadata"},
        {"type": int},
    ],
)
async def test_a_wrong_option_is_refused(make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(kinform.OptionError, match=next(iter(options))):
        make(**options)


# Also on a real API server


async def test_an_object_is_followed_on_a_server(cluster: Cluster) -> None:
    key = f"{cluster.namespace}/a"

    async def value() -> str | None:
        found = await configs.get(key)
        return None if found is None else found["data"]["k"]

    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        recording = RecordingTransport(api)
        async with kinform.OnDemand(recording, cluster.resource, negative_ttl=0.1) as configs:
            assert await value() is None
            await cluster.create("a", data={"k": "1"})
            await becomes(value, "1")
            fetches = len(recording.lists)
            await cluster.replace("a", data={"k": "2"})
            await becomes(value, "2")
            await cluster.create("b", data={"k": "other"})
            assert len(recording.lists) == fetches
            await cluster.delete("a")
            await becomes(value, None)
            assert configs.stats().watches == 1
            assert len(recording.watches) == 1


@pytest.mark.parametrize("max_watches", [0, 100])
async def test_the_scope_of_a_custom_resource_is_learned(cluster: Cluster, max_watches: int) -> None:
    widgets = await cluster.create_custom_resource()
    await cluster.create("w", widgets)
    gadgets = await cluster.create_custom_resource(namespaced=False)
    async with (
        kinform.connect(cluster.url, **cluster.connect_options) as api,
        kinform.OnDemand(api, widgets, max_watches=max_watches) as namespaced,
        kinform.OnDemand(api, gadgets, max_watches=max_watches) as cluster_scoped,
    ):
        with pytest.raises(kinform.OptionError, match=r"an object in a namespace needs it in its key$"):
            await namespaced.get("w")
        assert await namespaced.get(f"{cluster.namespace}/w") is not None
        with pytest.raises(kinform.NotFoundError, match="an object of a cluster-scoped resource has no namespace"):
            await cluster_scoped.get(f"{cluster.namespace}/w")
