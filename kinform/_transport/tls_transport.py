"""TLS over a connection of asyncio, with little memory for each.

asyncio's own TLS keeps a read buffer of 256 KiB for each connection, and OpenSSL keeps an input buffer as large as the
largest read. Here all connections of a thread read into one buffer, and OpenSSL gets its contents in pieces. So the
reads are large, and a connection keeps little.

The TLS protocol itself is OpenSSL's. Uses nothing private of asyncio, and works on uvloop.

Bound: OpenSSL's input buffer has PIECE_BYTES, and one incomplete TLS record waits in it.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable
from typing import Any, cast

from kinform._transport.read_buffer import ciphertext_buffer
from kinform._transport.tls import describe_tls_error

READ_BYTES = 128 << 10  # the fastest of 64 to 256 KiB
PIECE_BYTES = 16 << 10  # twice as much decrypts 5 % faster, and takes 20 KiB more for each connection


async def start_tls(
    transport: asyncio.Transport, protocol: asyncio.BufferedProtocol, context: ssl.SSLContext, server_name: str
) -> asyncio.Transport:
    """Encrypts a connection, as its client, and returns the transport for `protocol`.

    Waits for the handshake without a deadline. If it raises or is cancelled, the connection is closed. The protocol
    is not notified of the start, nor of the end before the start.

    Args:
        transport: The connection, on which nothing has arrived yet.
        protocol: The receiver of what the server sends.
        context: The certificates.
        server_name: The name or the IP address in the server's certificate.

    Raises:
        OSError: The handshake failed, or the name is not one that a certificate can have; an ssl.SSLError if TLS is the
            reason.
    """
    if transport.is_closing():  # its end was reported to the protocol before
        raise ConnectionAbortedError(errno.ECONNABORTED, "the connection was closed before the TLS handshake")
    try:
        tls = TlsTransport(transport, protocol, context, server_name)
        transport.set_protocol(tls)
        await tls.handshake()
    except BaseException:
        transport.abort()
        raise
    return tls


class TlsTransport(asyncio.Transport, asyncio.BufferedProtocol):
    """An encrypted connection: the transport of the protocol above it."""

    def __init__(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.BufferedProtocol,
        context: ssl.SSLContext,
        server_name: str,
    ) -> None:
        super().__init__()
        self._transport = transport
        self._protocol: asyncio.BufferedProtocol | None = protocol
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        except ValueError:
            raise OSError(errno.EINVAL, "no certificate can have the name of the server") from None
        self._read = cast(Callable[[int, memoryview], int], self._tls.read)  # typeshed knows the other form only
        self._handshake_ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._established = False
        self._ciphertext = ciphertext_buffer()
        self._plaintext = memoryview(b"")  # the buffer of the protocol, of which `_filled` bytes are in use
        self._filled = 0
        self._error: Exception | None = None

    async def handshake(self) -> None:
        """Completes the handshake.

        Raises:
            OSError: It failed, or the connection broke.
        """
        self._continue_handshake()
        self._send()
        await self._handshake_ended

    # The transport of the protocol above.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypts and sends the data. Has no effect on a connection that is closed."""
        rest = memoryview(data)
        try:
            while rest and not self._transport.is_closing():
                rest = rest[self._tls.write(rest) :]
                self._send()
        except ssl.SSLError as error:
            self._fail(error)

    def pause_reading(self) -> None:
        """Stops reading. What was read is delivered."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Continues reading."""
        self._transport.resume_reading()

    def is_closing(self) -> bool:
        """Returns whether the connection is closed or about to be."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """Closes the connection at once, without a word to the server."""
        self._transport.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Returns what is known of the connection; `ssl_object` is its TLS."""
        return self._tls if name == "ssl_object" else self._transport.get_extra_info(name, default)

    # The protocol of the connection: callbacks of asyncio.

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._ciphertext.view[:READ_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        self._ciphertext.note_read()
        view = self._ciphertext.view[:nbytes]
        try:
            for start in range(0, nbytes, PIECE_BYTES):
                if self._transport.is_closing():  # the protocol closed it, or the server ended it
                    break
                self._incoming.write(view[start : start + PIECE_BYTES])
                if not self._established:
                    self._continue_handshake()
                if self._established:
                    self._decrypt()
        except ssl.SSLError as error:
            self._deliver()
            self._fail(error)
        else:
            self._deliver()
            self._send()

    def eof_received(self) -> None:
        if self._error is None:  # an attacker can cut a connection, but cannot send a close_notify
            when = "without a TLS close_notify" if self._established else "during the TLS handshake"
            self._error = ConnectionAbortedError(errno.ECONNABORTED, f"the server closed the connection {when}")

    def connection_lost(self, exc: Exception | None) -> None:
        protocol, self._protocol = self._protocol, None
        error = self._error or exc
        if not self._established:
            if not self._handshake_ended.done():
                self._handshake_ended.set_exception(error or ConnectionAbortedError("the connection was closed"))
        elif protocol is not None:
            if isinstance(error, ssl.SSLError):
                cause, error = error, ConnectionAbortedError(errno.ECONNABORTED, describe_tls_error(error))
                error.__cause__ = cause
            protocol.connection_lost(error)

    def pause_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.resume_writing()

    # TLS.

    def _continue_handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self._established = True
        if not self._handshake_ended.done():  # else it was cancelled
            self._handshake_ended.set_result(None)

    def _decrypt(self) -> None:
        """Decrypts the records that have arrived in full."""
        try:
            while True:
                if self._filled == len(self._plaintext):
                    self._deliver()
                    assert self._protocol is not None
                    self._plaintext = memoryview(self._protocol.get_buffer(-1))
                room = self._plaintext[self._filled :]
                count = self._read(len(room), room)
                if not count:
                    self._end()
                    return
                self._filled += count
        except ssl.SSLWantReadError:
            pass

    def _deliver(self) -> None:
        """Passes to the protocol what was decrypted."""
        count, self._filled, self._plaintext = self._filled, 0, memoryview(b"")
        if count and self._protocol is not None:
            self._protocol.buffer_updated(count)

    def _end(self) -> None:
        """Closes the connection after the server's close_notify."""
        self._deliver()
        if self._protocol is not None:
            self._protocol.eof_received()
        self._transport.close()

    def _send(self) -> None:
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())

    def _fail(self, error: ssl.SSLError) -> None:
        self._error = self._error or error
        self._send()  # the alert
        self._transport.abort()
