"""What the rest of kinform knows of the network: `Request`, `Response` and `Transport`.

The state machine makes requests and a transport sends them; neither knows the other. No I/O here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol, runtime_checkable

import msgspec

CHUNK_BYTES = 256 << 10


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A GET for a collection.

    Attributes:
        path: Absolute path on the API server, `"/api/v1/namespaces/shop/pods"`.
        params: Query parameters in order, not yet escaped.
        accept: The Accept header.
        gzip: Invite a gzip body; otherwise `identity` is asked for. Has no effect on a watch.
        watch: The answer is a stream of frames without an end of its own.
    """

    path: str
    params: tuple[tuple[str, str], ...]
    accept: str = "application/json"
    gzip: bool = False
    watch: bool = False


class Response(Protocol):
    """The answer to a request, whose body has not been read yet.

    Whoever holds it calls `close`, on every path; reading it to its end may stand in for that.

    Attributes:
        status: The HTTP status.
        headers: The HTTP headers; names are looked up in any case.
    """

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body in non-empty pieces of at most 256 KiB, each as soon as it is there.

        Raises:
            TransportError: The connection broke, or the body ended before its time.
        """

    async def head(self, limit: int) -> bytes:
        """At most `limit` bytes of the body, then closes. A connection that breaks ends it early."""

    def close(self) -> None:
        """Closes at once, in the middle of the body too, and any number of times. Never raises."""


@runtime_checkable
class Transport(Protocol):
    """Whatever answers requests: an open `Connection`, an ApiClient in a wrapper, or one's own.

    Attributes:
        identity: Equal for two transports that reach the same cluster as the same user. Hashable, and can
            be referred to weakly.
    """

    @property
    def identity(self) -> object: ...

    async def open(self, request: Request) -> Response:
        """Sends a request and returns once the headers of the answer are there, whatever the status.

        Cancelling leaves no connection open.

        Raises:
            TransportError: There was no answer: refused, unreachable, cut, bad certificate.
        """

    async def refresh_credentials(self) -> bool:
        """Reads the credentials again, after a 401. False if there is nothing to read them from."""
