"""Smaller read buffers for a connection than aiohttp and asyncio use by default.

With them a watch occupies less memory while it waits, and a slow reader lets less data pile up. Uses private
attributes of asyncio where they exist, and leaves the defaults where they do not.
"""

from __future__ import annotations

import copy
from typing import Any, Self

import aiohttp

from kinform._transport.base import CHUNK_BYTES
from kinform._transport.lean_import import ApiClient

TLS_READ_BYTES = 32 << 10  # two TLS records


class _SmallBufferResponse(aiohttp.ClientResponse):
    """A response over a TLS connection with a small read buffer.

    Over TLS asyncio keeps a buffer of 256 KiB a connection, and OpenSSL keeps one as large as the largest
    read.
    """

    async def start(self, connection: aiohttp.connector.Connection) -> Self:
        """Shrinks the TLS buffer before the first byte of the response is read."""
        tls: Any = getattr(connection.transport, "_ssl_protocol", None)
        if hasattr(tls, "max_size") and hasattr(tls, "_ssl_buffer"):
            tls.max_size = TLS_READ_BYTES
            tls._ssl_buffer = bytearray()  # too small for a read, so asyncio allocates one of `max_size`
        await super().start(connection)
        return self


def with_small_buffers(api_client: ApiClient) -> ApiClient:
    """Returns a copy of the client with 0.5 MiB of read buffer a stream instead of 4.

    The copy shares the connector. The original keeps its buffer: kubernetes_asyncio's `Watch` reads lines
    through it and needs the room. Chunks do not.
    """
    session: aiohttp.ClientSession = api_client.rest_client.pool_manager
    smaller = copy.copy(api_client)
    smaller.rest_client = copy.copy(api_client.rest_client)
    smaller.rest_client.pool_manager = aiohttp.ClientSession(
        connector=session.connector,
        connector_owner=False,
        trust_env=session.trust_env,
        read_bufsize=CHUNK_BYTES,
        response_class=_SmallBufferResponse,
    )
    return smaller
