"""What was asked, for asserts, and the means to wait for it without sleeping.

The log and the bell; it knows nothing of what is answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kinform.testing._resources import Resource

if TYPE_CHECKING:
    from kinform.testing._faults import Fault


@dataclass(eq=False, slots=True, kw_only=True)
class Request:
    """One request that reached the server, with what became of it."""

    method: str
    path: str
    """The path without the query: `/api/v1/namespaces/shop/pods`."""
    params: dict[str, str]
    """The query, unescaped. Of a parameter given twice, the last."""
    headers: Mapping[str, str]
    """As sent; names are matched without regard to case."""
    verb: str = "other"
    """`"list"`, `"watch"`, `"get"`, `"create"`, `"replace"`, `"delete"`, or `"other"`."""
    about: Resource | None = field(default=None, repr=False)
    namespace: str | None = None
    """The namespace in the path, or None."""
    name: str | None = None
    """The object's name in the path, or None."""
    status: int | None = None
    """The HTTP status once the headers are sent; None before, and where there was no answer."""
    fault: Fault | None = None
    """The fault that it met."""
    ended: bool = False
    """Whether the exchange is over, by either side."""
    at: float = field(default_factory=time.monotonic)
    """When it arrived, in seconds of `time.monotonic`."""

    @property
    def resource(self) -> str | None:
        """`"v1/pods"`, or None where the path names no known resource."""
        return self.about.name if self.about else None


class Bell:
    """Wakes those who wait for something to become true. Bound to no loop while nobody waits."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Something has changed."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        """Returns when the condition holds; TimeoutError, which says `what`, after so many seconds."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    future = loop.create_future()
                    self._waiting.add(future)
                    try:
                        await future
                    finally:
                        self._waiting.discard(future)
        except TimeoutError:
            raise TimeoutError(f"waited {timeout:g} s for {what}") from None
