"""The response whose body is read from a connection of kinform's own HTTP client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kinform._errors import TransportError
from kinform._transport.chunk_reader import ChunkReader
from kinform._transport.http1 import Http1Connection, HttpError

if TYPE_CHECKING:
    from kinform._transport.gzip_body import GzipBody


class StreamedResponse(ChunkReader):
    """A `Response` whose body is read from its connection."""

    def __init__(
        self,
        connection: Http1Connection,
        status: int,
        headers: Mapping[str, str],
        path: str,
        release: Callable[[StreamedResponse, Http1Connection], None],
    ) -> None:
        self.status = status
        self.headers = headers
        self._path = path
        self._release: Callable[[StreamedResponse, Http1Connection], None] | None = release
        self._connection = connection
        self._ended = False
        self._body: Http1Connection | GzipBody = connection
        encoding = headers.get("content-encoding", "identity").lower()
        if encoding in ("gzip", "x-gzip"):
            from kinform._transport.gzip_body import GzipBody  # and zlib, which few programs need

            self._body = GzipBody(connection)
        elif encoding != "identity":
            raise TransportError(f"{path}: the response has the content coding {encoding[:40]!r}")

    async def _read(self, limit: int) -> bytes:
        if self._release is None:
            if self._ended:
                return b""
            raise TransportError(f"{self._path}: the response was closed")
        try:
            chunk = await self._body.read(limit)
        except HttpError as error:
            raise TransportError(f"{self._path}: {error}") from error
        self._ended = not chunk
        return chunk

    def close(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release(self, self._connection)
