"""The TLS certificates of the tests, valid until 2120.

Created for these tests and used nowhere else. `ca.pem` signed `server.pem`, for 127.0.0.1, and the client
certificates `first.pem` and `second.pem`. `lax-ca.pem` signed `lax.pem`; neither has the extensions that
`ssl.VERIFY_X509_STRICT` requires.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.http_proxy import tunnel

CERTIFICATES = Path(__file__).parent / "certificates"


def server_context() -> ssl.SSLContext:
    """Returns the TLS context of a server at 127.0.0.1, with `server.pem`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=CERTIFICATES / "ca.pem")
    context.load_cert_chain(CERTIFICATES / "server.pem")
    return context


@asynccontextmanager
async def tls_front(url: str) -> AsyncIterator[str]:
    """Runs a TLS server in front of a plain one, and yields its URL."""
    plain = urlsplit(url)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            with suppress(asyncio.CancelledError, ConnectionError):
                await tunnel(reader, writer, *await asyncio.open_connection(plain.hostname, plain.port))
        finally:
            writer.transport.abort()
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context())
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
