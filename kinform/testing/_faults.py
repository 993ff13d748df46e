"""Everything that can be made to go wrong, as data, and the book that says when.

A fault is ordered with `Server.fault` and used up by the request that it meets, whether or not that request
has enough objects for it to show. Two families: an Answer takes the place of what was asked for; a Break
spoils the body on its way. Doing it is the business of `_wire`, `_list` and `_watch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from kinform.testing import _status
from kinform.testing._query import inconsistent

if TYPE_CHECKING:
    from kinform.testing._requests import Request

Verb = Literal["list", "watch", "any"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something that goes wrong with one request."""


class Answer(Fault, frozen=True, kw_only=True):
    """The server answers, and the answer is a refusal.

    On a LIST it is the HTTP status. On a WATCH too, unless `event` is set: then HTTP 200, `after` events as
    usual, an ERROR event with the same Status, and a clean close.
    """

    event: bool = False
    """As an ERROR event within a watch. Has no effect on a LIST."""
    after: int = 0
    """Events that are sent before it. Only has an effect with `event`."""

    def refusal(self, request: Request, revision: int) -> _status.Refusal:
        """The answer to this request."""
        raise NotImplementedError


class Gone(Answer, frozen=True, kw_only=True):
    """410 Expired: the resourceVersion is too old. A page of a LIST gets a token for the inconsistent rest."""

    def refusal(self, request: Request, revision: int) -> _status.Refusal:
        token = request.params.get("continue", "")
        if token:
            return _status.expired("The provided continue parameter is too old.", inconsistent(token))
        asked = request.params.get("resourceVersion") or "1"
        return _status.expired(f"too old resource version: {asked} ({revision})")


class Unauthorized(Answer, frozen=True, kw_only=True):
    """401: the credentials are not known."""

    def refusal(self, request: Request, revision: int) -> _status.Refusal:
        return _status.unauthorized()


class Forbidden(Answer, frozen=True, kw_only=True):
    """403: the rights are missing. Narrow it by `on`, `resource` and `namespace` to make RBAC rules."""

    user: str = "jane"
    """Who the message says has no right."""

    def refusal(self, request: Request, revision: int) -> _status.Refusal:
        return _status.forbidden(request.verb, request.about, request.namespace, self.user)


class NotFound(Answer, frozen=True, kw_only=True):
    """404: no such resource, with a Status or in plain text (as where the whole group is unknown)."""

    plain: bool = False

    def refusal(self, request: Request, revision: int) -> _status.Refusal:
        return _status.no_such_path() if self.plain else _status.no_such_resource()


class Invalid(Answer, frozen=True, kw_only=True):
    """422: a parameter is refused, by default as a server without WatchList refuses sendInitialEvents."""

    field: str = "sendInitialEvents"
    message: str = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"

    def refusal(self, request: Request, revision: int) -> _status.Refusal:
        return _status.invalid((self.field, "FieldValueForbidden", self.message))


class TooManyRequests(Answer, frozen=True, kw_only=True):
    """429 with Retry-After, in plain text as priority and fairness answers."""

    retry_after: int | None = 1
    """Seconds; None sends no header."""
    plain: bool = True
    """Plain text; otherwise a Status."""

    def refusal(self, request: Request, revision: int) -> _status.Refusal:
        return _status.too_many_requests(self.retry_after, plain=self.plain)


class InternalError(Answer, frozen=True, kw_only=True):
    """500. As an ERROR event on a WatchList, it is how a server answers whose etcd lacks progress requests."""

    message: str = "something went wrong"

    def refusal(self, request: Request, revision: int) -> _status.Refusal:
        return _status.internal_error(self.message)


class Unavailable(Answer, frozen=True, kw_only=True):
    """503, with a Status, or in plain text as proxies write it."""

    retry_after: int | None = None
    """Seconds; None sends no header."""
    plain: bool = False

    def refusal(self, request: Request, revision: int) -> _status.Refusal:
        return _status.unavailable(self.retry_after, plain=self.plain)


class ResourceVersionTooLarge(Answer, frozen=True, kw_only=True):
    """504 Timeout with cause ResourceVersionTooLarge: this server is behind the resourceVersion asked for."""

    def refusal(self, request: Request, revision: int) -> _status.Refusal:
        asked = request.params.get("resourceVersion", "")
        number = int(asked) if asked.isdigit() else 0
        return _status.too_large(max(number, revision + 1), revision)


