"""Http1Connection against a raw server.

Covers framing, limits, broken connections, cancellation and slow readers.
"""

from __future__ import annotations

import asyncio
import gc
import ssl
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from kinform._transport.base import CHUNK_BYTES
from kinform._transport.http1 import HEAD_BYTES, MAX_INTERIM, QUEUE_BYTES, Http1Connection, HttpError
from kinform._transport.read_buffer import READ_BYTES
from tests.net.http1_peer import GET, Peer, body_of, connected, exchange, start
from tests.support.loops import on_each_loop
from tests.support.scripted_server import Handler, ReceivedRequest, scripted_server
from tests.support.tls import CERTIFICATES, server_context

SECRET = b"hunter2"  # in each malformed response; must not be in an error
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
ONE = b"1\r\na\r\n" + END
SIZED = b"Content-Length: 1\r\n\r\na"


# --- responses


COMPLETE = {
    # name: (response, body, reusable)
    "content length": (OK + b"Content-Length: 3\r\n\r\nabc", b"abc", True),
    "content length 0": (OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "no reason phrase": (b"HTTP/1.1 200\r\n" + SIZED, b"a", True),
    "empty reason phrase": (b"HTTP/1.1 200 \r\n" + SIZED, b"a", True),
    "reason phrase that is not ASCII": (b"HTTP/1.1 200 \xe9\r\n" + SIZED, b"a", True),
    "blank line before the status line": (b"\r\n" + OK + SIZED, b"a", True),
    "chunks": (CHUNKED + b"3\r\nabc\r\nA\r\n0123456789\r\n" + END, b"abc0123456789", True),
    "no chunks": (CHUNKED + END, b"", True),
    "chunk sizes with zeros": (CHUNKED + b"0003\r\nabc\r\n0000\r\n\r\n", b"abc", True),
    "chunk extensions": (CHUNKED + b'1;a=b;c="d;e"\r\na\r\n0;x\r\n\r\n', b"a", True),
    "trailers": (CHUNKED + b"1\r\na\r\n0\r\nX: y\r\nZ: q\r\n\r\n", b"a", True),
    "chunked in another case": (OK + b"TRANSFER-ENCODING:  Chunked \r\n\r\n" + ONE, b"a", True),
    "connection close": (OK + b"Connection: close\r\n" + SIZED, b"a", False),
    "connection close among others": (OK + b"Connection: x, Close\r\n" + SIZED, b"a", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n" + SIZED, b"a", False),
    "HTTP/1.0 keep-alive": (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" + SIZED, b"a", True),
    "HTTP/1.0 chunked": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + ONE,
        b"a",
        False,
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "204 with a content length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", b"", True),
    "304 with a content length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", b"", True),
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + SIZED, b"a", True),
    "103 with headers": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + CHUNKED + ONE, b"a", True),
    "interim response that offers an upgrade": (
        b"HTTP/1.1 103 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + OK + SIZED,
        b"a",
        True,
    ),
    "many interim responses": (b"HTTP/1.1 102 Processing\r\n\r\n" * MAX_INTERIM + OK + SIZED, b"a", True),
    "unknown interim response": (b"HTTP/1.1 199 ?\r\n\r\n" + OK + SIZED, b"a", True),
    "offer of an upgrade": (OK + b"Upgrade: h2,h2c\r\nConnection: Upgrade, Keep-Alive\r\n" + SIZED, b"a", True),
    "offer of an upgrade, chunked": (
        OK + b"Upgrade: h2c\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n" + ONE,
        b"a",
        True,
    ),
    "offer of an upgrade, 204": (b"HTTP/1.1 204 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", b"", True),
    "bytes after the end": (OK + SIZED + b"b", b"a", False),
    "bytes after the end of chunks": (CHUNKED + ONE + b"HTTP", b"a", False),
    "a second response": (CHUNKED + ONE + OK + SIZED, b"a", False),
    "a second empty chunk": (CHUNKED + ONE + END, b"a", False),
    "bytes after connection close": (OK + b"Connection: close\r\n" + SIZED + b"b", b"a", False),
    "a body after 204": (b"HTTP/1.1 204 No Content\r\n\r\na", b"", False),
    "a body after 304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1\r\n\r\na", b"", False),
}


