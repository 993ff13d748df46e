"""Encrypted connections, and handshakes that fail."""

from __future__ import annotations

import asyncio
import random
import ssl

import pytest

from kinform._transport.http1 import QUEUE_BYTES, HttpError
from kinform._transport.tls_transport import READ_BYTES
from tests.net.http1_peer import body_of, connected
from tests.net.tls_peer import encrypt, encrypted, request
from tests.support.loops import on_each_loop

UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SECRET = "hunter2"


@on_each_loop
async def test_large_bodies_arrive_unchanged() -> None:
    body = random.Random(1).randbytes(8 * READ_BYTES + 5)
    async with encrypted() as (connection, server):
        for _ in range(2):
            await request(connection, server, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            sending = asyncio.create_task(server.send(body))
            assert await body_of(connection) == body
            await sending
            assert connection.reusable


@on_each_loop
async def test_connections_that_share_a_buffer_keep_apart() -> None:
    bodies = [random.Random(seed).randbytes(3 * READ_BYTES) for seed in range(5)]

    async def exchange(body: bytes) -> bytes:
        async with encrypted() as (connection, server):
            await request(connection, server, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            reading = asyncio.create_task(body_of(connection))
            rest = server.encrypt(body)
            while rest:
                size = random.Random(len(rest)).randint(1, 50_000)
                await server.peer.send(rest[:size])
                rest = rest[size:]
                await asyncio.sleep(0)
            return await reading

    assert await asyncio.gather(*map(exchange, bodies)) == bodies


@on_each_loop
async def test_records_may_arrive_byte_by_byte() -> None:
    async with encrypted() as (connection, server):
        await request(connection, server, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        reading = asyncio.create_task(body_of(connection))
        for byte in server.encrypt(b"01234") + server.encrypt(b"56789"):
            await server.peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await reading == b"0123456789"


@on_each_loop
async def test_a_large_request_arrives_unchanged() -> None:
    data = random.Random(2).randbytes(1_000_000)
    async with encrypted() as (connection, server):
        sending = asyncio.create_task(connection.request(data))
        assert await server.receive(len(data)) == data
        await server.peer.send(server.encrypt(b"HTTP/1.1 204 No Content\r\n\r\n"))
        assert (await sending).status == 204


@on_each_loop
async def test_close_notify_ends_a_body_without_a_length() -> None:
    async with encrypted() as (connection, server):
        await request(connection, server, UNTIL_CLOSE)
        await server.peer.send(server.encrypt(b"body") + server.close_notify())
        assert await body_of(connection) == b"body"
        assert connection.closed
        await server.peer.disconnected()


@on_each_loop
async def test_a_body_without_a_length_needs_a_close_notify() -> None:
    async with encrypted() as (connection, server):
        await request(connection, server, UNTIL_CLOSE)
        await server.peer.send(server.encrypt(b"body"))
        server.peer.close()
        assert await connection.read() == b"body"
        with pytest.raises(HttpError, match="without a TLS close_notify"):
            await connection.read()


@on_each_loop
@pytest.mark.parametrize("response", [b"", UNTIL_CLOSE[:-2], CHUNKED + b"3\r\na", CHUNKED + b"1\r\na\r\n"])
async def test_a_response_that_breaks_off_is_an_error(response: bytes) -> None:
    async with encrypted() as (connection, server):
        waiting = await server.start(connection)
        await server.send(response)
        server.peer.close()
        with pytest.raises(HttpError, match="before the end of the"):
            await waiting


@on_each_loop
async def test_a_damaged_record_closes_the_connection() -> None:
    async with encrypted() as (connection, server):
        await request(connection, server, UNTIL_CLOSE)
        good, bad = server.encrypt(b"good"), bytearray(server.encrypt(b"hunter2"))
        bad[-1] ^= 1
        await server.peer.send(good + bad)
        assert await connection.read() == b"good"
        with pytest.raises(HttpError, match="TLS failed: decryption failed or bad record mac") as caught:
            await connection.read()
        assert SECRET not in str(caught.value)
        await server.peer.disconnected()


@on_each_loop
async def test_plain_bytes_on_an_encrypted_connection_close_it() -> None:
    async with encrypted() as (connection, server):
        await request(connection, server, UNTIL_CLOSE)
        await server.peer.send(b"hunter2")
        with pytest.raises(HttpError) as caught:
            await connection.read()
        assert SECRET not in str(caught.value)
        await server.peer.disconnected()


@on_each_loop
async def test_a_reset_is_an_error() -> None:
    async with encrypted() as (connection, server):
        await request(connection, server, UNTIL_CLOSE)
        server.peer.reset()
        with pytest.raises(HttpError):
            await connection.read()


@on_each_loop
async def test_a_slow_reader_stops_the_server() -> None:
    async with encrypted() as (connection, server):
        await request(connection, server, b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        sending = asyncio.create_task(server.peer.send(server.encrypt(bytes(16 << 20))))
        await asyncio.sleep(0.2)
        assert not sending.done()
        queued = sum(len(piece) for piece in connection._queue)
        assert QUEUE_BYTES <= queued <= QUEUE_BYTES + 2 * READ_BYTES
        received = 0
        while received < 16 << 20:
            received += len(await connection.read())
        await sending


@on_each_loop
async def test_close_in_a_body_wakes_the_reader() -> None:
    async with encrypted() as (connection, server):
        await request(connection, server, UNTIL_CLOSE)
        reading = asyncio.create_task(connection.read())
        await asyncio.sleep(0)
        connection.close()
        with pytest.raises(HttpError):
            await reading
        await server.peer.disconnected()


# --- handshakes that fail


@pytest.mark.parametrize("data", [b"hunter2\r\n\r\n", b"\x16\x03\x03\xff\xff hunter2", b"\x15\x03\x01\x00\x02\x02\x28"])
@on_each_loop
async def test_garbage_instead_of_a_handshake_is_an_error(data: bytes) -> None:
    async with connected() as (connection, peer):
        starting = asyncio.create_task(encrypt(connection))
        await peer.receive()
        await peer.send(data)
        with pytest.raises(ssl.SSLError):
            await starting
        await peer.disconnected()


@on_each_loop
async def test_a_server_that_closes_in_the_handshake_is_an_error() -> None:
    async with connected() as (connection, peer):
        starting = asyncio.create_task(encrypt(connection))
        await peer.receive()
        peer.close()
        with pytest.raises(ConnectionAbortedError, match="closed the connection during the TLS handshake"):
            await starting


@on_each_loop
async def test_cancel_in_the_handshake_closes_the_connection() -> None:
    async with connected() as (connection, peer):
        starting = asyncio.create_task(encrypt(connection))
        await peer.receive()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await peer.disconnected()


@on_each_loop
async def test_close_in_the_handshake_is_an_error() -> None:
    async with connected() as (connection, peer):
        starting = asyncio.create_task(encrypt(connection))
        await peer.receive()
        connection.close()
        with pytest.raises(ConnectionAbortedError):
            await starting
        await peer.disconnected()


@on_each_loop
async def test_a_closed_connection_cannot_start_tls() -> None:
    async with connected() as (connection, _):
        connection.close()
        await asyncio.sleep(0)
        with pytest.raises(ConnectionAbortedError, match="before the TLS handshake"):
            await encrypt(connection)
