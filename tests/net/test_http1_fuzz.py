"""Random responses in random pieces, read by us and by a simple parser.

llhttp does the framing, so what is tested is how it is used: pieces, joins, pauses, limits, and the checks of the
head. The parser here needs the whole response and is written with regular expressions.

`KINFORM_FUZZ=full` reads 100 MB of responses. `KINFORM_SEED` repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import pytest

from kinform._transport import read_flow
from kinform._transport.http1 import QUEUE_BYTES, Http1Connection, HttpError
from kinform._transport.read_buffer import READ_BYTES

FULL = os.environ.get("KINFORM_FUZZ") == "full"
SEED = int(os.environ.get("KINFORM_SEED", "20261127"))
VALID_BYTES = 10**8 if FULL else 10**7  # of valid responses
MUTATED_BYTES = 10**7 if FULL else 3 * 10**5  # of mutated ones, each read several times

pytestmark = pytest.mark.timeout(3600 if FULL else 120)


class Outcome(NamedTuple):
    """The result of a response that the server closes the connection after.

    Attributes:
        status: The status, or None if there was no head.
        body: The body, or the part before the error.
        complete: Whether it ended as it should.
    """

    status: int | None
    body: bytes
    complete: bool


# --- the simple parser

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
STRICT = {
    "status": rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [\t -~\x80-\xff]*)?\r\n",
    "fields": rb"((?:%b:[\t -~\x80-\xff]*\r\n)*)\r\n" % TOKEN,
    "size": rb'([0-9A-Fa-f]+)(?:;%b(?:=(?:%b|"[a-z ;]*"))?)*\r\n' % (TOKEN, TOKEN),
    "blank": rb"",
}
LENIENT = {
    "status": rb"[A-Z]+/1\.([01]) ([1-9]\d\d)(?:[^\r\n]*)\r\n",
    "fields": rb"((?:%b:[^\r\n]*\r\n)*)\r\n" % TOKEN,
    "size": rb"([0-9A-Fa-f]+)(?:;[^\r\n]*)?\r\n",
    "blank": rb"[\r\n]*",
}
Rules = dict[str, bytes]


def parse(data: bytes, rules: Rules) -> Outcome:
    """Parses a whole response, after which the connection was closed."""
    at = 0
    for _ in range(17):
        head = re.compile(rules["blank"] + rules["status"] + rules["fields"]).match(data, at)
        if head is None:
            return Outcome(None, b"", False)
        at, status = head.end(), int(head[2])
        fields = [line.split(b":", 1) for line in head[3].split(b"\r\n")[:-1]]
        lengths = [value.strip(b" \t") for name, value in fields if name.lower() == b"content-length"]
        codings = [
            value.lstrip(b" \t").rstrip(b" ").lower() for name, value in fields if name.lower() == b"transfer-encoding"
        ]
        if len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
            return Outcome(None, b"", False)
        if lengths and not (re.fullmatch(rb"[0-9]+", lengths[0]) and int(lengths[0]) < 2**64):
            return Outcome(None, b"", False)
        if status >= 200:
            break
        last = head[1] == b"0" or any(name.lower() in (b"connection", b"proxy-connection") for name, _ in fields)
        if status == 101 or lengths or codings or (last and rules is STRICT):
            return Outcome(None, b"", False)
    else:
        return Outcome(None, b"", False)
    if status in (204, 304):
        return Outcome(status, b"", True)
    if codings:
        return Outcome(status, *_chunks(data, at, rules))
    if lengths:
        body = data[at : at + int(lengths[0])]
        return Outcome(status, body, len(body) == int(lengths[0]))
    return Outcome(status, data[at:], True)


def _chunks(data: bytes, at: int, rules: Rules) -> tuple[bytes, bool]:
    size_line, trailers, body = re.compile(rules["size"]), re.compile(rules["fields"]), b""
    while True:
        line = size_line.match(data, at)
        if line is None or (size := int(line[1], 16)) >= 2**64:
            return body, False
        at = line.end()
        if not size:
            end = trailers.match(data, at)
            framing = end is not None and re.search(rb"(?im)^(content-length|transfer-encoding):", end[0])
            return body, end is not None and not (framing and rules is STRICT)
        body += data[at : at + size]
        at += size
        if data[at : at + 2] != b"\r\n":
            return body, False
        at += 2


# --- random responses


def some_response(random: random.Random, longest: int) -> bytes:
    """Returns a valid response."""
    response = b""
    for _ in range(random.choice((0, 0, 0, 1, 3))):
        response += b"HTTP/1.1 %d X\r\n%b\r\n" % (random.choice((100, 102, 103)), _fields(random))
    status = random.choice((200, 200, 200, 200, 201, 204, 304, 404, 410, 500))
    response += b"HTTP/1.%d %d%b\r\n" % (
        random.choice((1, 1, 1, 0)),
        status,
        random.choice((b"", b" ", b" OK", b" \xe9 x")),
    )
    response += _fields(random) + random.choice((b"", b"", b"Connection: close\r\n", b"Connection: keep-alive\r\n"))
    body = random.randbytes(random.choice((0, 1, 2, 10, random.randrange(100), random.randrange(longest))))
    if status in (204, 304):
        return response + b"\r\n"
    framing = random.choice(("chunked", "chunked", "chunked", "sized", "until close"))
    if framing == "until close":
        return response + b"\r\n" + body
    if framing == "sized":
        return response + b"Content-Length: %d\r\n\r\n" % len(body) + body
    name, value = (
        random.choice((b"Transfer-Encoding", b"transfer-encoding")),
        random.choice((b"chunked", b"  CHUNKED ")),
    )
    parts = [response, name, b":", value, b"\r\n\r\n"]
    largest = random.choice((1, 10, 8000, 300_000)) if len(body) < 5000 else random.choice((1000, 8000, 300_000))
    at = 0
    while at < len(body):
        chunk = body[at : at + random.randint(1, largest)]
        at += len(chunk)
        parts += [_size(random, len(chunk)), chunk, b"\r\n"]
    parts += [_size(random, 0), random.choice((b"", _fields(random))), b"\r\n"]
    return b"".join(parts)


def _fields(random: random.Random) -> bytes:
    return b"".join(
        b"X-%d:%b\r\n" % (number, random.choice((b"", b" ", b" y", b"\ty \xe9", b" chunked", b" " + b"z" * 500)))
        for number in range(random.choice((0, 0, 1, 5)))
    )


def _size(random: random.Random, size: int) -> bytes:
    extensions = random.choice((b"", b"", b"", b";a", b";a=b;c", b';a="b c;d"', b";a=" + b"z" * 1000))
    return random.choice((b"%x", b"%X", b"00%x")) % size + extensions + b"\r\n"


def mutated(random: random.Random, response: bytes) -> bytes:
    """Returns the response with one to three errors in it, or what may be one."""
    data = bytearray(response)
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(data) + 1)
        byte = random.choice(b'\r\n\r\n :;,="0123456789abcdefgAFX\0\t\v\x7f\x80\xa0\xff-+')
        match random.randrange(6):
            case 0:
                data[at : at + 1] = bytes([byte])
            case 1:
                data[at:at] = bytes([byte])
            case 2:
                del data[at : at + random.choice((1, 1, 2, 10))]
            case 3:
                data[at:at] = data[max(0, at - random.randrange(40)) : at]
            case 4:
                del data[at:]
            case 5:
                word = random.choice((b"\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"Content-Length: 3\r\n"))
                data[at:at] = word
    return bytes(data)


def some_pieces(random: random.Random, data: bytes) -> Iterator[bytes]:
    """Cuts data into the pieces that arrive."""
    largest = random.choice((1, 2, 7, 100, 70_000, 1 << 20))
    largest = max(largest, len(data) // 200)
    at = 0
    while at < len(data):
        piece = data[at : at + random.randint(1, largest)]
        at += len(piece)
        yield piece


# --- reading


class FakeTransport:
    """A transport whose pieces the test delivers."""

    def __init__(self) -> None:
        self.reading, self.aborted = True, False

    def write(self, data: bytes) -> None: ...

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture(autouse=True)
def _without_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small reads follow each other without a wait, which would take most of the time."""
    monkeypatch.setattr(read_flow, "COLLECT_SECONDS", -1.0)


