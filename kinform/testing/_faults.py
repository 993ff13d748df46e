"""Faults as data, and the queue that assigns them to requests.

`Server.fault` registers a fault. The first matching request uses it up, even if its response is too short to show it.
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

RequestKind = Literal["list", "watch", "any", "get", "create", "replace", "patch", "apply", "delete", "write"]
_VERBS: dict[str, tuple[str, ...]] = {
    "any": ("list", "watch"),
    "write": ("create", "replace", "patch", "apply", "delete"),
}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that affects one request."""


class Answer(Fault, frozen=True, kw_only=True):
    """A fault that replaces the response by a failure.

    The server answers with the failure as HTTP status. If `event` is False, it answers a WATCH in the same way.
    If `event` is True, it answers a WATCH with HTTP 200, sends `after` events, and then an ERROR event. This event has
    the same failure as a `Status`, the object with which Kubernetes describes errors. Then the response ends cleanly.
    """

    event: bool = False
    """True: send the failure as an ERROR event of a watch. Has no effect on a LIST."""
    after: int = 0
    """The number of events that are sent before the ERROR event. Has an effect only with `event=True`."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        """Returns the response to this request."""
        raise NotImplementedError


class Gone(Answer, frozen=True, kw_only=True):
    """410 Expired: the resourceVersion is too old.

    If the request is for a later page of a LIST, the answer contains a continue token. With this token, a client gets
    the remaining objects in their newest state, which can be inconsistent with the earlier pages.
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

    Restrict it by `on`, `resource` and `namespace` of `Server.fault`, as an RBAC rule does.
    """

    user: str = "jane"
    """The user in the message."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.forbidden(request.verb, request.about, request.namespace, self.user)


class NotFound(Answer, frozen=True, kw_only=True):
    """404: the resource does not exist."""

    plain: bool = False
    """True: the body is plain text, as for an unknown API group. False: it is a Status."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.no_such_path() if self.plain else _status.no_such_resource()


class Invalid(Answer, frozen=True, kw_only=True):
    """422: the server does not accept a parameter.

    With the default values, this is the answer of a server without WatchList to a request with sendInitialEvents.
    """

    field: str = "sendInitialEvents"
    """The parameter in the message."""
    message: str = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
    """The reason in the message."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.invalid((self.field, "FieldValueForbidden", self.message))


class TooManyRequests(Answer, frozen=True, kw_only=True):
    """429 with Retry-After: the server has too many requests.

    The default body is plain text, as from API Priority and Fairness in kube-apiserver.
    """

    retry_after: int | None = 1
    """Seconds in the Retry-After header. None: the answer has no such header."""
    plain: bool = True
    """True: the body is plain text. False: it is a Status."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.too_many_requests(self.retry_after, plain=self.plain)


class Conflict(Answer, frozen=True, kw_only=True):
    """409 Conflict: another client has changed the object since it was read."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        if request.about is None:
            return _status.no_such_resource()
        return _status.conflict(request.about, request.name or "")


class InternalError(Answer, frozen=True, kw_only=True):
    """500: the server failed.

    With `event=True`, a WatchList gets it as an ERROR event. This is the answer of a server whose etcd does not support
    progress requests.
    """

    message: str = "something went wrong"
    """The message of the Status."""

    def refusal(self, request: RecordedRequest, revision: int) -> _status.Refusal:
        return _status.internal_error(self.message)


