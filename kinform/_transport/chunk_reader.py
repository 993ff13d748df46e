"""The reading of a body in chunks, the same for both HTTP clients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from kinform._errors import TransportError
from kinform._transport.base import CHUNK_BYTES


class ChunkReader(ABC):
    """The parts of a `Response` that read its body, over `_read`."""

    @abstractmethod
    async def _read(self, limit: int) -> bytes:
        """Returns the next bytes of the body, at most `limit`; `b""` at its end.

        Raises:
            TransportError: The response is closed, or the body broke off.
        """

    @abstractmethod
    def close(self) -> None:
        """See `Response.close`."""

    def chunks(self) -> AsyncIterator[bytes]:
        """See `Response.chunks`."""
        return self  # not a generator: the loop needs a task to close one that was not exhausted

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = b""
        try:
            chunk = await self._read(CHUNK_BYTES)
        finally:
            if not chunk:
                self.close()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def head(self, limit: int) -> bytes:
        """See `Response.head`."""
        parts, left = list[bytes](), limit
        try:
            while left > 0 and (chunk := await self._read(min(left, CHUNK_BYTES))):
                parts.append(chunk)
                left -= len(chunk)
        except TransportError:
            pass  # the caller has the status, which says more than a truncated error text
        finally:
            self.close()
        return b"".join(parts)
