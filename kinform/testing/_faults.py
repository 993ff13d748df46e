"""Faults as data, and the queue that assigns them to requests.

`Server.fault` arms a fault; the first matching request uses it up, even if its response is too short to show the fault.
There are two families: an `Answer` replaces the response, a `Break` corrupts or interrupts its body. The modules
`_response`, `_list` and `_watch` carry them out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from kinform.testing import _status
from kinform.testing._query import inconsistent
from kinform.testing._requests import RecordedRequest

RequestKind = Literal["list", "watch", "any"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that affects one request."""


class Answer(Fault, frozen=True, kw_only=True):
    """A fault that replaces the response by a failure.

    A LIST gets it as the HTTP status. So does a WATCH, unless `event` is set: then HTTP 200, `after` events as usual,
    an ERROR event with the same Status, and a clean end.
    """

    event: bool = False
    """Sends the failure as an ERROR event of a watch. Has no effect on a LIST."""
    after: int = 0
    """Events that are sent before it. Only has an effect with `event`."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        """Returns the response to this request."""
        raise NotImplementedError


class Gone(Answer, frozen=True, kw_only=True):
    """410 Expired: the resourceVersion is too old.

    In the answer to a page of a LIST is a continue token for the inconsistent rest.
    """

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        token = request.params.get("continue", "")
        if token:
            return _status.expired("The provided continue parameter is too old.", inconsistent(token))
        requested = request.params.get("resourceVersion") or "1"
        return _status.expired(f"too old resource version: {requested} ({revision})")


class Unauthorized(Answer, frozen=True, kw_only=True):
    """401: the server does not accept the credentials."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.unauthorized()


class Forbidden(Answer, frozen=True, kw_only=True):
    """403: the user lacks the permission.

    `on`, `resource` and `namespace` of `Server.fault` restrict it, as RBAC rules do.
    """

    user: str = "jane"
    """The user in the message."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.forbidden(request.verb, request.about, request.namespace, self.user)


class NotFound(Answer, frozen=True, kw_only=True):
    """404: the resource does not exist."""

    plain: bool = False
    """Plain text, as for an unknown API group; otherwise a Status."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.no_such_path() if self.plain else _status.no_such_resource()


class Invalid(Answer, frozen=True, kw_only=True):
    """422: the server does not accept a parameter.

    The defaults are the answer of a server without WatchList to sendInitialEvents.
    """

    field: str = "sendInitialEvents"
    message: str = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.invalid((self.field, "FieldValueForbidden", self.message))


class TooManyRequests(Answer, frozen=True, kw_only=True):
    """429 with Retry-After, in plain text as priority and fairness answers."""

    retry_after: int | None = 1
    """Seconds; None sends no header."""
    plain: bool = True
    """Plain text; otherwise a Status."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.too_many_requests(self.retry_after, plain=self.plain)


class InternalError(Answer, frozen=True, kw_only=True):
    """500: the server failed.

    As an ERROR event of a WatchList it is the answer of a server whose etcd does not support progress requests.
    """

    message: str = "something went wrong"

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.internal_error(self.message)


class Unavailable(Answer, frozen=True, kw_only=True):
    """503: the server or a proxy cannot answer now."""

    retry_after: int | None = None
    """Seconds; None sends no header."""
    plain: bool = False
    """Plain text, as from a proxy; otherwise a Status."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.unavailable(self.retry_after, plain=self.plain)


class ResourceVersionTooLarge(Answer, frozen=True, kw_only=True):
    """504 Timeout: this server has not reached the requested resourceVersion.

    The Status has the cause ResourceVersionTooLarge.
    """

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        requested = request.params.get("resourceVersion", "")
        number = int(requested) if requested.isdigit() else 0
        return _status.too_large(max(number, revision + 1), revision)


class Break(Fault, frozen=True, kw_only=True):
    """A fault within the body of a response that begins as usual.

    `after` counts objects: items of a LIST, or events of a WATCH without bookmarks. A LIST with fewer items breaks
    after its last one.
    """

    after: int = 0