async def read(random: random.Random, data: bytes) -> Outcome:
    """Reads a response by an Http1Connection, in random pieces with random pauses."""
    connection, transport = Http1Connection(), FakeTransport()
    connection.connection_made(cast(Any, transport))
    reader = asyncio.create_task(_read(random, connection, limit=random.choice((len(data) // 30 + 1, 4096, 1 << 18))))
    await asyncio.sleep(0)
    for piece in some_pieces(random, data):
        at = 0
        while at < len(piece) and not transport.aborted:
            if transport.reading:
                buffer = connection.get_buffer(-1)
                assert len(buffer)
                part = piece[at : at + len(buffer)]
                buffer[: len(part)] = part
                connection.buffer_updated(len(part))
                at += len(part)
            if not transport.reading or random.random() < 0.2:
                await asyncio.sleep(0)
    while not transport.reading and not transport.aborted:
        await asyncio.sleep(0)
    if not transport.aborted:
        connection.eof_received()
    connection.connection_lost(None)
    outcome = await reader
    assert connection.closed
    return outcome


async def _read(random: random.Random, connection: Http1Connection, *, limit: int) -> Outcome:
    parts: list[bytes] = []
    slow = random.choice((0.0, 0.0, 0.5, 0.9))
    try:
        status = (await connection.request(b"GET")).status
    except HttpError:
        return Outcome(None, b"", False)
    try:
        while part := await connection.read(limit):
            parts.append(part)
            assert len(part) <= limit
            assert connection._queued == sum(map(len, connection._queue)) <= QUEUE_BYTES + READ_BYTES
            while random.random() < slow:
                await asyncio.sleep(0)
    except HttpError:
        return Outcome(status, b"".join(parts), False)
    return Outcome(status, b"".join(parts), True)


# --- tests


async def test_any_pieces_of_a_valid_response_give_its_body() -> None:
    numbers, left = random.Random(SEED), VALID_BYTES
    while left > 0:
        response = some_response(numbers, numbers.choice((1000, 1000, 50_000, 1 << 20)))
        left -= len(response)
        expected = parse(response, STRICT)
        assert expected.complete
        read_ = await read(numbers, response)
        assert read_ == expected, _shown(response)


async def test_mutated_responses_give_what_a_simple_parser_does() -> None:
    numbers, left = random.Random(SEED), MUTATED_BYTES
    while left > 0:
        response = mutated(numbers, some_response(numbers, 200))
        left -= len(response)
        outcomes = {await read(numbers, response) for _ in range(4)}
        assert len(outcomes) == 1, f"depends on the pieces: {outcomes} {_shown(response)}"
        (outcome,) = outcomes
        if (strict := parse(response, STRICT)).complete:
            assert outcome == strict, _shown(response)
        if outcome.complete:
            assert outcome == parse(response, LENIENT), _shown(response)


def _shown(response: bytes) -> str:
    return f"seed {SEED}: {response[:2000]!r}"
