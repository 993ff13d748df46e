"""The interface to the network: `Request`, `Response` and `Transport`.

The list-watch machine makes requests and a transport sends them. Neither knows the other. No I/O here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol, runtime_checkable

import msgspec

CHUNK_BYTES = 256 << 10


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to the API server.

    Attributes:
        path: Absolute path on the API server, such as `"/api/v1/namespaces/shop/pods"`.
        params: Query parameters in order, not yet escaped.
        accept: The Accept header.
        gzip: True: the response body may be compressed with gzip. False: it must not be compressed. Has no effect on a
            watch.
        watch: The response is a stream of watch events. It ends only at its timeout, or when one side closes it.
        method: The HTTP method. A transport may send a `"GET"` again, but no other method.
        body: The body; `b""`: no body.
        content_type: The Content-Type header. Has no effect without a body.
    """

    path: str
    params: tuple[tuple[str, str], ...]
    accept: str = "application/json"
    gzip: bool = False
    watch: bool = False
    method: str = "GET"
    body: bytes = b""
    content_type: str = "application/json"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"  # never the body: it may be a Secret


class Response(Protocol):
    """A response with status and headers, whose body has not been read yet.

    The caller of `Transport.open` must read the body to its end or call `close`, also after an error.

    Attributes:
        status: The HTTP status.
        headers: The HTTP headers. The lookup of a name ignores case.
    """

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Iterates over the body in non-empty chunks of at most 256 KiB.

        Yields each chunk as soon as it arrives.

        Raises:
            TransportError: The connection broke, or the body ended too early.
        """
        ...

    async def head(self, limit: int) -> bytes:
        """Returns at most `limit` bytes of the body, then closes the response.

        Returns less if the connection breaks.
        """
        ...

    def close(self) -> None:
        """Closes the response at once, also in the middle of the body.

        Idempotent. Never raises.
        """
        ...


@runtime_checkable
class Transport(Protocol):
    """The interface through which kinform sends requests.

    An open `Connection` implements it. If you pass an `ApiClient`, kinform wraps it in an object that implements it.
    You can also write a class that implements it.

    Attributes:
        identity: If the identities of two transports are equal, both reach the same cluster as the same user. kinform
            then shares between them what it knows about the server. Hashable and weakly referenceable.
    """

    @property
    def identity(self) -> object: ...

    async def open(self, request: Request) -> Response:
        """Sends a request and returns when the response headers arrive, with any status.

        Cancellation leaves no connection open.

        Raises:
            TransportError: There was no response: the connection was refused or cut, the server is unreachable, or a
                certificate is not valid. If `reached` is False, the server got nothing of the request, and kinform may
                send it again, even if it is a write.
        """
        ...

    async def refresh_credentials(self) -> bool:
        """Reads the credentials again, after a 401.

        Returns:
            False if there is no source to read them from.
        """
        ...
