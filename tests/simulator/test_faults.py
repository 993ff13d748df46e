"""The faults of the simulator, with plain aiohttp as the client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from kinform import testing
from kinform.testing import Server
from tests.support import admin

MAPS = "/api/v1/configmaps"
WATCH_LIST = {"watch": "true", **admin.WATCH_LIST}
SILENCE = 0.05  # seconds without data after which a stream counts as silent


@pytest.fixture(autouse=True)
def objects(server: Server) -> list[str]:
    for name in "abcd":
        server.put("v1/configmaps", {"metadata": {"name": name, "namespace": "shop"}, "data": {"text": name * 50}})
    return server.keys("v1/configmaps")


async def received(response: aiohttp.ClientResponse, mark: bytes, count: int) -> bytes:
    """Returns the data until the end, an error, or silence after `count` times `mark`."""
    body = b""
    try:
        while True:
            async with asyncio.timeout(5 if body.count(mark) < count else SILENCE):
                chunk = await response.content.readany()
            if not chunk:
                return body
            body += chunk
    except TimeoutError:
        assert body.count(mark) >= count, "too little was received"
        return body
    except aiohttp.ClientError:
        return body


async def whole(server: Server, response: aiohttp.ClientResponse) -> bytes:
    """Returns the complete body; ends a stream after its initial events."""
    server.disconnect()
    return await response.read()


def kinds(body: bytes) -> list[str]:
    return [json.loads(line)["type"] for line in body.splitlines()]


# Answers


@pytest.mark.parametrize(
    ("fault", "status", "reason", "headers"),
    [
        (testing.Gone(), 410, "Expired", {}),
        (testing.Unauthorized(), 401, "Unauthorized", {}),
        (testing.Forbidden(), 403, "Forbidden", {}),
        (testing.NotFound(), 404, "NotFound", {}),
        (testing.Invalid(), 422, "Invalid", {}),
        (testing.TooManyRequests(retry_after=7, plain=False), 429, "TooManyRequests", {"Retry-After": "7"}),
        (testing.InternalError(), 500, "InternalError", {}),
        (testing.Unavailable(retry_after=3), 503, "ServiceUnavailable", {"Retry-After": "3"}),
        (testing.ResourceVersionTooLarge(), 504, "Timeout", {"Retry-After": "1"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, testing.Fault) else "",
)
async def test_an_answer_is_an_http_status_or_an_error_event(
    server: Server,
    client: aiohttp.ClientSession,
    fault: testing.Answer,
    status: int,
    reason: str,
    headers: dict[str, str],
) -> None:
    server.fault(fault, times=2)
    server.fault(type(fault)(event=True, after=2), on="watch")
    for params in ({}, {"watch": "true"}):
        async with client.get(MAPS, params=params) as response:
            assert response.status == status
            answer = await response.json()
            assert (answer["kind"], answer["code"], answer["reason"]) == ("Status", status, reason)
            assert {name: response.headers.get(name) for name in headers} == headers
    async with client.get(MAPS, params=WATCH_LIST) as response:
        assert response.status == 200
        lines = [json.loads(line) for line in (await response.read()).splitlines()]
    assert [line["type"] for line in lines] == ["ADDED", "ADDED", "ERROR"]
    assert lines[-1]["object"]["code"] == status
    assert server.faults_left == 0


@pytest.mark.parametrize(
    ("fault", "status"),
    [(testing.TooManyRequests(), 429), (testing.Unavailable(plain=True), 503), (testing.NotFound(plain=True), 404)],
    ids=["429", "503", "404"],
)
async def test_some_answers_are_plain_text(
    server: Server, client: aiohttp.ClientSession, fault: testing.Answer, status: int
) -> None:
    server.fault(fault)
    async with client.get(MAPS) as response:
        assert (response.status, response.content_type) == (status, "text/plain")


async def test_gone_for_a_page_has_a_token_for_the_rest(server: Server, client: aiohttp.ClientSession) -> None:
    async with client.get(MAPS, params={"limit": "1"}) as response:
        token = (await response.json())["metadata"]["continue"]
    server.fault(testing.Gone(), when=lambda request: "continue" in request.params)
    async with client.get(MAPS, params={"limit": "1"}) as response:
        assert response.status == 200
    async with client.get(MAPS, params={"limit": "1", "continue": token}) as response:
        assert response.status == 410
        token = (await response.json())["metadata"]["continue"]
    async with client.get(MAPS, params={"continue": token}) as response:
        assert [item["metadata"]["name"] for item in (await response.json())["items"]] == ["b", "c", "d"]


# Filters


async def test_faults_are_used_in_order_by_matching_requests(server: Server, client: aiohttp.ClientSession) -> None:
    server.fault(testing.Forbidden(), on="list", resource="v1/pods", times=None)
    server.fault(testing.InternalError(), on="list", namespace="till")
    server.fault(testing.Unavailable(), on="list", resource="v1/configmaps", skip=1, times=2)
    assert server.faults_left == 3

    async def status(path: str) -> int:
        async with client.get(path) as response:
            return response.status

    assert [await status(MAPS) for _ in range(4)] == [200, 503, 503, 200]
    assert [await status("/api/v1/pods") for _ in range(2)] == [403, 403]
    assert await status("/api/v1/namespaces/shop/configmaps") == 200
    assert [await status("/api/v1/namespaces/till/configmaps") for _ in range(2)] == [500, 200]
    assert server.faults_left == 0
    server.heal()
    assert await status("/api/v1/pods") == 200
    assert isinstance(server.requests[1].fault, testing.Unavailable)


def test_an_invalid_fault_is_refused() -> None:
    server = Server()
    with pytest.raises(ValueError, match="times"):
        server.fault(testing.Gone(), times=0)
    with pytest.raises(ValueError, match="is not a resource"):
        server.fault(testing.Gone(), resource="pods")
    with pytest.raises(ValueError, match="skip must be at least 0: -1"):
        server.fault(testing.Gone(), skip=-1)
    for refused in (server.fault, server.interrupt):
        with pytest.raises(ValueError, match=r"such as Gone\(\): the class Stall$"):
            refused(testing.Stall)
        with pytest.raises(ValueError, match=r"fault must be an object of a class of faults, such as Gone\(\): 410$"):
            refused(410)
    with pytest.raises(ValueError, match="on must be"):
        server.fault(testing.Gone(), on="scale")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bytes"):
        testing.Trickle(bytes=0)


async def test_open_streams_can_be_interrupted(server: Server, client: aiohttp.ClientSession) -> None:
    async with client.get(MAPS, params=WATCH_LIST) as response:
        assert kinds(await received(response, b"BOOKMARK", 1)) == ["ADDED"] * 4 + ["BOOKMARK"]
        assert server.interrupt(testing.Gone(after=1), "v1/configmaps") == 1
        server.touch("v1/configmaps", "shop/a")
        assert kinds(await response.read()) == ["MODIFIED", "ERROR"]


# Breaks


@pytest.mark.parametrize("params", [{}, WATCH_LIST], ids=["list", "watch"])
async def test_empty_is_200_without_a_body(
    server: Server, client: aiohttp.ClientSession, params: dict[str, str]
) -> None:
    server.fault(testing.Empty())
    async with client.get(MAPS, params=params) as response:
        assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize("params", [{}, WATCH_LIST], ids=["list", "watch"])
async def test_hangup_closes_before_the_status_line(
    server: Server, client: aiohttp.ClientSession, params: dict[str, str]
) -> None:
    server.fault(testing.Hangup(), times=2)  # aiohttp repeats the request once
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.get(MAPS, params=params)
    assert server.requests[-1].status is None


@pytest.mark.parametrize("params", [{}, WATCH_LIST], ids=["list", "watch"])
async def test_hangup_after_two_objects_leaves_the_body_incomplete(
    server: Server, client: aiohttp.ClientSession, params: dict[str, str]
) -> None:
    server.fault(testing.Hangup(after=2))
    async with client.get(MAPS, params=params) as response:
        body = await received(response, b'"uid"', 2)
        assert body.count(b'"uid"') == 2
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


@pytest.mark.parametrize("params", [{}, WATCH_LIST], ids=["list", "watch"])
async def test_a_stall_sends_the_given_part_and_closes_nothing(
    server: Server, client: aiohttp.ClientSession, params: dict[str, str]
) -> None:
    server.fault(testing.Stall(after=1, bytes=30))
    async with client.get(MAPS, params=params) as response:
        body = await received(response, b'"uid"', 1)
        assert body.count(b'"uid"') == 1
        if params:
            assert len(body.splitlines()[1]) == 30
        server.touch("v1/configmaps", "shop/a")
        assert await received(response, b"", 0) == b""
        assert not server.requests[-1].ended


async def test_a_stall_without_headers_sends_nothing(server: Server, client: aiohttp.ClientSession) -> None:
    server.fault(testing.Stall(headers=False))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.get(MAPS)
    await server.wait_for_request(lambda request: request.ended, timeout=5)


@pytest.mark.parametrize("params", [{}, WATCH_LIST], ids=["list", "watch"])
async def test_cut_mid_object_closes_in_the_middle_of_an_object(
    server: Server, client: aiohttp.ClientSession, params: dict[str, str]
) -> None:
    server.fault(testing.CutMidObject(after=1))
    async with client.get(MAPS, params=params) as response:
        body = await received(response, b'"name"', 2)
        assert body.count(b'"name"') == 2
        assert body.count(b'"data"') == 1
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("params", [{}, WATCH_LIST], ids=["list", "watch"])
async def test_a_malformed_object_is_balanced_and_others_are_valid(
    server: Server, client: aiohttp.ClientSession, params: dict[str, str], readable: bool
) -> None:
    server.fault(testing.MalformedObject(after=1, readable_key=readable))
    async with client.get(MAPS, params=params) as response:
        body = await whole(server, response)
    assert body.count(b"{") == body.count(b"}")
    assert (b'"name":"b"' in body) is readable
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(body.splitlines()[1] if params else body)
    if params:
        lines = body.splitlines()
        assert kinds(b"\n".join([lines[0], *lines[2:5]])) == ["ADDED", "ADDED", "ADDED", "BOOKMARK"]
    else:
        sound = body.replace(b',"damaged":tru', b"").replace(b'"name":b', b'"name":"b"')
        assert len(json.loads(sound)["items"]) == 4


@pytest.mark.parametrize("params", [{}, WATCH_LIST], ids=["list", "watch"])
async def test_a_malformed_frame_is_between_objects(
    server: Server, client: aiohttp.ClientSession, params: dict[str, str]
) -> None:
    server.fault(testing.MalformedFrame(after=2))
    async with client.get(MAPS, params=params) as response:
        body = await whole(server, response)
    assert body.count(b"{") < body.count(b"}")
    assert body.count(b'"uid"') == 4


@pytest.mark.parametrize("params", [{}, WATCH_LIST], ids=["list", "watch"])
async def test_an_oversized_object_is_valid(
    server: Server, client: aiohttp.ClientSession, params: dict[str, str]
) -> None:
    server.fault(testing.Oversized(after=1, bytes=3_000_000))
    async with client.get(MAPS, params=params) as response:
        body = await whole(server, response)
    assert len(body) > 3_000_000
    if params:
        assert kinds(body)[:5] == ["ADDED"] * 4 + ["BOOKMARK"]
        names = [json.loads(line)["object"]["metadata"]["name"] for line in body.splitlines()[:4]]
    else:
        names = [item["metadata"]["name"] for item in json.loads(body)["items"]]
    assert names == ["a", "b", "c", "d"]


async def test_a_trickle_sends_everything_in_small_pieces(server: Server, client: aiohttp.ClientSession) -> None:
    server.fault(testing.Trickle(bytes=7))
    async with client.get(MAPS) as response:
        chunks = [chunk async for chunk, _ in response.content.iter_chunks()]
    assert len(json.loads(b"".join(chunks))["items"]) == 4
    assert max(map(len, chunks)) == 7


@pytest.mark.parametrize("items", [0, 1])
async def test_a_short_page_has_a_token_for_the_rest(server: Server, client: aiohttp.ClientSession, items: int) -> None:
    server.fault(testing.ShortPage(items=items))
    pages: list[Any] = []
    token = ""
    while not pages or token:
        async with client.get(MAPS, params={"limit": "3", **({"continue": token} if token else {})}) as response:
            page = await response.json()
        pages.append([item["metadata"]["name"] for item in page["items"]])
        token = page["metadata"].get("continue", "")
    assert pages == [
        ["a", "b", "c", "d"][:items],
        ["a", "b", "c", "d"][items : items + 3],
        *([["d"]] if not items else []),
    ]


# Bookmarks


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (testing.NoBookmark(), []),
        (testing.BookmarkWithoutEnd(), [{}]),
        (testing.BookmarkWithoutEnd(value="false"), [{"k8s.io/initial-events-end": "false"}]),
    ],
)
async def test_the_end_of_the_initial_events_can_be_missing(
    server: Server, client: aiohttp.ClientSession, fault: testing.Fault, expected: list[dict[str, str]]
) -> None:
    server.fault(fault)
    async with client.get(MAPS, params=WATCH_LIST) as response:
        lines = [json.loads(line) for line in (await whole(server, response)).splitlines()]
    bookmarks = [line["object"]["metadata"] for line in lines if line["type"] == "BOOKMARK"]
    assert [metadata.get("annotations", {}) for metadata in bookmarks] == expected


async def test_the_end_of_the_initial_events_can_be_late(server: Server, client: aiohttp.ClientSession) -> None:
    server.fault(testing.LateBookmark(events=2))
    async with client.get(MAPS, params=WATCH_LIST) as response:
        assert kinds(await received(response, b"ADDED", 4)) == ["ADDED"] * 4
        server.touch("v1/configmaps", "shop/a")
        server.delete("v1/configmaps", "shop/b")
        server.touch("v1/configmaps", "shop/c")
        expected = ["MODIFIED", "DELETED", "BOOKMARK", "MODIFIED"]
        assert kinds(await received(response, b"MODIFIED", 2)) == expected
