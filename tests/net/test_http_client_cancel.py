"""HttpClient: a request that is cancelled, timed out or cut leaves nothing.

Nothing is: no socket, no task and no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kinform._connection.connection import connect
from kinform._errors import TransportError
from kinform._transport import dial
from kinform._transport.access import ClusterAccess
from kinform._transport.http_client import HttpClient
from tests.net.http1_peer import Peer
from tests.net.listener import Listener, listening, unresponsive
from tests.support.kubeconfig import write_contexts
from tests.support.loops import on_each_loop, open_sockets, other_tasks, pending_timers
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.support.tls import server_context
from tests.support.transports import PODS, client_of, get


class Leftovers:
    """The sockets, tasks and timers that were not there before."""

    def __init__(self) -> None:
        self._sockets, self._tasks, self._timers = open_sockets(), other_tasks(), set(map(id, pending_timers()))

    async def none(self, *, sockets: int = 0) -> None:
        """Lets other tasks run until nothing is left but a number of sockets."""
        for _ in range(10_000):
            timers = set(map(id, pending_timers())) - self._timers
            left = (open_sockets() - self._sockets - sockets, other_tasks() - self._tasks, timers)
            if left == (0, set(), set()):
                return
            await asyncio.sleep(0)
        raise AssertionError(f"left behind: {left}")


# --- the stages of a request


class Stage(NamedTuple):
    """A server that stops answering at some stage of a request.

    Attributes:
        client: Its client.
        reached: Returns when a request has reached the stage.
        peers: The server's ends of connections.
    """

    client: HttpClient
    reached: Callable[[], Awaitable[object]]
    peers: list[Peer]


Silence = Callable[[pytest.MonkeyPatch], AbstractAsyncContextManager[Stage]]


@asynccontextmanager
async def resolve(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    asked = asyncio.Event()

    async def addresses(host: str, port: int) -> list[str]:
        asked.set()
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(dial, "_addresses", addresses)
    async with client_of("http://cluster") as client:
        yield Stage(client, asked.wait, [])


@asynccontextmanager
async def connect_to_port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    with unresponsive() as port:
        async with client_of(f"http://127.0.0.1:{port}") as client:
            yield Stage(client, lambda: asyncio.sleep(0.02), [])


def silent_after(receive: Callable[[Listener], Awaitable[object]], scheme: str, *, proxy: bool = False) -> Silence:
    """Returns a stage whose server is a function of the test."""

    @asynccontextmanager
    async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
        with listening() as listener:
            address = f"127.0.0.1:{listener.port}"
            access = {"proxy_url": f"http://{address}"} if proxy else {}
            async with client_of(f"{scheme}://{'10.0.0.1' if proxy else address}", **access) as client:
                yield Stage(client, lambda: receive(listener), listener.peers)

    return stage


async def receive(listener: Listener) -> Peer:
    peer = await listener.accept()
    assert await peer.receive()
    return peer


async def accept_connect(listener: Listener) -> None:
    peer = await receive(listener)
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    assert await peer.receive()


async def begin_body(listener: Listener) -> None:
    peer = await receive(listener)
    await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await asyncio.sleep(0.02)


BEFORE_REQUEST = [
    pytest.param(resolve, id="resolve"),
    pytest.param(connect_to_port, id="connect"),
    pytest.param(silent_after(receive, "https"), id="tls"),
    pytest.param(silent_after(receive, "https", proxy=True), id="proxy"),
    pytest.param(silent_after(accept_connect, "https", proxy=True), id="proxy-tls"),
]
STAGES = [
    *BEFORE_REQUEST,
    pytest.param(silent_after(receive, "http"), id="head"),
    pytest.param(silent_after(receive, "http", proxy=True), id="proxy-head"),
    pytest.param(silent_after(begin_body, "http"), id="body"),
]


@pytest.mark.parametrize("stage", STAGES)
@on_each_loop
async def test_cancel_at_each_stage_leaves_nothing(stage: Silence, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch) as (client, reached, peers):
        before = Leftovers()
        getting = asyncio.create_task(get(client))
        await reached()
        getting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await getting
        await before.none(sockets=len(peers))


@pytest.mark.parametrize("stage", STAGES)
@on_each_loop
async def test_close_at_each_stage_wakes_the_request(stage: Silence, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(monkeypatch) as (client, reached, peers):
        before = Leftovers()
        getting = asyncio.create_task(get(client))
        await reached()
        client.close()
        with pytest.raises(TransportError, match="the connection was closed"):
            async with asyncio.timeout(1):
                await getting
        await before.none(sockets=len(peers))


@pytest.mark.parametrize("stage", BEFORE_REQUEST)
@on_each_loop
async def test_each_stage_of_connecting_has_a_deadline(stage: Silence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "CONNECT_SECONDS", 0.05)
    async with stage(monkeypatch) as (client, reached, peers):
        before = Leftovers()
        getting = asyncio.create_task(get(client))
        await reached()
        with pytest.raises(TransportError, match=r"cannot connect to .*: no connection within 0\.05 s") as caught:
            await getting
        assert not caught.value.reached
        await before.none(sockets=len(peers))


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("end", ["cancel", "close"])
@on_each_loop
async def test_the_end_of_a_request_at_any_time_leaves_nothing(end: str, tls: bool) -> None:
    """Ends a request after 0, 1, 2, ... iterations of the loop, until one succeeds."""
    async with scripted_server(tls=server_context() if tls else None) as server:
        before = Leftovers()
        for iterations in range(1000):
            async with client_of(server.url) as client:
                getting = asyncio.create_task(get(client))
                for _ in range(iterations):
                    await asyncio.sleep(0)
                succeeded = getting.done()
                if end == "cancel":
                    getting.cancel()
                else:
                    client.close()
                (result,) = await asyncio.gather(getting, return_exceptions=True)
                expected = asyncio.CancelledError if end == "cancel" else TransportError
                assert isinstance(result, bytes if succeeded else expected)
                if not succeeded:
                    await before.none()
            await before.none()
            if succeeded:
                break
        assert succeeded


@on_each_loop
async def test_a_request_is_not_repeated_after_the_close() -> None:
    with listening() as listener:
        async with client_of(f"http://127.0.0.1:{listener.port}") as client:
            getting = asyncio.create_task(get(client))
            peer = await receive(listener)
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await getting
            again = asyncio.create_task(get(client))
            assert await peer.receive()
            client.close()
            with pytest.raises(TransportError, match="the connection was closed"):
                await again
            assert listener.no_connection()


@on_each_loop
async def test_the_end_of_a_connection_ends_a_request_that_connects() -> None:
    with listening() as listener:
        before = Leftovers()
        async with connect(f"https://127.0.0.1:{listener.port}") as api:
            opening = asyncio.create_task(api.open(PODS))
            await receive(listener)
        with pytest.raises(TransportError, match="the connection was closed"):
            async with asyncio.timeout(1):
                await opening
        await before.none(sockets=1)


@on_each_loop
async def test_cancel_during_the_end_of_a_connection_leaves_nothing(tmp_path: Path) -> None:
    ending = asyncio.Event()

    async def load() -> ClusterAccess:
        try:
            return await asyncio.Event().wait()  # type: ignore[return-value]
        finally:
            ending.set()
            await asyncio.sleep(0.02)  # as an exec plugin takes to end

    async def use() -> None:
        async with connect(config) as api:
            held.append(await api.open(PODS))
            api._source.load = load  # type: ignore[method-assign]
            refreshing.append(asyncio.create_task(api.refresh_credentials()))
            await asyncio.sleep(0.01)

    held, refreshing = list[Any](), list[asyncio.Task[bool]]()
    async with scripted_server(silent_body) as server:
        config = write_contexts(tmp_path / "config", "shop", url=server.url)
        before = Leftovers()
        using = asyncio.create_task(use())
        await ending.wait()
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using
        with pytest.raises(TransportError):
            await anext(held[0].chunks())
        assert await refreshing[0] is False
        await server.requests[0].disconnected.wait()
        await before.none()


async def silent_body(request: ReceivedRequest) -> None:
    await request.start_chunked()