class Break(Fault, frozen=True, kw_only=True):
    """The body begins as it should, and then does not go on as it should.

    `after` counts objects: items of a LIST, or events of a WATCH other than bookmarks. A LIST with fewer
    items breaks behind its last one.
    """

    after: int = 0


class Empty(Fault, frozen=True, kw_only=True):
    """HTTP 200, an empty body and a clean close: what some servers answer to a stale resourceVersion."""


class Hangup(Break, frozen=True, kw_only=True):
    """The connection is closed without a word.

    With None before anything is sent; otherwise after so many objects, the chunked body left unfinished.
    Note that HTTP clients may send a GET anew by themselves where the connection closes before the answer:
    aiohttp does so once, and meets the next fault or none. Order it twice for such a client.
    """

    after: int | None = None  # type: ignore[assignment]


class Stall(Break, frozen=True, kw_only=True):
    """Silence: the connection stays open, nothing more comes, not even a FIN.

    After `after` objects and `bytes` bytes of the next, or, with `headers=False`, before the status line.
    """

    headers: bool = True
    bytes: int = 0


class CutMidObject(Break, frozen=True, kw_only=True):
    """The connection closes in the middle of an object."""


class MalformedObject(Break, frozen=True, kw_only=True):
    """One object is no JSON inside, though its braces and strings are balanced. What follows is sound."""

    readable_key: bool = True
    """Whether the metadata comes before the damage and can be read; otherwise the name itself is damaged."""


class MalformedFrame(Break, frozen=True, kw_only=True):
    """The structure around the objects breaks: a WATCH line or a LIST envelope that cannot be told apart."""


class Oversized(Break, frozen=True, kw_only=True):
    """One object is made larger than that many bytes by an annotation; it is sound otherwise."""

    bytes: int


class Trickle(Fault, frozen=True, kw_only=True):
    """The body comes in small pieces, all of it."""

    bytes: int
    """Bytes a piece."""
    pause: float = 0.0
    """Seconds between pieces; the event loop gets its turn in any case."""

    def __post_init__(self) -> None:
        if self.bytes < 1:
            raise ValueError(f"Trickle.bytes must be at least 1: {self.bytes}")


class ShortPage(Fault, frozen=True, kw_only=True):
    """A page of a LIST holds fewer items than its limit, even none, and a token for the rest."""

    items: int = 0


class NoBookmark(Fault, frozen=True, kw_only=True):
    """A watch without any bookmark: the end of the initial events is never told."""


class BookmarkWithoutEnd(Fault, frozen=True, kw_only=True):
    """The bookmark after the initial events comes, but does not say that they have ended."""

    value: str | None = None
    """The annotation's value; None leaves the annotation out."""


class LateBookmark(Fault, frozen=True, kw_only=True):
    """The end of the initial events is told only after so many live events have been sent."""

    events: int = 1


class Armed(msgspec.Struct, kw_only=True):
    """A fault and the requests that it waits for."""

    fault: Fault
    on: Verb
    times: int | None
    resource: str | None
    namespace: str | None
    skip: int
    when: Callable[[Request], bool] | None

    def meets(self, request: Request) -> bool:
        """Whether the request is of the kind waited for."""
        return (
            request.verb in (("list", "watch") if self.on == "any" else (self.on,))
            and self.resource in (None, request.resource)
            and self.namespace in (None, request.namespace)
            and (self.when is None or self.when(request))
        )


class FaultBook:
    """The faults that are ordered, first come first served."""

    def __init__(self) -> None:
        self._armed: list[Armed] = []

    def arm(self, armed: Armed) -> None:
        """Orders one more."""
        self._armed.append(armed)

    def take(self, request: Request) -> Fault | None:
        """The fault that this request meets, if any, which is thereby used up."""
        for armed in self._armed:
            if not armed.meets(request):
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
        """How many requests will still meet a fault; those without a limit are not counted."""
        return sum(armed.times or 0 for armed in self._armed)

    def clear(self) -> None:
        """Orders nothing any more."""
        self._armed.clear()