class Empty(Fault, frozen=True, kw_only=True):
    """HTTP 200, an empty body and a clean end.

    Some servers answer this to a stale resourceVersion.
    """


class Hangup(Break, frozen=True, kw_only=True):
    """A connection that closes without a complete response.

    With `after=None` it closes before the status line; otherwise after this number of objects, without the end of the
    chunked body. HTTP clients may repeat a GET by themselves if the connection closes before the status line. aiohttp
    does so once, and that request meets the next fault, if any: for such a client use `times=2`.
    """

    after: int | None = None  # type: ignore[assignment]


class Stall(Break, frozen=True, kw_only=True):
    """Silence on an open connection: no more data, and no FIN.

    It begins after `after` objects and `bytes` bytes of the next one, or before the status line with `headers=False`.
    """

    headers: bool = True
    bytes: int = 0


class CutMidObject(Break, frozen=True, kw_only=True):
    """A connection that closes in the middle of an object."""


class MalformedObject(Break, frozen=True, kw_only=True):
    """An object of invalid JSON with balanced braces and strings.

    The objects after it are valid.
    """

    readable_key: bool = True
    """Whether the metadata precedes the damage; otherwise the name itself is damaged."""


class MalformedFrame(Break, frozen=True, kw_only=True):
    """A WATCH line or a LIST envelope that cannot be parsed."""


class Oversized(Break, frozen=True, kw_only=True):
    """A valid object with an annotation of `bytes` bytes."""

    bytes: int


class Trickle(Fault, frozen=True, kw_only=True):
    """A complete body in small pieces."""

    bytes: int
    """The size of a piece."""
    pause: float = 0.0
    """Seconds between pieces. With 0 the event loop still runs other tasks between them."""

    def __post_init__(self) -> None:
        if self.bytes < 1:
            raise ValueError(f"Trickle.bytes must be at least 1: {self.bytes}")


class ShortPage(Fault, frozen=True, kw_only=True):
    """A page of a LIST with fewer items than its limit, and a token for the rest."""

    items: int = 0


class NoBookmark(Fault, frozen=True, kw_only=True):
    """A watch without bookmarks, not even at the end of the initial events."""


class BookmarkWithoutEnd(Fault, frozen=True, kw_only=True):
    """A bookmark after the initial events that does not mark their end."""

    value: str | None = None
    """The annotation's value; None omits the annotation."""


class LateBookmark(Fault, frozen=True, kw_only=True):
    """A bookmark for the end of the initial events that follows live events."""

    events: int = 1
    """Live events that are sent before it."""


class ArmedFault(msgspec.Struct, kw_only=True):
    """A fault, and a filter for the requests that meet it."""

    fault: Fault
    on: RequestKind
    times: int | None
    resource: str | None
    namespace: str | None
    skip: int
    when: Callable[[RecordedRequest], bool] | None

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError(f"times must be at least 1, or None: {self.times}")

    def matches(self, request: RecordedRequest) -> bool:
        """Returns whether the filter accepts the request."""
        return (
            request.verb in (("list", "watch") if self.on == "any" else (self.on,))
            and self.resource in (None, request.resource)
            and self.namespace in (None, request.namespace)
            and (self.when is None or self.when(request))
        )


class FaultQueue:
    """The armed faults; the first one that matches a request is used."""

    def __init__(self) -> None:
        self._armed: list[ArmedFault] = []

    def arm(self, armed: ArmedFault) -> None:
        """Adds a fault."""
        self._armed.append(armed)

    def take(self, request: RecordedRequest) -> Fault | None:
        """Uses up and returns the fault that the request meets, or returns None."""
        for armed in self._armed:
            if not armed.matches(request):
                continue
            if armed.skip:
                armed.skip -= 1
                continue
            if armed.times is not None:
                armed.times -= 1
                if armed.times == 0:
                    self._armed.remove(armed)
            return armed.fault
        return None

    def left(self) -> int:
        """Returns the number of uses left, without faults that have no limit."""
        return sum(armed.times or 0 for armed in self._armed)

    def clear(self) -> None:
        """Removes every fault."""
        self._armed.clear()
