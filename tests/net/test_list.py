"""`Connection.list`: each object once, whatever fault comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest

import kinform
from kinform._connection import listing
from kinform.testing import (
    CutMidObject,
    Empty,
    Fault,
    Forbidden,
    Gone,
    Hangup,
    MalformedFrame,
    MalformedObject,
    Oversized,
    Server,
    Stall,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from tests.support.clusters import Cluster
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.support.waiting import until


class Meta(msgspec.Struct):
    name: str


class ConfigMap(msgspec.Struct):
    metadata: Meta
    data: dict[str, str] = {}


def config_map(name: str, namespace: str = "shop", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "data": {"of": name}}


def later_page(request: kinform.testing.RecordedRequest) -> bool:
    return "continue" in request.params


@pytest.fixture
async def api(server: Server) -> AsyncIterator[kinform.Connection]:
    """A connection to a simulator with 25 config maps in `shop`."""
    for number in range(25):
        server.put("v1/configmaps", config_map(f"c{number:02}"))
    async with kinform.connect(server.url) as connection:
        yield connection


async def names(api: kinform.Connection, **options: Any) -> list[str]:
    """Returns the names of the listed config maps, in order."""
    return [found.metadata.name async for found in api.list("v1/configmaps", type=ConfigMap, **options)]


async def extend(found: list[str], listed: AsyncIterator[ConfigMap]) -> None:
    """Appends the names of objects until the list ends or fails."""
    async for each in listed:
        found.append(each.metadata.name)  # noqa: PERF401  # a list that fails must keep those before


ALL = [f"c{number:02}" for number in range(25)]


# --- on both servers


async def test_each_object_comes_once_over_pages_and_namespaces(cluster: Cluster) -> None:
    other = f"{cluster.namespace}-b"
    await cluster.api.create("v1/namespaces", {"metadata": {"name": other}})
    for name in "abcde":
        await cluster.create(name, labels={"app": "web"}, data={"of": name})
        await cluster.api.create(
            cluster.resource, {"metadata": {"name": name, "namespace": other, "labels": {"app": "web"}}}
        )
    await cluster.create("unlabelled")
    scope = kinform.Scope(namespaces=[other, cluster.namespace], label_selector="app=web")
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        found = [each async for each in api.list(cluster.resource, scope=scope, page_size=2)]
        keys = [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in found]
        assert keys == [(namespace, name) for namespace in (other, cluster.namespace) for name in "abcde"]
        assert {(each["apiVersion"], each["kind"]) for each in found} == {("v1", "ConfigMap")}
        assert found[5]["data"] == {"of": "a"}
        assert "managedFields" not in found[0]["metadata"]


async def test_a_metadata_only_list_has_no_data(cluster: Cluster) -> None:
    await cluster.create("a", data={"k": "v"})
    scope = kinform.Scope(namespaces=[cluster.namespace], field_selector="metadata.name=a", metadata_only=True)
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        (found,) = [each async for each in api.list(cluster.resource, scope=scope)]
        assert found.keys() == {"apiVersion", "kind", "metadata"}
        assert found["metadata"]["name"] == "a"


async def test_an_expired_list_continues_with_the_newest_state(cluster: Cluster) -> None:
    for name in "abcd":
        await cluster.create(name)
    scope = kinform.Scope(namespaces=[cluster.namespace])
    found = []
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        listed = api.list(cluster.resource, scope=scope, page_size=2, type=ConfigMap)
        async with aclosing(listed):
            async for each in listed:
                found.append(each.metadata.name)
                if each.metadata.name == "b":
                    await cluster.expire_history()
                    await cluster.create("aa")
                    await cluster.create("cc")
    assert found == ["a", "b", "c", "cc", "d"]


async def test_a_refusal_is_raised_at_the_first_step(cluster: Cluster) -> None:
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        with pytest.raises(kinform.NotFoundError, match=r"^list v1/configmapz in shop: the server answered 404"):
            await anext(api.list("v1/configmapz", scope=kinform.Scope(namespaces=["shop"])))


# --- faults, on the simulator


@pytest.mark.parametrize("fault", [CutMidObject(after=3), Hangup(after=3), Hangup(after=0), CutMidObject()])
@pytest.mark.parametrize("page", [1, 2])
async def test_a_page_that_breaks_off_is_requested_again(
    server: Server, api: kinform.Connection, fault: Fault, page: int
) -> None:
    server.fault(fault, on="list", skip=page - 1)
    found = []
    async for each in api.list("v1/configmaps", type=ConfigMap, page_size=10):
        found.append(each.metadata.name)
        if each.metadata.name == "c02":  # in the first page: the object came already, and goes
            server.delete("v1/configmaps", "shop/c00")
    assert found == ALL
    assert len(server.requests) == 4


async def test_a_page_may_break_off_often_if_objects_come(server: Server, api: kinform.Connection) -> None:
    for after in (5, 6, 7, 8, 9):
        server.fault(Hangup(after=after), on="list")
    assert await names(api, page_size=10) == ALL
    assert len(server.requests) == 8


async def test_a_page_that_breaks_off_twice_in_a_row_is_an_error(server: Server, api: kinform.Connection) -> None:
    server.fault(Hangup(after=3), on="list", times=None)
    found = list[str]()
    with pytest.raises(kinform.TransportError, match="closed the connection before the end of the body"):
        await extend(found, api.list("v1/configmaps", type=ConfigMap))
    assert found == ALL[:3]
    assert len(server.requests) == 3


async def test_silence_within_a_page_is_an_error(server: Server, api: kinform.Connection) -> None:
    server.fault(Stall(after=3), on="list", times=None)
    with pytest.raises(kinform.StalledError, match=r"^list v1/configmaps: no data for 0\.05 s$"):
        await names(api, timeout=0.05)


async def test_a_page_that_expires_twice_in_a_row_is_an_error(server: Server, api: kinform.Connection) -> None:
    server.fault(Gone(), on="list", when=later_page, times=None)
    with pytest.raises(kinform.ExpiredError):
        await names(api, page_size=10)
    assert len(server.requests) == 3


async def test_a_later_expired_page_continues_again(server: Server, api: kinform.Connection) -> None:
    server.fault(Gone(), on="list", skip=1)
    server.fault(Gone(), on="list", skip=2)
    assert await names(api, page_size=10) == ALL
    assert len(server.requests) == 5


async def test_an_expired_page_without_a_token_is_an_error() -> None:
    page = b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"continue":"x"},"items":[]}'

    async def respond(request: ReceivedRequest) -> None:
        expired = ("continue", "x") in request.params
        await request.respond(410 if expired else 200, b'{"metadata":{"continue":null}}' if expired else page)

    async with scripted_server(respond) as server, kinform.connect(server.url) as api:
        with pytest.raises(kinform.ExpiredError):
            await names(api)


@pytest.mark.parametrize("fault", [Forbidden(), Unavailable(retry_after=1), TooManyRequests(retry_after=None)])
async def test_a_refusal_is_not_retried(server: Server, api: kinform.Connection, fault: Fault) -> None:
    server.fault(fault, on="list")
    with pytest.raises(kinform.StatusError):
        await names(api)
    assert len(server.requests) == 1


async def test_too_many_requests_are_retried_after_the_wait(server: Server, api: kinform.Connection) -> None:
    server.fault(TooManyRequests(retry_after=0), on="list", times=10)
    assert await names(api) == ALL
    server.fault(TooManyRequests(retry_after=0), on="list", times=None)
    with pytest.raises(kinform.StatusError, match="429"):
        await names(api)
    assert len(server.requests) == 11 + 11


async def test_a_wait_beyond_the_timeout_is_not_begun(server: Server, api: kinform.Connection) -> None:
    server.fault(TooManyRequests(retry_after=60), on="list", times=None)
    with pytest.raises(kinform.StatusError, match="429") as caught:
        await names(api)
    assert caught.value.retry_after == 60
    assert len(server.requests) == 1


async def test_credentials_are_read_again_once(server: Server, api: kinform.Connection, tmp_path: Path) -> None:
    kubeconfig = server.write_kubeconfig(tmp_path / "config")
    async with kinform.connect(kubeconfig) as reloading:
        server.fault(Unauthorized(), on="list")
        assert await names(reloading) == ALL
        server.fault(Unauthorized(), on="list", times=None)
        with pytest.raises(kinform.UnauthorizedError):
            await names(reloading)
    assert len(server.requests) == 2 + 2
    with pytest.raises(kinform.UnauthorizedError):
        await names(api)  # of a URL, whose token does not rotate
    assert len(server.requests) == 2 + 2 + 1


@pytest.mark.parametrize("fault", [MalformedObject(after=3), Oversized(after=3, bytes=17 << 20)])
async def test_an_unreadable_object_is_an_error(server: Server, api: kinform.Connection, fault: Fault) -> None:
    server.fault(fault, on="list")
    found = list[str]()
    with pytest.raises(kinform.SkippedError, match=r"^v1/configmaps: skipped shop/c03"):
        await extend(found, api.list("v1/configmaps", type=ConfigMap))
    assert found == ALL[:3]


@pytest.mark.parametrize("fault", [MalformedFrame(after=3), Empty()])
async def test_a_body_that_is_not_a_list_is_an_error(server: Server, api: kinform.Connection, fault: Fault) -> None:
    server.fault(fault, on="list")
    with pytest.raises(kinform.ProtocolError):
        await names(api)
    assert len(server.requests) == 1


@pytest.mark.parametrize("token", ["same", "{}"], ids=["repeated", "new"])
async def test_pages_without_an_end_are_an_error(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setattr(listing, "MAX_EMPTY_PAGES", 7)

    async def respond(request: ReceivedRequest) -> None:
        page = token.format(len(server.requests))
        await request.respond(200, f'{{"kind":"XList","items":[],"metadata":{{"continue":"{page}"}}}}'.encode())

    async with scripted_server(respond) as server, kinform.connect(server.url) as api:
        with pytest.raises(kinform.ProtocolError, match="no end"):
            await names(api)
        assert len(server.requests) == (2 if token == "same" else 7)


# --- use


async def test_a_loop_that_is_left_closes_its_connection(server: Server, api: kinform.Connection) -> None:
    server.generate("v1/pods", 500)
    async for _ in api.list("v1/pods"):
        break
    await until(lambda: server.requests[-1].ended)


async def test_pruning_applies_to_listed_objects(server: Server, api: kinform.Connection) -> None:
    (found,) = [each async for each in api.list("v1/configmaps", scope=_ONE, prune=kinform.Prune(keep=["data"]))]
    assert found["metadata"].keys() == {"name", "namespace", "uid", "resourceVersion"}
    server.generate("v1/pods", 1)
    (pod,) = [each async for each in api.list("v1/pods", prune=kinform.Prune())]
    assert pod["metadata"]["managedFields"]


_ONE = kinform.Scope(field_selector="metadata.name=c00")


async def test_an_object_that_does_not_fit_the_type_is_an_error(api: kinform.Connection) -> None:
    class Numbers(msgspec.Struct):
        data: dict[str, int]

    with pytest.raises(kinform.DecodeError, match=r"^shop/c00: cannot be decoded at \$\.data"):
        await anext(api.list("v1/configmaps", type=Numbers))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resource": "pods"}, "^resource: 'pods'"),
        ({"page_size": -1}, "^page_size: -1"),
        ({"timeout": 0}, "^timeout: 0"),
        ({"scope": "shop"}, "^scope: 'shop'"),
        ({"type": int}, "^type: "),
        ({"type": ConfigMap, "prune": kinform.Prune(drop=["metadata.labels"])}, None),
        ({"type": ConfigMap, "scope": kinform.Scope(metadata_only=True)}, None),
    ],
)
async def test_arguments_are_checked_by_the_call(api: kinform.Connection, options: Any, message: str | None) -> None:
    arguments = {"resource": "v1/configmaps", **options}
    if message is None:
        await api.list(**arguments).aclose()
    else:
        with pytest.raises(kinform.OptionError, match=message):
            api.list(**arguments)


async def test_a_type_that_needs_a_pruned_field_is_refused(api: kinform.Connection) -> None:
    class Whole(msgspec.Struct):
        data: dict[str, str]

    with pytest.raises(kinform.OptionError, match="metadata_only drops it"):
        api.list("v1/configmaps", type=Whole, scope=kinform.Scope(metadata_only=True))
    with pytest.raises(kinform.OptionError, match="pruning drops it"):
        api.list("v1/configmaps", type=Whole, prune=kinform.Prune(drop=["data"]))


async def test_a_connection_that_is_not_open_is_an_error() -> None:
    with pytest.raises(kinform.OptionError, match="inside its block"):
        await names(kinform.connect("http://127.0.0.1:1"))
