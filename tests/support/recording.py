"""A transport that tells what was asked through it, and lets a test step in between. The rest is the other's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import kinform


class Recording:
    """Stands before another transport; two of them have nothing in common but the server.

    Args:
        inner: What does the work.

    Attributes:
        asked: The requests so far.
        before: Awaited before each request is passed on.
        through: Changes each piece of a body.
        open_answers: Answers that were not closed yet.
    """

    def __init__(self, inner: kinform.Transport) -> None:
        self._inner = inner
        self.asked: list[kinform.Request] = []
        self.before: Callable[[kinform.Request], Awaitable[None]] = _nothing
        self.through: Callable[[bytes], bytes] = _unchanged
        self.open_answers: set[Answer] = set()

    @property
    def identity(self) -> object:
        return self

    @property
    def lists(self) -> list[dict[str, str]]:
        """The parameters of the LISTs."""
        return [dict(request.params) for request in self.asked if not request.watch]

    @property
    def streams(self) -> list[dict[str, str]]:
        """The parameters of the WatchLists."""
        return [params for params in self._watches if "sendInitialEvents" in params]

    @property
    def watches(self) -> list[dict[str, str]]:
        """The parameters of the plain watches."""
        return [params for params in self._watches if "sendInitialEvents" not in params]

    @property
    def _watches(self) -> list[dict[str, str]]:
        return [dict(request.params) for request in self.asked if request.watch]

    async def open(self, request: kinform.Request) -> kinform.Response:
        self.asked.append(request)
        await self.before(request)
        return Answer(self, await self._inner.open(request))

    async def refresh_credentials(self) -> bool:
        return await self._inner.refresh_credentials()


class Answer:
    """One answer on its way."""

    def __init__(self, recording: Recording, inner: kinform.Response) -> None:
        self._recording = recording
        self._inner = inner
        recording.open_answers.add(self)

    @property
    def status(self) -> int:
        return self._inner.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._inner.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner.chunks():
            yield self._recording.through(chunk)

    async def head(self, limit: int) -> bytes:
        return await self._inner.head(limit)

    def close(self) -> None:
        self._recording.open_answers.discard(self)
        self._inner.close()


async def _nothing(request: kinform.Request) -> None:
    """Nothing comes in between."""


def _unchanged(chunk: bytes) -> bytes:
    return chunk
