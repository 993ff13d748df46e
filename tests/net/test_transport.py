"""What a transport over an ApiClient sends, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from kinform._errors import OptionError, TransportError
from kinform._transport.api_client import ApiClientTransport, as_transport
from kinform._transport.base import CHUNK_BYTES, Request, Response
from kinform._transport.lean_import import ApiClient, Configuration
from tests.support.peer import Call, Peer, peer

PODS = Request(path="/api/v1/pods", params=())


@asynccontextmanager
async def transport_to(url: str, *, token: str = "", limit: int = 100) -> AsyncIterator[ApiClientTransport]:
    configuration = Configuration(host=url)
    configuration.connection_pool_maxsize = limit
    if token:
        configuration.api_key["BearerToken"] = f"Bearer {token}"
    async with ApiClient(configuration) as client:
        yield ApiClientTransport(client)


async def body_of(response: Response) -> bytes:
    return b"".join([chunk async for chunk in response.chunks()])


# --- what is asked


async def test_a_request_is_sent_as_it_stands_with_the_token() -> None:
    params = (
        ("limit", "500"),
        ("labelSelector", "app in (a,b),tier!=x;y"),
        ("continue", "a+b/c=="),
        ("shardSelector", "shardRange(object.metadata.uid, '0x0', '0x1')"),
        ("fieldSelector", "metadata.name=é&x"),
        ("empty", ""),
    )
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
    async with peer() as server, transport_to(server.url, token="t0") as transport:
        response = await transport.open(Request(path="/api/v1/namespaces/shop/pods", params=params, accept=accept))
        response.close()
    (call,) = server.calls
    assert call.path == "/api/v1/namespaces/shop/pods"
    assert call.params == list(params)
    assert call.headers["accept"] == accept
    assert call.headers["authorization"] == "Bearer t0"


@pytest.mark.parametrize(
    ("gzip", "watch", "encoding"),
    [(False, False, "identity"), (True, False, "gzip"), (False, True, "identity"), (True, True, "identity")],
)
async def test_gzip_is_invited_for_a_list_alone_and_on_request(gzip: bool, watch: bool, encoding: str) -> None:
    async with peer() as server, transport_to(server.url) as transport:
        (await transport.open(Request(path="/x", params=(), gzip=gzip, watch=watch))).close()
    assert server.calls[0].headers["accept-encoding"] == encoding


async def test_no_deadline_of_the_clients_own_but_the_one_for_connecting() -> None:
    asked: list[Any] = []

    async def call_api(*arguments: object, _request_timeout: object = None, **rest: object) -> None:
        asked.append(_request_timeout)
        raise aiohttp.ServerDisconnectedError

    async with transport_to("http://127.0.0.1:1") as transport:
        transport.api_client.call_api = call_api
        with pytest.raises(TransportError):
            await transport.open(PODS)
    assert asked == [aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=None)]


# --- what is answered


async def test_a_gzip_body_arrives_inflated() -> None:
    body = b'{"items":[]}' * 50_000

    async def answer(call: Call) -> None:
        await call.answer(200, gzip.compress(body), Content_Encoding="gzip")

    async with peer(answer) as server, transport_to(server.url) as transport:
        assert await body_of(await transport.open(Request(path="/x", params=(), gzip=True))) == body


async def test_any_status_is_an_answer_with_headers_in_any_case() -> None:
    async def answer(call: Call) -> None:
        await call.answer(429, b"slow down", Retry_After="7")

    async with peer(answer) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        assert response.status == 429
        assert response.headers["retry-AFTER"] == "7"
        assert await response.head(1000) == b"slow down"


async def test_the_head_of_a_body_is_no_longer_than_asked_and_leaves_the_rest_unread() -> None:
    async def answer(call: Call) -> None:
        await call.begin()
        while not call.left.is_set():
            await call.chunk(b"e" * 100_000)

    async with peer(answer) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        assert await response.head(300_001) == b"e" * 300_001
        await asyncio.wait_for(server.calls[0].left.wait(), 5)


async def test_the_head_of_a_body_that_breaks_off_is_what_came() -> None:
    async def answer(call: Call) -> None:
        await call.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf")
        call.cut()

    async with peer(answer) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        assert (response.status, await response.head(1000)) in ((500, b"half"), (500, b""))


async def test_pieces_are_no_larger_than_256_kib_however_much_has_arrived() -> None:
    body = bytes(range(256)) * (16 << 10)

    async def answer(call: Call) -> None:
        await call.answer(200, body)

    async with peer(answer) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        pieces = []
        async for piece in response.chunks():
            assert 0 < len(piece) <= CHUNK_BYTES
            pieces.append(piece)
            for _ in range(5):
                await asyncio.sleep(0)  # more arrives than is read
    assert b"".join(pieces) == body


async def test_a_piece_comes_as_soon_as_it_is_there() -> None:
    async def answer(call: Call) -> None:
        await call.begin()
        await call.chunk(b'{"type":"ADDED"}\n')

    async with peer(answer) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        async with asyncio.timeout(5):
            assert await anext(response.chunks()) == b'{"type":"ADDED"}\n'
        response.close()


async def test_the_end_of_a_body_stays_the_end() -> None:
    async with peer() as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        chunks = response.chunks()
        assert [chunk async for chunk in chunks]
        assert await anext(chunks, None) is None
        assert await anext(chunks, None) is None


async def test_a_body_read_to_its_end_leaves_the_connection_to_the_next_request() -> None:
    async with peer() as server, transport_to(server.url) as transport:
        for _ in range(3):
            await body_of(await transport.open(PODS))
        assert [call.connection for call in server.calls] == [1, 1, 1]


async def test_the_client_keeps_no_answer_that_is_through() -> None:
    async with peer() as server, transport_to(server.url) as transport:
        (await transport.open(PODS)).close()
        assert transport.api_client.last_response is None


# --- what breaks


async def short_body(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsecret")
    call.cut()


async def open_chunked(call: Call) -> None:
    await call.begin()
    await call.chunk(b"secret")
    call.cut()


async def bad_chunk(call: Call) -> None:
    await call.begin()
    await call.send(b"secret\r\n")


async def bad_gzip(call: Call) -> None:
    await call.answer(200, b"secret", Content_Encoding="gzip")


@pytest.mark.parametrize("answer", [short_body, open_chunked, bad_chunk, bad_gzip])
async def test_a_body_that_breaks_off_is_an_error_that_quotes_nothing(answer: Any) -> None:
    async with peer(answer) as server, transport_to(server.url) as transport:
        with pytest.raises(TransportError, match=r"^/api/v1/pods: ") as caught:
            await body_of(await transport.open(PODS))
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, aiohttp.ClientError | aiohttp.http.HttpProcessingError)
    assert caught.value.reached


async def no_answer(call: Call) -> None:
    call.cut()


async def no_http(call: Call) -> None:
    await call.send(b"secret secret\r\n\r\n")


@pytest.mark.parametrize("answer", [no_answer, no_http])
async def test_no_answer_is_an_error_that_quotes_nothing(answer: Any) -> None:
    async with peer(answer) as server, transport_to(server.url) as transport:
        with pytest.raises(TransportError, match=r"^/api/v1/pods: ") as caught:
            await transport.open(PODS)
    assert "secret" not in str(caught.value)
    assert caught.value.reached


async def test_a_refused_connection_names_the_host_and_was_not_reached() -> None:
    async with transport_to("http://127.0.0.1:1") as transport:
        with pytest.raises(TransportError, match=r"127\.0\.0\.1:1") as caught:
            await transport.open(PODS)
    assert isinstance(caught.value.__cause__, aiohttp.ClientConnectorError)
    assert not caught.value.reached


async def test_cancelling_before_the_headers_closes_the_connection() -> None:
    asked = asyncio.Event()

    async def answer(call: Call) -> None:
        asked.set()

    async with peer(answer) as server, transport_to(server.url) as transport:
        opening = asyncio.create_task(transport.open(PODS))
        await asyncio.wait_for(asked.wait(), 5)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await asyncio.wait_for(server.calls[0].left.wait(), 5)


async def test_cancelling_a_wait_for_the_next_piece_closes_the_connection() -> None:
    async def answer(call: Call) -> None:
        await call.begin()
        await call.chunk(b"first")

    async with peer(answer) as server, transport_to(server.url) as transport:
        chunks = (await transport.open(PODS)).chunks()
        assert await anext(chunks) == b"first"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(chunks)
        await asyncio.wait_for(server.calls[0].left.wait(), 5)
        with pytest.raises(TransportError):
            await anext(chunks)


async def test_closing_in_the_middle_of_a_body_is_seen_by_the_server_at_once() -> None:
    async def answer(call: Call) -> None:
        await call.begin()
        while not call.left.is_set():
            await call.chunk(b"x" * 100_000)

    async with peer(answer) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        await anext(response.chunks())
        response.close()
        response.close()
        await asyncio.wait_for(server.calls[0].left.wait(), 5)
        with pytest.raises(TransportError, match="closed"):
            await anext(response.chunks())


async def test_abandoned_pieces_leave_no_task_behind() -> None:
    async def answer(call: Call) -> None:
        await call.begin()
        await call.chunk(b"first")

    async with peer(answer) as server, transport_to(server.url) as transport:
        response = await transport.open(PODS)
        async for _ in response.chunks():
            break
        before = asyncio.all_tasks()
        response.close()
        del response
        await asyncio.sleep(0)
        assert asyncio.all_tasks() <= before


# --- the caller's client


async def test_the_callers_client_stays_open_and_a_closed_one_is_refused() -> None:
    async with peer() as server:
        async with transport_to(server.url) as transport:
            (await transport.open(PODS)).close()
            assert not transport.api_client.rest_client.pool_manager.closed
        with pytest.raises(OptionError, match="still open"):
            await transport.open(PODS)


async def test_a_client_closed_in_the_middle_of_a_body_is_a_broken_connection() -> None:
    async with peer(hold) as server:
        async with transport_to(server.url) as transport:
            chunks = (await transport.open(PODS)).chunks()
            assert await anext(chunks) == b"held"
        with pytest.raises(TransportError):
            await anext(chunks)


async def hold(call: Call) -> None:
    await call.begin()
    await call.chunk(b"held")


async def open_many(server: Peer, caplog: pytest.LogCaptureFixture, limit: int, many: int) -> list[str]:
    async with transport_to(server.url, limit=limit) as transport:
        others = [ApiClientTransport(transport.api_client) for _ in range(many)]
        for held in [await other.open(PODS) for other in others]:
            held.close()
    return [record.message for record in caplog.records if record.name == "kinform.transport"]


async def test_a_client_near_its_connection_limit_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    async with peer(hold) as server:
        messages = await open_many(server, caplog, limit=10, many=10)
    assert len(messages) == 1
    assert "8 of the 10 connections" in messages[0]


@pytest.mark.parametrize(("limit", "many"), [(10, 8), (0, 12)])
async def test_a_client_with_room_is_not_warned_about(caplog: pytest.LogCaptureFixture, limit: int, many: int) -> None:
    async with peer(hold) as server:
        assert await open_many(server, caplog, limit, many) == []


async def test_connections_that_were_closed_do_not_count_to_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    async with peer() as server, transport_to(server.url, limit=3) as transport:
        answers = []
        for _ in range(10):
            answers.append(await transport.open(PODS))
            await body_of(answers[-1])
    assert not caplog.records


async def test_without_a_hook_there_are_no_credentials_to_refresh() -> None:
    async with transport_to("http://127.0.0.1:1") as transport:
        assert await transport.refresh_credentials() is False


@pytest.mark.parametrize("awaited", [False, True])
async def test_refreshing_runs_the_clients_hook_plain_or_async(awaited: bool) -> None:
    async with peer() as server, transport_to(server.url, token="old") as transport:
        ran: list[str] = []

        def renew(configuration: Any) -> None:
            ran.append("hook")
            configuration.api_key["BearerToken"] = "Bearer new"

        async def renew_later(configuration: Any) -> None:
            renew(configuration)

        transport.api_client.configuration.refresh_api_key_hook = renew_later if awaited else renew
        assert await transport.refresh_credentials() is True
        assert ran == ["hook"]
        (await transport.open(PODS)).close()
    assert server.authorizations == ["Bearer new"]


async def test_a_hook_that_fails_is_logged_and_told_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    def fail(configuration: Any) -> None:
        raise RuntimeError("secret")

    async with peer() as server, transport_to(server.url, token="t") as transport:
        transport.api_client.configuration.refresh_api_key_hook = fail
        with caplog.at_level(logging.DEBUG, logger="kinform"):
            assert await transport.refresh_credentials() is False
        with pytest.raises(TransportError, match=r"cannot be renewed \(RuntimeError\)") as caught:
            await transport.open(PODS)
    assert "secret" not in caplog.text
    assert "secret" not in str(caught.value)
    assert not caught.value.reached


# --- other clients


class ApiException(Exception):
    """As a version that checks the status itself would raise it."""

    def __init__(self, status: int, body: bytes | str | None) -> None:
        self.status = status
        self.body = body
        self.headers = {"Retry-After": "3"}


@pytest.mark.parametrize("body", [b"too many", "too many"])
async def test_a_client_that_raises_on_a_status_answers_all_the_same(body: bytes | str) -> None:
    async def call_api(*arguments: object, **rest: object) -> None:
        raise ApiException(429, body)

    async with transport_to("http://127.0.0.1:1") as transport:
        transport.api_client.call_api = call_api
        response = await transport.open(PODS)
        assert response.status == 429
        assert response.headers["retry-after"] == "3"
        assert await response.head(3) == b"too"
        response = await transport.open(PODS)
        assert await body_of(response) == b"too many"
        response.close()


async def test_a_client_that_gives_up_without_a_status_is_an_error() -> None:
    async def call_api(*arguments: object, **rest: object) -> None:
        raise ApiException(0, None)

    async with transport_to("http://127.0.0.1:1") as transport:
        transport.api_client.call_api = call_api
        with pytest.raises(TransportError, match="without a status"):
            await transport.open(PODS)


class SerializingClient:
    """The signature of `kubernetes.aio`: serialize, then call; the answer comes wrapped."""

    def __init__(self, inner: ApiClient) -> None:
        self.inner = inner
        self.configuration = inner.configuration
        self.rest_client = inner.rest_client

    async def param_serialize(
        self, method: str, resource_path: str, *, query_params: Any, header_params: Any, auth_settings: Any
    ) -> tuple[Any, ...]:
        assert auth_settings == ["BearerToken"]
        return method, self.configuration.host + resource_path, {**header_params, "x-query": str(query_params)}

    async def call_api(self, method: str, url: str, headers: Any, *, _request_timeout: Any) -> Any:
        self.response = await self.rest_client.pool_manager.request(
            method, url, headers=headers, timeout=_request_timeout
        )
        return self

    async def close(self) -> None: ...


async def test_a_client_that_serializes_first_is_served_too() -> None:
    async with peer() as server, transport_to(server.url) as inner:
        transport = as_transport(SerializingClient(inner.api_client))
        body = await body_of(await transport.open(Request(path="/x", params=(("limit", "1"),))))
    assert b"PodList" in body
    assert server.calls[0].headers["x-query"] == "[('limit', '1')]"
    assert server.calls[0].headers["accept-encoding"] == "identity"


class SynchronousClient:
    configuration = rest_client = None

    def call_api(self) -> None: ...
    def close(self) -> None: ...


@pytest.mark.parametrize("api", [None, "http://localhost", SynchronousClient(), ApiClient, ApiClientTransport, 3])
def test_what_is_no_client_is_refused(api: object) -> None:
    with pytest.raises(OptionError, match=r"^api: .*kinform\.connect\(\)"):
        as_transport(api)


async def test_two_transports_over_one_client_have_one_identity() -> None:
    async with transport_to("http://127.0.0.1:1") as transport:
        other = as_transport(transport.api_client)
        assert other.identity is transport.identity is transport.api_client
        assert as_transport(transport) is transport