@on_each_loop
@pytest.mark.parametrize(("response", "body", "reusable"), COMPLETE.values(), ids=COMPLETE)
async def test_a_complete_response_is_read(response: bytes, body: bytes, reusable: bool) -> None:
    async with connected() as (connection, peer):
        head = await exchange(connection, peer, response)
        assert 200 <= head.status < 400
        assert await body_of(connection) == body
        assert await connection.read() == b""
        assert connection.reusable is reusable


@on_each_loop
@pytest.mark.parametrize("name", COMPLETE)
async def test_a_response_may_arrive_byte_by_byte(name: str) -> None:
    response, body, reusable = COMPLETE[name]
    async with connected() as (connection, peer):
        whole = await start(connection, peer)
        with suppress(ConnectionError):  # a byte after the end closes the connection
            for at in range(len(response)):
                await peer.send(response[at : at + 1])
                await asyncio.sleep(0)
        assert (await whole)[1] == body
        if "after" in name or name.startswith("a second"):
            await peer.disconnected()
        assert connection.reusable is reusable


@on_each_loop
async def test_a_connection_serves_requests_in_turn() -> None:
    async with connected() as (connection, peer):
        for number in range(3):
            request = b"GET /%d HTTP/1.1\r\n\r\n" % number
            response = asyncio.create_task(connection.request(request))
            assert await peer.receive() == request
            await peer.send(CHUNKED + b"1\r\n%d\r\n" % number + END)
            assert (await response).status == 200
            assert await body_of(connection) == b"%d" % number


@on_each_loop
async def test_headers_ignore_case_and_join_repeated_ones() -> None:
    async with connected() as (connection, peer):
        response = OK + b"X-Two: a\r\nx-two:\t b \r\nEmpty:\r\n" + SIZED
        headers = (await exchange(connection, peer, response)).headers
        assert headers["X-TWO"] == headers.get("x-two") == "a, b"
        assert (headers["empty"], headers.get("absent"), "X-two" in headers) == ("", None, True)
        assert sorted(headers) == ["content-length", "empty", "x-two"]
        assert len(headers) == 3


@on_each_loop
async def test_headers_of_interim_responses_are_dropped() -> None:
    async with connected() as (connection, peer):
        head = await exchange(connection, peer, b"HTTP/1.1 103 X\r\nLink: x\r\n\r\n" + OK + SIZED)
        assert list(head.headers) == ["content-length"]


@on_each_loop
async def test_trailers_do_not_become_headers() -> None:
    async with connected() as (connection, peer):
        head = await exchange(connection, peer, CHUNKED + b"1\r\na\r\n0\r\nX: y\r\n\r\n")
        assert await body_of(connection) == b"a"
        assert list(head.headers) == ["transfer-encoding"]


