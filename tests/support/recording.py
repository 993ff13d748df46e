"""A transport that wraps another and records its requests.

A test can run code before each request and replace chunks of a body. All else is the inner transport's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import kinform


class RecordingTransport:
    """Wraps a transport and records its requests.

    Has an identity of its own, so two of them share no state in kinform.

    Args:
        inner: The transport that sends the requests.

    Attributes:
        requests: The requests so far.
        before_request: Awaited before each request is sent.
        replace_chunk: Maps each chunk of a body to the chunk that the reader gets.
        open_responses: The responses that were not closed yet.
    """

    def __init__(self, inner: kinform.Transport) -> None:
        self._inner = inner
        self.requests: list[kinform.Request] = []
        self.before_request: Callable[[kinform.Request], Awaitable[None]] = _do_nothing
        self.replace_chunk: Callable[[bytes], bytes] = _keep
        self.open_responses: set[RecordedResponse] = set()

    @property
    def identity(self) -> object:
        return self

    @property
    def lists(self) -> list[dict[str, str]]:
        """The parameters of the LISTs."""
        return [dict(request.params) for request in self.requests if not request.watch]

    @property
    def watch_lists(self) -> list[dict[str, str]]:
        """The parameters of the WatchLists."""
        return [params for params in self._all_watches if "sendInitialEvents" in params]

    @property
    def watches(self) -> list[dict[str, str]]:
        """The parameters of the plain watches."""
        return [params for params in self._all_watches if "sendInitialEvents" not in params]

    @property
    def _all_watches(self) -> list[dict[str, str]]:
        return [dict(request.params) for request in self.requests if request.watch]

    async def open(self, request: kinform.Request) -> kinform.Response:
        self.requests.append(request)
        await self.before_request(request)
        return RecordedResponse(self, await self._inner.open(request))

    async def refresh_credentials(self) -> bool:
        return await self._inner.refresh_credentials()


class RecordedResponse:
    """A response of the inner transport, with its chunks replaced."""

    def __init__(self, recording: RecordingTransport, inner: kinform.Response) -> None:
        self._recording = recording
        self._inner = inner
        recording.open_responses.add(self)

    @property
    def status(self) -> int:
        return self._inner.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._inner.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner.chunks():
            yield self._recording.replace_chunk(chunk)

    async def head(self, limit: int) -> bytes:
        return await self._inner.head(limit)

    def close(self) -> None:
        self._recording.open_responses.discard(self)
        self._inner.close()


async def _do_nothing(request: kinform.Request) -> None:
    """The default of `before_request`."""


def _keep(chunk: bytes) -> bytes:
    return chunk
