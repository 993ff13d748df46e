"""Http1Connection: broken connections, close, cancellation, slow readers."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from kinform._transport.base import CHUNK_BYTES
from kinform._transport.http1 import QUEUE_BYTES, Http1Connection, HttpError
from kinform._transport.read_buffer import READ_BYTES
from tests.net.http1_peer import GET, body_of, connected, exchange, is_closed, start
from tests.support.loops import on_each_loop

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
ONE = b"1\r\na\r\n" + END
SIZED = b"Content-Length: 1\r\n\r\na"


# --- connections that break


def _cuts(*responses: bytes) -> Iterator[bytes]:
    for response in responses:
        yield from (response[:at] for at in range(len(response)))


CUT_HEADS = [*_cuts(OK + b"Content-Length: 2\r\n\r\n", b"HTTP/1.1 103 X\r\n\r\n" + OK)]
CUT_BODIES = [
    *(OK + b"Content-Length: 2\r\n\r\n" + cut for cut in _cuts(b"ab")),
    *(CHUNKED + cut for cut in _cuts(b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n")),
]


@on_each_loop
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_head_that_breaks_off_is_an_error(how: str) -> None:
    for response in CUT_HEADS:
        async with connected() as (connection, peer):
            waiting = asyncio.create_task(connection.request(GET))
            assert await peer.receive() == GET
            await peer.send(response)
            getattr(peer, how)()
            with pytest.raises(HttpError, match="before the end of the head"):
                await waiting
            assert connection.closed
            if how == "close":
                assert connection.answered is bool(response)


@on_each_loop
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_body_that_breaks_off_is_an_error(how: str) -> None:
    for response in CUT_BODIES:
        async with connected() as (connection, peer):
            await exchange(connection, peer, response)
            getattr(peer, how)()
            with pytest.raises(HttpError, match="before the end of the body"):
                await body_of(connection)
            assert connection.closed


@on_each_loop
async def test_a_reset_ends_no_body_that_lasts_until_close() -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, OK + b"\r\nabc")
        assert await connection.read() == b"abc"
        peer.reset()
        with pytest.raises(HttpError, match="before the end of the body") as broken:
            await connection.read()
        assert isinstance(broken.value.__cause__, ConnectionResetError)


@on_each_loop
async def test_what_arrived_before_the_end_is_still_read() -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, CHUNKED + b"1\r\na\r\n")
        peer.close()
        await _until_closed(connection)
        assert await connection.read() == b"a"
        with pytest.raises(HttpError, match="before the end of the body"):
            await connection.read()


async def _until_closed(connection: Http1Connection) -> None:
    while not connection.closed:
        await asyncio.sleep(0)


@on_each_loop
@pytest.mark.parametrize("served", [False, True])
async def test_unasked_bytes_close_an_idle_connection(served: bool) -> None:
    async with connected() as (connection, peer):
        if served:
            await exchange(connection, peer, OK + SIZED)
            assert await body_of(connection) == b"a"
        assert connection.reusable
        await peer.send(b"H")
        await peer.disconnected()
        await is_closed(connection, peer)


@on_each_loop
async def test_an_idle_connection_notices_that_the_server_closes() -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, OK + SIZED)
        assert await body_of(connection) == b"a"
        peer.close()
        await _until_closed(connection)
        assert not connection.reusable


@on_each_loop
async def test_answered_shows_if_a_byte_has_arrived() -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, OK + SIZED)
        assert await body_of(connection) == b"a"
        assert connection.answered
        waiting = asyncio.create_task(connection.request(GET))
        await asyncio.sleep(0)
        assert not connection.answered
        peer.close()
        with pytest.raises(HttpError, match="before the end of the head"):
            await waiting
        assert not connection.answered


# --- close, cancellation, order of calls


@on_each_loop
async def test_close_wakes_a_waiting_call() -> None:
    for response in (b"", OK, CHUNKED, OK + b"\r\n"):
        async with connected() as (connection, peer):
            waiting = await start(connection, peer)
            await peer.send(response)
            await asyncio.sleep(0.01)
            connection.close()
            connection.close()
            with pytest.raises(HttpError, match="closed"):
                await waiting
            await is_closed(connection, peer)


@on_each_loop
async def test_after_close_an_unread_body_is_an_error() -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, OK + SIZED)
        connection.close()
        with pytest.raises(HttpError, match="closed"):
            await connection.read()


@on_each_loop
async def test_bytes_after_close_are_ignored() -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, CHUNKED)
        connection.close()
        connection.get_buffer(-1)[:6] = b"1\r\na\r\n"
        connection.buffer_updated(6)  # a transport that had read them before it was closed
        with pytest.raises(HttpError, match="closed"):
            await connection.read()


@on_each_loop
async def test_close_before_the_connection_is_made() -> None:
    connection = Http1Connection()
    assert not connection.reusable
    connection.close()
    with pytest.raises(HttpError, match="closed"):
        await connection.request(GET)


@on_each_loop
@pytest.mark.parametrize("arrived", [b"", OK, CHUNKED, CHUNKED + b"1\r\na\r\n"])
async def test_cancellation_leaves_nothing_behind(arrived: bytes) -> None:
    async with connected() as (connection, peer):
        waiting = await start(connection, peer)
        await peer.send(arrived)
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        connection.close()
        await peer.disconnected()
        assert asyncio.all_tasks() == {asyncio.current_task()}


@on_each_loop
async def test_a_cancelled_read_loses_no_bytes() -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, CHUNKED)
        waiting = asyncio.create_task(connection.read())
        await asyncio.sleep(0)
        await peer.send(b"1\r\na\r\n")
        while not connection._queue:  # the reader is woken, and cancelled before it runs
            await asyncio.sleep(0)
            waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await peer.send(END)
        assert (b"" if waiting.cancelled() else waiting.result()) + await body_of(connection) == b"a"


@on_each_loop
async def test_a_request_during_a_response_is_a_wrong_call() -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, CHUNKED)
        assert not connection.reusable
        with pytest.raises(RuntimeError, match="not read to its end"):
            await connection.request(GET)
        await peer.send(ONE)
        while not connection._queue:
            await asyncio.sleep(0)
        assert not connection.reusable  # complete, but not read
        assert await body_of(connection) == b"a"
        assert connection.reusable


@on_each_loop
async def test_a_closed_connection_leaves_no_reference_cycle() -> None:
    gc.collect()
    gc.disable()
    try:
        for response in (OK + SIZED, CHUNKED + b"1\r\na", OK + b"X: ", b"nothing", OK + b"\r\n"):
            async with connected() as (connection, peer):
                waiting = await start(connection, peer)
                await peer.send(response)
                await asyncio.sleep(0.01)
                connection.close()
                with suppress(HttpError):
                    await waiting
                await peer.disconnected()
                gone = weakref.ref(connection._response)
                connection._response = None
                del waiting
                await asyncio.sleep(0)  # the loop holds the task in the callback that runs now
                assert gone() is None
    finally:
        gc.enable()


# --- slow readers


@on_each_loop
async def test_a_slow_reader_pauses_the_socket() -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    total = 512  # 32 MiB
    async with connected() as (connection, peer):
        sent = 0

        async def serve() -> None:
            nonlocal sent
            for _ in range(total):
                await peer.send(chunk)
                sent += 1
            await peer.send(END)

        await exchange(connection, peer, CHUNKED)
        serving = asyncio.create_task(serve())
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < total / 2
        assert connection._queued <= QUEUE_BYTES + READ_BYTES
        read = 0
        while part := await connection.read():
            assert len(part) <= CHUNK_BYTES
            read += len(part)
            assert connection._queued <= QUEUE_BYTES + READ_BYTES
        assert read == total * 65536
        await serving
        assert connection.reusable


@on_each_loop
async def test_tiny_reads_do_not_pile_up() -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, CHUNKED)
        assert connection.transport is not None
        sent = 0
        while connection.transport.is_reading():
            await peer.send(b"2\r\nab\r\n")
            await asyncio.sleep(0)
            sent += 2
            assert sent < 32768
        assert len(connection._queue) < 8192
        await peer.send(END)
        assert await body_of(connection) == b"ab" * (sent // 2)


@on_each_loop
async def test_tiny_chunks_take_bounded_memory() -> None:
    chunks = b"2\r\nab\r\n" * (1 << 18)
    async with connected() as (connection, peer):
        await exchange(connection, peer, CHUNKED)
        serving = asyncio.create_task(peer.send(chunks + END))
        tracemalloc.start()
        try:
            read = 0
            while part := await connection.read():
                read += len(part)
            assert tracemalloc.get_traced_memory()[1] < 8 << 20  # of one read
        finally:
            tracemalloc.stop()
        assert read == 2 << 18
        await serving


@on_each_loop
async def test_a_read_returns_at_most_its_limit() -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, OK + b"Content-Length: 10\r\n\r\n0123456789")
        parts = []
        while part := await connection.read(4):
            assert type(part) is bytes
            parts.append(part)
        assert b"".join(parts) == b"0123456789"
        assert max(map(len, parts)) <= 4
        assert connection.reusable


@on_each_loop
async def test_the_chunks_of_one_read_are_joined() -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, CHUNKED)
        await peer.send(b"1\r\na\r\n" * 100)
        assert await connection.read() == b"a" * 100
