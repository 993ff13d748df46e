"""The body of a response that is compressed with gzip.

Decompresses as the caller reads, so that a small body which decompresses to a huge one takes no memory.

Bound: one read of compressed bytes.

Source: RFC 1952.
"""

from __future__ import annotations

import zlib

from kinform._transport.http1 import Http1Connection, HttpError

GZIP = 31
"""The `wbits` of zlib for gzip with a header and a checksum."""


class GzipBody:
    """The decompressed body of a response."""

    def __init__(self, connection: Http1Connection) -> None:
        self._connection = connection
        self._inflate = zlib.decompressobj(GZIP)
        self._rest = b""
        self._began = False

    async def read(self, limit: int) -> bytes:
        """Returns at most `limit` bytes, `b""` at the end."""
        while True:
            if self._inflate.eof and self._rest:
                self._inflate = zlib.decompressobj(GZIP)  # another member follows
            if not self._rest:
                self._rest = await self._connection.read()
                if not self._rest:
                    if self._began and not self._inflate.eof:
                        raise HttpError("the gzip body broke off")
                    return b""
                continue
            self._began = True
            try:
                found = self._inflate.decompress(self._rest, limit)
            except zlib.error:
                self._connection.close()
                raise HttpError("the gzip body is malformed") from None
            self._rest = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if found:
                return found