@on_each_loop
@pytest.mark.parametrize("framing", [b"Content-Length: 3\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"\r\n"])
async def test_the_response_to_head_has_no_body(framing: bytes) -> None:
    async with connected() as (connection, peer):
        assert (await exchange(connection, peer, OK + framing, bodiless=True)).status == 200
        assert await connection.read() == b""
        assert connection.reusable


@on_each_loop
@pytest.mark.parametrize("framing", [b"Content-Length: 3\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"\r\n"])
async def test_a_body_after_head_closes_the_connection(framing: bytes) -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, OK + framing + b"abc", bodiless=True)
        assert await connection.read() == b""
        await peer.disconnected()
        assert connection.closed


@on_each_loop
@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n\r\n", OK + b"\r\n", OK + b"Connection: close\r\n\r\n"])
async def test_a_body_may_last_until_the_server_closes(head: bytes) -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, head + b"abc")
        assert await connection.read() == b"abc"
        await peer.send(b"\r\n0\r\n\r\n")
        peer.close()
        assert await body_of(connection) == b"\r\n0\r\n\r\n"
        assert await connection.read() == b""
        assert connection.closed
        assert not connection.reusable


# --- malformed responses


BAD_HEADS = {
    "another protocol": (b"SSH-2.0-hunter2\r\n", "malformed"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x46hunter2", "malformed"),
    "HTML": (b"<html>hunter2", "malformed"),
    "a request": (b"GET /hunter2 HTTP/1.1\r\n\r\n", "malformed"),
    "HTTP/0.9": (b"HTTP/0.9 200 hunter2\r\n" + SIZED, "unknown version"),
    "HTTP/1.2": (b"HTTP/1.2 200 hunter2\r\n" + SIZED, "malformed"),
    "HTTP/2.0": (b"HTTP/2.0 200 hunter2\r\n" + SIZED, "unknown version"),
    "no version": (b"HTTP 200 hunter2\r\n" + SIZED, "malformed"),
    "no status": (b"HTTP/1.1\r\nX: hunter2\r\n" + SIZED, "malformed"),
    "two digits": (b"HTTP/1.1 20 hunter2\r\n" + SIZED, "malformed"),
    "four digits": (b"HTTP/1.1 2000 hunter2\r\n" + SIZED, "malformed"),
    "negative status": (b"HTTP/1.1 -20 hunter2\r\n" + SIZED, "malformed"),
    "status 000": (b"HTTP/1.1 000 hunter2\r\n" + SIZED, "unknown version or status"),
    "status 099": (b"HTTP/1.1 099 hunter2\r\n" + SIZED, "unknown version or status"),
    "two spaces": (b"HTTP/1.1  200 hunter2\r\n" + SIZED, "malformed"),
    "bare CR": (b"HTTP/1.1 200 hunter2\rX: y\r\n" + SIZED, "malformed"),
    "bare LF": (b"HTTP/1.1 200 OK\nX: hunter2\nContent-Length: 1\n\na", "malformed"),
    "bare LF after a header": (OK + b"X: hunter2\nContent-Length: 1\r\n\r\na", "malformed"),
    "bare LF after the headers": (OK + b"X: hunter2\r\nContent-Length: 1\r\n\na", "malformed"),
    "space before the colon": (OK + b"X : hunter2\r\n" + SIZED, "malformed"),
    "no header name": (OK + b": hunter2\r\n" + SIZED, "malformed"),
    "no colon": (OK + b"hunter2\r\n" + SIZED, "malformed"),
    "NUL in a header": (OK + b"X: \0hunter2\r\n" + SIZED, "malformed"),
    "header name that is not ASCII": (OK + b"X\xe9: hunter2\r\n" + SIZED, "malformed"),
    "folded header": (OK + b"X: a\r\n hunter2\r\n" + SIZED, "malformed"),
    "folded content length": (OK + b"X: hunter2\r\nContent-Length: 1\r\n 0\r\n\r\na", "malformed"),
    "negative content length": (OK + b"X: hunter2\r\nContent-Length: -1\r\n\r\na", "Content-Length"),
    "signed content length": (OK + b"X: hunter2\r\nContent-Length: +1\r\n\r\na", "Content-Length"),
    "hexadecimal content length": (OK + b"X: hunter2\r\nContent-Length: 0x1\r\n\r\na", "Content-Length"),
    "empty content length": (OK + b"X: hunter2\r\nContent-Length: \r\n\r\na", "Content-Length"),
    "content length beyond 64 bits": (OK + b"X: hunter2\r\nContent-Length: 99999999999999999999\r\n\r\n", "overflow"),
    "list of content lengths": (OK + b"X: hunter2\r\nContent-Length: 1, 1\r\n\r\na", "Content-Length"),
    "same content length twice": (OK + b"X: hunter2\r\nContent-Length: 1\r\n" + SIZED, "Content-Length"),
    "conflicting content lengths": (OK + b"X: hunter2\r\nContent-Length: 2\r\n" + SIZED, "Content-Length"),
    "chunked, then content length": (OK + b"Transfer-Encoding: chunked\r\n" + SIZED, "Content-Length"),
    "content length, then chunked": (
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" + ONE,
        "Content-Length",
    ),
    "gzip as transfer coding": (OK + b"Transfer-Encoding: gzip\r\n\r\nhunter2", "unknown transfer coding"),
    "gzip, chunked": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + ONE, "unknown transfer coding"),
    "chunked, identity": (OK + b"Transfer-Encoding: chunked, identity\r\n\r\n" + ONE, "unknown transfer coding"),
    "identity": (OK + b"Transfer-Encoding: identity\r\n\r\n" + ONE, "unknown transfer coding"),
    "chunked twice": (OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + ONE, "unknown transfer coding"),
    "chunked with a tab": (OK + b"Transfer-Encoding: chunked\t\r\n\r\n" + ONE, "unknown transfer coding"),
    "chunked with a Latin-1 space": (OK + b"Transfer-Encoding: \xa0chunked\r\n\r\n" + ONE, "unknown transfer coding"),
    "quoted chunked": (OK + b'Transfer-Encoding: "chunked"\r\n\r\n' + ONE, "unknown transfer coding"),
    "empty transfer coding": (OK + b"Transfer-Encoding:\r\n\r\n" + ONE, "(?i)transfer.coding|transfer-encoding"),
    "101": (b"HTTP/1.1 101 X\r\nUpgrade: hunter2\r\nConnection: Upgrade\r\n\r\nhunter2", "interim"),
    "101 without an upgrade": (b"HTTP/1.1 101 X\r\n\r\nhunter2", "interim"),
    "interim response with a body": (b"HTTP/1.1 150 X\r\nContent-Length: 7\r\n\r\nhunter2", "interim"),
    "interim response with chunks": (b"HTTP/1.1 150 X\r\nTransfer-Encoding: chunked\r\n\r\n" + ONE, "interim"),
    "too many interim responses": (b"HTTP/1.1 100 X\r\n\r\n" * (MAX_INTERIM + 1), "interim"),
    "interim response that closes": (b"HTTP/1.0 100 X\r\n\r\n" + OK + SIZED, "malformed"),
}


@on_each_loop
@pytest.mark.parametrize(("response", "message"), BAD_HEADS.values(), ids=BAD_HEADS)
async def test_a_malformed_head_is_refused(response: bytes, message: str) -> None:
    async with connected() as (connection, peer):
        with pytest.raises(HttpError, match=message) as refused:
            await exchange(connection, peer, response)
        assert SECRET.decode() not in repr(refused.value)
        assert connection.answered
        await _is_closed(connection, peer)


async def _is_closed(connection: Http1Connection, peer: Peer) -> None:
    await peer.disconnected()
    assert connection.closed
    assert not connection.reusable
    with pytest.raises(HttpError):
        await connection.request(GET)


BAD_BODIES = {
    # name: (body, what can be read of it, message)
    "negative size": (b"-1\r\nhunter2\r\n", b"", "chunk size"),
    "signed size": (b"+1\r\nhunter2\r\n", b"", "chunk size"),
    "prefixed size": (b"0x7\r\nhunter2\r\n", b"", "chunk size"),
    "no size": (b"\r\nhunter2\r\n", b"", "chunk size"),
    "no hexadecimal digit": (b"g\r\nhunter2\r\n", b"", "chunk size"),
    "space before the size": (b" 7\r\nhunter2\r\n", b"", "chunk size"),
    "space after the size": (b"7 \r\nhunter2\r\n", b"", "chunk size"),
    "size beyond 64 bits": (b"1" + b"0" * 16 + b"\r\nhunter2\r\n", b"", "overflow"),
    "chunk that is longer": (b"1\r\nabhunter2\r\n", b"a", "chunk data"),
    "chunk that is shorter": (b"3\r\na\r\n0\r\n\r\nhunter2", b"a\r\n", "chunk data"),
    "no CRLF after a chunk": (b"1\r\na0\r\nhunter2\r\n", b"a", "chunk data"),
    "bare LF after a size": (b"1\na\r\nhunter2", b"", "chunk size"),
    "bare LF after a chunk": (b"1\r\na\n0\r\n\r\nhunter2", b"a", "chunk data"),
    "bare LF in an extension": (b"1;x\nhunter2\r\n", b"", "extension"),
    "NUL in an extension": (b"1;\0hunter2\r\n", b"", "extension"),
    "empty extension": (b"1;\r\nhunter2\r\n", b"", "extension"),
    "open quote in an extension": (b'1;a="hunter2\r\n', b"", "extension"),
    "trailer without a colon": (b"1\r\na\r\n0\r\nhunter2\r\n\r\n", b"a", "malformed"),
    "bare LF at the end": (b"1\r\na\r\n0\r\n\n", b"a", "malformed"),
    "content length in the trailers": (b"1\r\na\r\n0\r\nContent-Length: 7\r\n\r\nhunter2", b"a", "Content-Length"),
}


@on_each_loop
@pytest.mark.parametrize(("body", "readable", "message"), BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_malformed_body_is_read_up_to_its_error(body: bytes, readable: bytes, message: str) -> None:
    async with connected() as (connection, peer):
        await exchange(connection, peer, CHUNKED + body)
        if readable:
            assert await connection.read() == readable
        with pytest.raises(HttpError, match=message) as refused:
            await connection.read()
        assert SECRET.decode() not in repr(refused.value)
        await _is_closed(connection, peer)


# --- limits


ENDLESS = {
    # name: (begin, repeated, message)
    "blank lines": (b"", b"\r\n" * 4096, "head of more"),
    "reason phrase": (b"HTTP/1.1 200 ", b"x" * 8192, "head of more"),
    "header name": (OK, b"x" * 8192, "head of more"),
    "header value": (OK + b"X: ", b"x" * 8192, "head of more"),
    "space before a header value": (OK + b"X:", b" " * 8192, "head of more"),
    "headers": (OK, b"X: y\r\n" * 2048, "head of more"),
    "zeros in a content length": (OK + b"Content-Length: ", b"0" * 8192, "head of more"),
    "interim responses": (b"", b"HTTP/1.1 102 X\r\n\r\n" * 512, "interim responses"),
    "long interim responses": (b"", b"HTTP/1.1 102 X\r\nX: %b\r\n\r\n" % (b"y" * 32768), "head of more"),
    "zeros in a chunk size": (CHUNKED, b"0" * 8192, "4096 bytes of framing"),
    "extension": (CHUNKED + b"1;", b"x" * 8192, "4096 bytes of framing"),
    "extensions": (CHUNKED + b"1", b";a=b" * 2048, "4096 bytes of framing"),
    "extension after a chunk": (CHUNKED + b'1\r\na\r\n1;a="', b"x" * 8192, "4096 bytes of framing"),
    "extension of the last chunk": (CHUNKED + b"1\r\na\r\n0;x=", b"x" * 8192, "4096 bytes of framing"),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 2048, "65536 bytes of framing"),
    "trailer value": (CHUNKED + b"1\r\na\r\n0\r\nX: ", b"y" * 8192, "65536 bytes of framing"),
    "trailer name": (CHUNKED + b"0\r\n", b"y" * 8192, "65536 bytes of framing"),
}


@on_each_loop
@pytest.mark.parametrize(("begin", "repeated", "message"), ENDLESS.values(), ids=ENDLESS)
async def test_an_endless_part_is_refused(begin: bytes, repeated: bytes, message: str) -> None:
    async with connected() as (connection, peer):
        tracemalloc.start()
        try:
            response = await start(connection, peer)
            await peer.send(begin)
            await peer.send_until_disconnected(repeated)
            with pytest.raises(HttpError, match=message):
                await response
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()


@on_each_loop
async def test_a_head_may_have_exactly_64_kib() -> None:
    for more in (0, 1):
        async with connected() as (connection, peer):
            rest = OK + b"X: \r\n" + b"Content-Length: 0\r\n\r\n"
            response = rest.replace(b"X: ", b"X: " + b"y" * (HEAD_BYTES + more - len(rest)))
            if more:
                with pytest.raises(HttpError, match="head of more"):
                    await exchange(connection, peer, response)
            else:
                assert (await exchange(connection, peer, response)).status == 200
                assert connection.reusable


@on_each_loop
async def test_long_trailers_within_the_limit_are_read() -> None:
    async with connected() as (connection, peer):
        body = await start(connection, peer)
        await peer.send(CHUNKED + b"1\r\na\r\n0\r\n")
        for _ in range(5):
            await peer.send(b"X: %b\r\n" % (b"y" * 8192))
        await peer.send(b"\r\n")
        assert await body == (200, b"a")


@on_each_loop
async def test_many_long_extensions_are_read() -> None:
    async with connected() as (connection, peer):
        body = await start(connection, peer)
        await peer.send(CHUNKED)
        for _ in range(100):
            await peer.send(b"1;%b\r\na\r\n" % (b"x" * 3000))
        await peer.send(END)
        assert await body == (200, b"a" * 100)


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
        await _is_closed(connection, peer)


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
            await _is_closed(connection, peer)


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


# --- TLS


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")


@asynccontextmanager
async def connected_over_tls(handler: Handler) -> AsyncIterator[Http1Connection]:
    """Connects to a scripted server over TLS."""
    async with scripted_server(handler, tls=server_context()) as server:
        host, port = server.url.removeprefix("https://").split(":")
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Http1Connection, host, int(port), ssl=trusting())
        try:
            yield connection
        finally:
            connection.close()
            await asyncio.sleep(0)


@on_each_loop
async def test_responses_over_tls_are_read() -> None:
    async def handle(request: ReceivedRequest) -> None:
        await request.start_chunked()
        for _ in range(64):
            await request.send_chunk(b"x" * 65536)
        await request.send(END)

    async with connected_over_tls(handle) as connection:
        for _ in range(2):
            assert (await connection.request(GET)).status == 200
            await asyncio.sleep(0.05)
            assert connection._queued <= QUEUE_BYTES + READ_BYTES
            assert len(await body_of(connection)) == 64 * 65536
            assert connection.reusable


@on_each_loop
@pytest.mark.parametrize("name", ENDLESS)
async def test_an_endless_part_over_tls_is_refused(name: str) -> None:
    begin, repeated, message = ENDLESS[name]

    async def handle(request: ReceivedRequest) -> None:
        await request.send(begin)
        while True:
            await request.send(repeated)

    async with connected_over_tls(handle) as connection:
        with pytest.raises(HttpError, match=message):
            await _status_and_body(connection)
        assert connection.closed


async def _status_and_body(connection: Http1Connection) -> tuple[int, bytes]:
    head = await connection.request(GET)
    return head.status, await body_of(connection)


@on_each_loop
@pytest.mark.parametrize("response", [b"", OK, CHUNKED + b"3\r\na", OK + b"Content-Length: 3\r\n\r\na"])
async def test_a_response_over_tls_that_breaks_off_is_an_error(response: bytes) -> None:
    async def handle(request: ReceivedRequest) -> None:
        await request.send(response)
        request.close()

    async with connected_over_tls(handle) as connection:
        with pytest.raises(HttpError, match="before the end of the"):
            await _status_and_body(connection)


@on_each_loop
@pytest.mark.parametrize("established", [b"HTTP/1.0 200 Connection established\r\n\r\n", OK + b"\r\n"])
async def test_a_tunnel_goes_on_as_a_new_connection(established: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(established)
        await writer.start_tls(server_context())
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(CHUNKED + ONE)
        await reader.read()
        writer.close()

    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        _, connection = await loop.create_connection(Http1Connection, *server.sockets[0].getsockname())
        assert connection.transport is not None
        connect = b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n"
        assert (await connection.request(connect, bodiless=True)).status == 200
        transport = await loop.start_tls(connection.transport, connection, trusting(), server_hostname="127.0.0.1")
        assert transport is not None
        connection.upgrade(transport)
        for _ in range(2):
            assert connection.reusable
            assert await _status_and_body(connection) == (200, b"a")
        connection.close()
        await asyncio.sleep(0.01)
