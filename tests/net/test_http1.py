"""Responses that Http1Connection accepts and refuses: framing, errors, limits."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import suppress

import pytest

from kinform._transport.http1 import HEAD_BYTES, MAX_INTERIM, HttpError
from tests.net.http1_peer import body_of, connected, exchange, is_closed, start
from tests.net.tls_peer import encrypted
from tests.support.loops import on_each_loop

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
        await is_closed(connection, peer)


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
        await is_closed(connection, peer)


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
@pytest.mark.parametrize(("begin", "repeated", "message"), ENDLESS.values(), ids=ENDLESS)
async def test_an_endless_part_over_tls_is_refused(begin: bytes, repeated: bytes, message: str) -> None:
    async with encrypted() as (connection, server):
        waiting = await server.start(connection)
        await server.send(begin)
        await server.send_until_disconnected(repeated)
        with pytest.raises(HttpError, match=message):
            await waiting
        assert connection.closed


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
