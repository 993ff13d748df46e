"""HTTP/1.1 on one connection: sends a request, streams the response.

`_IncomingResponse` is the framing: bytes in, head and body out, by llhttp. `Http1Connection` moves the bytes. The
server is not trusted: each part of a response has a limit, and a violation closes the connection. Never opens a
connection, retries or measures time: the HTTP client does.

Source: RFC 9112; https://llhttp.org, through httptools.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser

from kinform._transport.base import CHUNK_BYTES
from kinform._transport.read_buffer import ReadBuffer, read_buffer
from kinform._transport.read_flow import ReadFlow

HEAD_BYTES = 64 << 10  # with the interim responses before it
LINE_BYTES = 4 << 10  # between two chunks, in reads that bring no byte of the body
TRAILER_BYTES = 64 << 10
MAX_INTERIM = 16
QUEUE_BYTES = 256 << 10
_PIECE_OVERHEAD_BYTES = 64  # of a bytes object in the queue, about


class HttpError(OSError):
    """The server broke HTTP, or the connection broke.

    The message never quotes the response.
    """


class Headers(Mapping[str, str]):
    """Response headers by name; the lookup ignores case.

    The values of a repeated header are joined by `", "`.
    """

    __slots__ = ("_values",)

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._values = {name: ", ".join(value.strip(" \t") for value in values) for name, values in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Head(NamedTuple):
    """Status and headers of a response."""

    status: int
    headers: Headers


class _IncomingResponse:
    """The framing of one response.

    Attributes:
        head: Set when the final head has arrived.
        complete: The response has ended.
        until_close: The body ends when the server closes the connection.
        keep_alive: The server accepts a further request after this response.
        overrun: Bytes followed the end of the response.
        head_room: The number of bytes that the head may still have.
    """

    def __init__(self, *, bodiless: bool) -> None:
        self.head: Head | None = None
        self.complete = self.until_close = self.keep_alive = self.overrun = False
        self.head_room = HEAD_BYTES
        self._bodiless = bodiless
        self._fields: dict[str, list[str]] = {}
        self._interim = 0
        self._framing = 0  # bytes since the last byte of the body, in whole reads
        self._framing_limit = LINE_BYTES
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # not a method: llhttp calls it for each chunk
        self._parser: HttpResponseParser | None = HttpResponseParser(self)

    def feed(self, data: memoryview) -> None:
        """Parses what was read.

        Raises:
            HttpError: The response is malformed or exceeds a limit. The body before that place can be taken.
        """
        in_head = self.head is None
        if self._bodiless:
            self._parse_bodiless(data)
        else:
            self._parse(data)
        if self.complete:
            self.discard_parser()
        elif self.head is None:
            self.head_room -= len(data)
            if self.head_room <= 0:
                raise HttpError(f"the response has a head of more than {HEAD_BYTES} bytes")
        elif self._pieces:
            self._framing = 0
        elif not in_head:
            self._framing += len(data)
            if self._framing > self._framing_limit:
                raise HttpError(f"the response has more than {self._framing_limit} bytes of framing in a row")

    def take_body(self) -> bytes:
        """Returns the bytes of the body since the last call."""
        body = b"".join(self._pieces)  # of one piece: the piece itself
        self._pieces.clear()
        return body

    def connection_closed(self) -> None:
        """Ends a body that lasts until the server closes the connection."""
        self.complete = self.complete or self.until_close

    def discard_parser(self) -> None:
        """Breaks the reference cycle with the parser; nothing is fed after it."""
        self._parser = None

    def _parse_bodiless(self, data: memoryview) -> None:
        # llhttp expects a body. If the head ends before the last byte, something follows it.
        self._parse(data[:-1])
        if self.complete:
            self.overrun = True
        else:
            self._parse(data[-1:])
        self._pieces.clear()

    def _parse(self, data: memoryview) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if self.complete:
                self.overrun = True
                return
            refusal = error.__context__ if isinstance(error, HttpParserCallbackError) else None
            if refusal is not None:
                raise refusal from None
            raise HttpError(f"the response is malformed: {error}") from None

    # Callbacks of llhttp.

    def on_message_begin(self) -> None:
        if self.complete:
            raise HttpError("bytes follow the end of the response")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:  # else a trailer
            self._fields.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status, version, fields = self._parser.get_status_code(), self._parser.get_http_version(), self._fields
        if version not in ("1.1", "1.0") or status < 100:
            raise HttpError("the response has an unknown version or status")
        coding = fields.get("transfer-encoding")
        if coding is not None and [value.strip(" ").lower() for value in coding] != ["chunked"]:  # as llhttp compares
            raise HttpError("the response has an unknown transfer coding")
        if status < 200:
            self._interim += 1
            if status == 101 or coding or "content-length" in fields:
                raise HttpError("the server sent an interim response that is not allowed")
            if self._interim > MAX_INTERIM:
                raise HttpError(f"the server sent more than {MAX_INTERIM} interim responses")
            self._fields = {}
            return
        self.head = Head(status, Headers(fields))
        self.complete = self._bodiless or status in (204, 304)
        self.until_close = not (self.complete or coding or "content-length" in fields)
        options = {option.strip().lower() for option in self.head.headers.get("connection", "").split(",")}
        if version == "1.0":  # where a transfer coding is an error in the framing
            self.keep_alive = "keep-alive" in options and not coding
        else:
            self.keep_alive = "close" not in options

    def on_chunk_header(self) -> None:
        self._framing_limit = TRAILER_BYTES  # if this was the last chunk, which is empty

    def on_chunk_complete(self) -> None:
        self._framing_limit = LINE_BYTES

    def on_message_complete(self) -> None:
        self.complete = self.head is not None


class Http1Connection(asyncio.BufferedProtocol):
    """A connection to a server, for one request at a time.

    Reads ahead at most 256 KiB and what one more read brings; then the socket is paused until the reader has caught
    up. If a call is cancelled, close the connection.

    Attributes:
        transport: The transport, or None before the connection is made.
        closed: No request can be sent any more.
        answered: At least one byte of the current response has arrived.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed = self.answered = False
        self._buffer: ReadBuffer = read_buffer()
        self._response: _IncomingResponse | None = None
        self._queue: deque[bytes | memoryview] = deque()
        self._queued = 0  # bytes in the queue
        self._flow: ReadFlow | None = None
        self._failure: str | None = None
        self._cause: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def reusable(self) -> bool:
        """True if a request can be sent: the last response was read to its end."""
        if self.closed or self.transport is None:
            return False
        response = self._response
        return response is None or (response.complete and response.keep_alive and not self._queue)

    async def request(self, data: bytes, *, bodiless: bool = False) -> Head:
        """Sends a request and returns when the head of the response has arrived.

        Args:
            data: Head and body of the request.
            bodiless: The response has no body, which is so for HEAD and CONNECT.

        Raises:
            HttpError: The connection broke, or the head is malformed or exceeds a limit.
        """
        if self.closed or self.transport is None:
            raise self._error()
        if not self.reusable:
            raise RuntimeError("the last response was not read to its end")
        self._response = response = _IncomingResponse(bodiless=bodiless)
        self.answered = False
        self.transport.write(data)
        while response.head is None:
            if self.closed:
                raise self._error()
            await self._progress()
        return response.head

    async def read(self, limit: int = CHUNK_BYTES) -> bytes:
        """Returns the next bytes of the body as soon as there are any; `b""` at its end.

        Returns at most `limit` bytes, and not more than one read from the socket brought.

        Raises:
            HttpError: The body broke off, or is malformed or exceeds a limit.
        """
        response = self._response
        assert response is not None
        while not self._queue:
            if response.complete and self._failure is None:
                return b""
            if self.closed:
                raise self._error()
            await self._progress()
        piece = self._queue.popleft()
        if len(piece) > limit:
            view = memoryview(piece)
            self._queue.appendleft(view[limit:])
            piece = view[:limit]
        self._queued -= len(piece)
        if self._flow is not None and not self._queue:
            self._flow.set_full(False)
        return bytes(piece)  # of bytes: the same object

    def close(self) -> None:
        """Closes the connection at once, also in the middle of a body.

        Idempotent. A waiting reader gets an HttpError.
        """
        if self._queue or not (self._response is None or self._response.complete):
            self._failure = self._failure or "the connection was closed"
        self._queue.clear()
        self._queued = 0
        self._abort()

    def upgrade(self, transport: asyncio.Transport) -> None:
        """Goes on over `transport`, which encrypts the connection, as a new one."""
        self.transport = transport
        self._flow = ReadFlow(transport)
        self._response = None

    # Callbacks of asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # that of uvloop is no subclass
        self._flow = ReadFlow(self.transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        response = self._response
        if response is not None and response.head is None:
            return self._buffer.view[: response.head_room]
        return self._buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        if self.closed:
            return
        self._buffer.note_read()
        response = self._response
        if response is None or response.complete:
            self._abort()  # bytes that no request asked for
            return
        self.answered = True
        try:
            response.feed(self._buffer.view[:nbytes])
        except HttpError as error:
            self._failure = str(error)
        if body := response.take_body():
            self._queue.append(body)
            self._queued += len(body)
        if self._failure is not None or response.overrun:
            self._abort()
            return
        if self._flow is not None and not response.complete:
            self._flow.note_read(nbytes)
            if self._queued + len(self._queue) * _PIECE_OVERHEAD_BYTES > QUEUE_BYTES:
                self._flow.set_full(True)
        self._wake()

    def eof_received(self) -> None:
        self._lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)

    def _lost(self, error: Exception | None) -> None:
        if self.closed:
            return
        self.closed = True
        response = self._response
        if response is not None:
            response.discard_parser()
            if error is None:
                response.connection_closed()
            if not response.complete:
                part = "head" if response.head is None else "body"
                self._failure = f"the server closed the connection before the end of the {part}"
                if reason := getattr(error, "strerror", None):
                    self._failure = f"the connection broke before the end of the {part}: {reason}"
                self._cause = error
        self._wake()

    def _abort(self) -> None:
        self.closed = True
        if self._response is not None:
            self._response.discard_parser()
        if self.transport is not None:
            self.transport.abort()
        self._wake()

    async def _progress(self) -> None:
        """Waits until something arrived or the connection is closed."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _error(self) -> HttpError:
        error = HttpError(self._failure or "the connection is closed")
        error.__cause__ = self._cause
        return error