class Unavailable(Answer, frozen=True, kw_only=True):
    """503: the server or a proxy cannot answer now."""

    retry_after: int | None = None
    """Seconds in the Retry-After header. None: the answer has no such header."""
    plain: bool = False
    """True: the body is plain text, as from a proxy. False: it is a Status."""

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

    If a LIST has fewer than `after` items, the fault follows the last item.
    """

    after: int = 0
    """The number of objects before the fault: items of a LIST, or events of a WATCH. Bookmarks are not counted."""


class Empty(Fault, frozen=True, kw_only=True):
    """HTTP 200, an empty body and a clean end.

    Some servers answer in this way if the resourceVersion is too old.
    """


class Hangup(Break, frozen=True, kw_only=True):
    """A connection that closes without a complete response.

    HTTP clients may repeat a GET by themselves if the connection closes before the status line. aiohttp repeats it
    once, and the next matching fault is applied to the repeated request. So use `times=2` if you want such a client to
    see the failure.
    """

    after: int | None = None  # type: ignore[assignment]
    """None: the connection closes before the status line. Otherwise it closes after this number of objects, without the
    end of the chunked body."""


class Stall(Break, frozen=True, kw_only=True):
    """Silence on an open connection: no more data, and no FIN.

    The silence begins after `after` objects and a part of the next object.
    """

    headers: bool = True
    """False: the silence begins before the status line."""
    bytes: int = 0
    """The size of the part of the next object that is sent."""


class CutMidObject(Break, frozen=True, kw_only=True):
    """A connection that closes in the middle of an object."""


class MalformedObject(Break, frozen=True, kw_only=True):
    """An object that is not valid JSON, but whose end can be found.

    Its braces are balanced and its strings are closed. The objects after it are valid.
    """

    readable_key: bool = True
    """True: the damage is after the metadata. False: the name itself is damaged."""


class MalformedFrame(Break, frozen=True, kw_only=True):
    """A WATCH line or a LIST envelope that cannot be parsed."""


class Oversized(Break, frozen=True, kw_only=True):
    """A valid object with an additional annotation of `bytes` bytes."""

    bytes: int
    """The size of the annotation."""


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
    """A page of a LIST with fewer items than its limit, and a token for the next page."""

    items: int = 0
    """The number of items in the page."""


class LostResponse(Fault, frozen=True, kw_only=True):
    """A write that takes effect, but whose connection closes without a response.

    The client cannot know whether the write has taken effect. Has no effect on a read.
    """


class NoBookmark(Fault, frozen=True, kw_only=True):
    """A watch without bookmarks, not even at the end of the initial events."""


class BookmarkWithoutEnd(Fault, frozen=True, kw_only=True):
    """A bookmark after the initial events, without a valid mark of their end."""

    value: str | None = None
    """The value of the annotation that marks the end. None: the bookmark has no such annotation."""


class LateBookmark(Fault, frozen=True, kw_only=True):
    """A late end bookmark: the server sends later changes before it.

    The end bookmark is the bookmark that marks the end of the initial events.
    """

    events: int = 1
    """The number of changes that are sent before the end bookmark."""


def require_fault(fault: object) -> None:
    """Requires an object of a class of faults, and not the class itself."""
    if not isinstance(fault, Fault):
        found = f"the class {fault.__name__}" if isinstance(fault, type) else repr(fault)
        raise ValueError(f"fault must be an object of a class of faults, such as Gone(): {found}")


class ArmedFault(msgspec.Struct, kw_only=True):
    """A fault, and a filter for the requests to which it is applied."""

    fault: Fault
    on: RequestKind
    times: int | None
    resource: str | None
    namespace: str | None
    skip: int
    when: Callable[[RecordedRequest], bool] | None

    def __post_init__(self) -> None:
        require_fault(self.fault)
        if self.times is not None and self.times < 1:
            raise ValueError(f"times must be at least 1, or None: {self.times}")
        if self.skip < 0:
            raise ValueError(f"skip must be at least 0: {self.skip}")

    def matches(self, request: RecordedRequest) -> bool:
        """Returns whether the filter accepts the request."""
        return (
            request.verb in _VERBS.get(self.on, (self.on,))
            and self.resource in (None, request.resource)
            and self.namespace in (None, request.namespace)
            and (self.when is None or self.when(request))
        )


class FaultQueue:
    """The registered faults. The first one that matches a request is used."""

    def __init__(self) -> None:
        self._armed: list[ArmedFault] = []

    def arm(self, armed: ArmedFault) -> None:
        """Adds a fault."""
        self._armed.append(armed)

    def take(self, request: RecordedRequest) -> Fault | None:
        """Uses up and returns the first fault that matches the request, or returns None."""
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
