"""The requests that reached the server, and a notifier to wait for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kinform.testing._resources import ServedResource

_READS = ("list", "watch", "get", "other")


@dataclass(eq=False, slots=True, kw_only=True)
class RecordedRequest:
    """A request that reached the server, and its outcome."""

    method: str
    """The HTTP method, such as `"GET"`."""
    path: str
    """The path without the query: `/api/v1/namespaces/shop/pods`."""
    params: dict[str, str]
    """The query, unescaped. A repeated parameter has its last value."""
    headers: Mapping[str, str]
    """The headers as sent. The lookup of a name ignores case."""
    body: bytes = field(default=b"", repr=False)
    """The body as sent."""
    verb: str = "other"
    """`"list"`, `"watch"`, `"get"`, `"create"`, `"replace"`, `"patch"`, `"apply"`, `"delete"`, or `"other"`."""
    about: ServedResource | None = field(default=None, repr=False)
    """The resource that the path names, or None."""
    namespace: str | None = None
    """The namespace in the path, or None."""
    name: str | None = None
    """The object's name in the path, or None."""
    subresource: str = ""
    """`"status"`, or `""`."""
    status: int | None = None
    """The HTTP status. None before the headers are sent, or if no answer was sent."""
    fault: object | None = None
    """The `Fault` that was applied to the request, or None."""
    ended: bool = False
    """True after the client or the server has ended the exchange."""
    at: float = field(default_factory=time.monotonic)
    """The time of its arrival, in seconds of `time.monotonic`."""

    @property
    def is_write(self) -> bool:
        """True for a request that creates, changes or deletes objects."""
        return self.verb not in _READS

    @property
    def resource(self) -> str | None:
        """The name of the resource, such as `"v1/pods"`, or None if it is not known."""
        return self.about.name if self.about else None


class Notifier:
    """Wakes waiters when the server's state changes.

    Works like `asyncio.Condition` without a lock. Is bound to an event loop only while a waiter exists.
    """

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def notify_all(self) -> None:
        """Wakes every waiter, which then checks its predicate."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_for(self, predicate: Callable[[], bool], description: str, timeout: float) -> None:
        """Waits until the predicate is true.

        Raises:
            TimeoutError: It was still false after `timeout` seconds. The message contains `description`.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                while not predicate():
                    waiter = loop.create_future()
                    self._waiters.add(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiters.discard(waiter)
        except TimeoutError:
            raise TimeoutError(f"waited {timeout:g} s for {description}") from None
