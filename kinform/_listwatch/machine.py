"""Where one stream of a collection stands, without a socket in sight.

Says what to request next, turns frames into steps, and decides after each failure how long to wait and whether
the state held can be carried on. Never awaits, sleeps or reads a clock: the reflector does, and
tells it what happened.
Source: kube-runtime's watcher, client-go's reflector, KEP-3157 (WatchList), Kubernetes' API concepts.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec

from kinform._errors import (
    BadRequestError,
    ExpiredError,
    ForbiddenError,
    KinformError,
    NotFoundError,
    ProtocolError,
    StalledError,
    StatusError,
    TransportError,
    UnauthorizedError,
)
from kinform._events import Applied, Init, InitDone, Skipped, Step
from kinform._listwatch.frames import Bookmark, Frame, ListEnd, Skip, Status
from kinform._options import Resource
from kinform._spec import CollectionSpec
from kinform._stats import State
from kinform._transport.base import Request
from kinform_ext._scan import Batch

# A stream that was accepted this often and never reached its end bookmark is given up for a LIST.
STREAM_TRIES = 2
# So many watches in a row that the server answered and ended without a word: the resourceVersion is stale.
# Some resources answer one in this way instead of by 410.
MAX_EMPTY_WATCHES = 3
# A stream's initial events normally hold no bookmark but the last; so many mean that it will not come.
MAX_BOOKMARKS_BEFORE_END = 5

# Seconds a server may ask to wait: one bad header of a proxy must not park a stream for years.
MAX_RETRY_AFTER = 600.0

_METADATA_ONLY = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"


class Capabilities:
    """What was learnt about a server, shared by all streams to it."""

    def __init__(self) -> None:
        self.without_stream: set[Resource] = set()


class _Listing(msgspec.Struct):
    """Pages of a LIST come in; nothing counts before the last."""

    page: str = ""
    whole: bool = False  # without pages: a token expired, and those of another try might too
    begun: bool = False


class _Streaming(msgspec.Struct):
    """The initial events of a WatchList come in; nothing counts before the end bookmark."""

    begun: bool = False
    bookmarks: int = 0


class _Watching(msgspec.Struct):
    """The state is complete; changes since the last resourceVersion come in."""


class _Verdict(enum.Enum):
    """What a refusal means, whatever the state."""

    RELIST = "only a new state helps"
    RETRY = "the same again, later"
    RETRY_SLOWLY = "the same again, much later: it heals by other hands, or not at all"
    FATAL = "never the same again"


class ListWatchMachine:
    """The state machine of one stream: all namespaces, or one.

    The order of calls is: `request`, then `accepted` or `refused` or `ended`; after `accepted` any number of
    `take`, until it sets `close_requested` or the body ends; then `ended`. Before the next `request`, wait `delay`
    seconds.

    Args:
        spec: What is watched, and how.
        namespace: One namespace of it, or `""` for all.
        capabilities: What is known of the server; added to.
        random: Gives numbers from 0 up to 1, for jitter.
        resource_version: That of a state that is held already: it is carried on by a watch, and listed anew only
            if the server refuses that.

    Attributes:
        name: The resource, and the namespace where it is one, for messages.
        state: What a user should know.
        resource_version: Up to where the state is complete and current; `""` before that.
        error: The last failure, or None since the last progress.
        delay: Seconds to wait before the next request.
        close_requested: The connection in hand has served its purpose, or cannot any more: close it.
        reload_credentials: The last answer was 401, and credentials should be read again before the next request.
    """

    def __init__(
        self,
        spec: CollectionSpec,
        namespace: str,
        *,
        capabilities: Capabilities,
        random: Callable[[], float],
        resource_version: str = "",
    ) -> None:
        self._resource = spec.resource
        self._namespace = namespace
        self._scope = spec.scope
        self._options = spec.options
        self._capabilities = capabilities
        self._random = random
        self._timeout = 0
        self._failures = 0  # in a row: how far the backoff has grown
        self._empty_watches = 0  # watches in a row that brought nothing
        self._progress = False  # the connection in hand brought something
        self._stream_tries = 0
        self._unauthorized = 0  # answers of 401 in a row
        self.name = f"{spec.resource} in {namespace}" if namespace else str(spec.resource)
        self.state: State = "stale" if resource_version else "starting"
        self.resource_version = resource_version
        self.error: KinformError | None = None
        self.delay = spec.options.start_jitter * random() if spec.options.start_jitter else 0.0
        self.close_requested = False
        self.reload_credentials = False
        self._phase: _Listing | _Streaming | _Watching = _Watching() if resource_version else self._fresh()

    # What to ask

    def request(self) -> Request:
        """The request that the state calls for."""
        self.close_requested = False
        self._progress = False
        self._timeout = int(self._options.watch_timeout * (1 + self._random()))
        scope, phase = self._scope, self._phase
        params = [
            (name, value)
            for name, value in (
                ("labelSelector", scope.label_selector),
                ("fieldSelector", scope.field_selector),
            )
            if value
        ]
        watch = not isinstance(phase, _Listing)
        match phase:
            case _Listing(page=page, whole=whole):
                if self._options.page_size and not whole:
                    params.append(("limit", str(self._options.page_size)))
                if page:
                    params.append(("continue", page))
            case _Streaming():
                params += [
                    ("watch", "true"),
                    ("sendInitialEvents", "true"),
                    ("resourceVersionMatch", "NotOlderThan"),
                    ("allowWatchBookmarks", "true"),
                    ("timeoutSeconds", str(self._timeout)),
                ]
            case _Watching():
                params += [
                    ("watch", "true"),
                    ("allowWatchBookmarks", "true"),
                    ("timeoutSeconds", str(self._timeout)),
                ]
                if self.resource_version:  # aggregated APIs may have none
                    params.append(("resourceVersion", self.resource_version))
        return Request(
            path=self._resource.path(self._namespace),
            params=tuple(params),
            accept=_METADATA_ONLY.format("" if watch else "List") if scope.metadata_only else "application/json",
            gzip=self._options.compression == "gzip" and not watch,
            watch=watch,
        )

    @property
    def silence(self) -> float:
        """Seconds without a byte after which the connection in hand counts as dead."""
        if not isinstance(self._phase, _Watching):
            return self._options.headers_timeout
        if self._options.silence_timeout is not None:
            return self._options.silence_timeout
        return min(self._timeout + 15.0, 200.0)  # three bookmarks missed; load balancers give up after 240

    # What was answered

    def accepted(self) -> Init | None:
        """The server answered 200, and a body follows."""
        self._unauthorized = 0
        phase = self._phase
        if isinstance(phase, _Watching):
            self.state = "live"
            return None
        self.state = "relisting" if self.resource_version else "syncing"
        if isinstance(phase, _Streaming):
            self._stream_tries += 1
        if phase.begun:
            return None
        phase.begun = True
        return Init()

    def take(self, frame: Frame) -> Step | None:
        """Takes the next frame of the body."""
        match frame:
            case Batch():
                return self._applied(frame)
            case Skip():
                return self._skipped(frame)
            case Bookmark():
                return self._bookmark(frame)
            case ListEnd():
                return self._list_end(frame)
            case Status():
                self.refused(frame, event=True)
        return None

    def refused(self, status: Status, *, retry_after: float | None = None, event: bool = False) -> None:
        """The server answered with a refusal, by HTTP status or (`event`) in the middle of a stream.

        Raises:
            StatusError: Asking again is no use.
        """
        self.close_requested = True
        retry_after = retry_after if retry_after is not None else status.retry_after
        error, verdict = self._judge(status, retry_after)
        self.error = error
        match self._phase:
            case _Listing() as phase:
                self._listing_refused(phase, error, verdict)
            case _Streaming():
                self._streaming_refused(error, verdict, event=event)
            case _Watching():
                self._watching_refused(error, verdict, event=event)

    def ended(self, error: TransportError | ProtocolError | None, elapsed: float) -> None:
        """The connection is over, or never came to be, and `close_requested` was not set.

        Args:
            error: What broke it; None where the server ended it in good order.
            elapsed: Seconds it stood.
        """
        self.error = error
        self.delay = 0.0
        match self._phase:
            case _Listing() as phase:
                if not phase.page:  # a first page that is asked for again is that of another state
                    self._phase = _Listing(whole=phase.whole)
                self._retry(error)
            case _Streaming():
                given_up = self._stream_tries >= STREAM_TRIES and self._options.initial == "auto"
                if given_up and (error is None or isinstance(error, StalledError)):  # not where the network failed
                    self._capabilities.without_stream.add(self._resource)
                self._phase = self._fresh()
                self._retry(error)
            case _Watching():
                stood = self._progress or elapsed >= self._options.backoff.maximum
                if stood and error is None:
                    self._progressed()
                    return
                if stood:
                    self._failures = self._empty_watches = 0
                self._empty_watches += _answered(error)
                if self._empty_watches >= MAX_EMPTY_WATCHES:
                    self._phase = self._fresh()
                self._retry(error)

    def give_up(self) -> None:
        """What happened cannot be recovered from."""
        self.state = "failed"

    def stop(self) -> None:
        """Nobody listens any more."""
        if self.state != "failed":
            self.state = "stopped"

    # Frames

    def _applied(self, batch: Batch) -> Applied:
        initial = not isinstance(self._phase, _Watching)
        if not initial:
            self._reached(batch.last_resource_version)
        return Applied(batch, initial)

    def _skipped(self, skip: Skip) -> Skipped:
        initial = not isinstance(self._phase, _Watching)
        if not initial:
            self._reached(skip.resource_version)
        return Skipped(skip.verb, skip.key, initial)

    def _bookmark(self, bookmark: Bookmark) -> InitDone | None:
        match self._phase:
            case _Watching():
                self._reached(bookmark.resource_version)
            case _Streaming() if bookmark.initial_events_end:
                return self._complete(bookmark.resource_version)
            case _Streaming() as phase:
                phase.bookmarks += 1
                self.close_requested = phase.bookmarks >= MAX_BOOKMARKS_BEFORE_END
                if self.close_requested:
                    self.ended(None, 0.0)
        return None

    def _list_end(self, end: ListEnd) -> InitDone | None:
        self.close_requested = True
        if end.page and isinstance(self._phase, _Listing):
            self._phase.page = end.page
            self.delay = 0.0
            return None
        return self._complete(end.resource_version)

    def _complete(self, resource_version: str) -> InitDone:
        self._phase = _Watching()
        self.resource_version = resource_version
        self.state = "live"
        self._stream_tries = 0
        self._progress = True
        if not self._empty_watches:  # else it was made necessary by watches that do not work
            self._progressed()
        self.delay = 0.0
        return InitDone(resource_version)

    def _reached(self, resource_version: str) -> None:
        if resource_version and resource_version == self.resource_version:  # repeating itself is no progress
            return
        if resource_version:
            self.resource_version = resource_version
        self._progressed()

    def _progressed(self) -> None:
        self._progress = True
        self._failures = 0
        self._empty_watches = 0
        self.error = None
        self.delay = 0.0

    # Refusals

    def _judge(self, status: Status, retry_after: float | None) -> tuple[StatusError, _Verdict]:
        kind, verdict = _verdict(status)
        verb = "list" if isinstance(self._phase, _Listing) else "watch"
        return kind(self.name, status.code, status.reason, verb=verb, retry_after=retry_after), verdict

    def _listing_refused(self, phase: _Listing, error: StatusError, verdict: _Verdict) -> None:
        if verdict in (_Verdict.RELIST, _Verdict.FATAL) and phase.page:
            self._phase = _Listing(whole=True)
            self._retry(error)
        elif verdict is _Verdict.FATAL:
            self._fail(error)
        elif verdict is _Verdict.RETRY_SLOWLY:
            self._wait_slowly(error)
        else:
            self._retry(error)

    def _streaming_refused(self, error: StatusError, verdict: _Verdict, *, event: bool) -> None:
        # An ERROR event of 500 says that the server's etcd cannot tell how far it is: it never will.
        never = error.status == 422 or (event and error.status == 500)
        refused = verdict is _Verdict.FATAL or error.status == 403 or never
        if refused and self._options.initial == "stream":
            if error.status == 403:
                self._phase = _Streaming()
                self._wait_slowly(error)
            else:
                self._fail(error)
        elif refused:
            if never:
                self._capabilities.without_stream.add(self._resource)
            self._phase = _Listing()
            self.delay = 0.0
        elif verdict is _Verdict.RETRY_SLOWLY:
            self._phase = _Streaming()
            self._wait_slowly(error)
        else:
            self._phase = self._fresh()
            self._retry(error)

    def _watching_refused(self, error: StatusError, verdict: _Verdict, *, event: bool) -> None:
        if self._progress:
            self._empty_watches = 0
        if verdict is _Verdict.RETRY_SLOWLY:
            if error.status == 404:  # with the resource went its objects
                self._phase = self._fresh()
            self._wait_slowly(error)
            return
        if verdict is _Verdict.FATAL and (error.status == 405 or self._empty_watches >= MAX_EMPTY_WATCHES):
            self._fail(error)
        first = not self._empty_watches
        self._empty_watches += event or verdict is not _Verdict.RETRY
        if verdict is not _Verdict.RETRY or self._empty_watches >= MAX_EMPTY_WATCHES:
            self._phase = self._fresh()
        if verdict is _Verdict.RELIST and first:
            self.state = "relisting"
            self.delay = 0.0
        else:
            self._retry(error)

    # Waiting

    def _retry(self, error: KinformError | None) -> None:
        backoff = self._options.backoff
        delay = min(backoff.maximum, backoff.initial * 2.0 ** min(self._failures, 64))
        asked = error.retry_after if isinstance(error, StatusError) else None
        self._failures += 1
        self._wait(max(delay, min(asked or 0.0, MAX_RETRY_AFTER)))
        self.state = "retrying"

    def _wait_slowly(self, error: StatusError) -> None:
        self._wait(self._options.backoff.refused)
        if isinstance(error, UnauthorizedError):
            self.state = "unauthorized"
            self._unauthorized += 1
            self.reload_credentials = True
            if self._unauthorized == 1:  # the credentials may only be old
                self.delay = 0.0
        else:
            self.state = "forbidden" if isinstance(error, ForbiddenError) else "not_found"

    def _wait(self, seconds: float) -> None:
        self.delay = seconds * (1 + self._options.backoff.jitter * self._random())

    def _fail(self, error: StatusError) -> None:
        self.give_up()
        raise error

    def _fresh(self) -> _Listing | _Streaming:
        if self._options.initial == "list":
            return _Listing()
        if self._options.initial == "auto" and (
            self._resource in self._capabilities.without_stream or self._stream_tries >= STREAM_TRIES
        ):
            return _Listing()
        return _Streaming()


def _verdict(status: Status) -> tuple[type[StatusError], _Verdict]:
    too_large = status.caused_by("ResourceVersionTooLarge") or "Too large resource version" in status.message
    if status.code == 410 or status.reason in ("Expired", "Gone") or too_large:
        return ExpiredError, _Verdict.RELIST
    match status.code:
        case 401:
            return UnauthorizedError, _Verdict.RETRY_SLOWLY
        case 403:
            return ForbiddenError, _Verdict.RETRY_SLOWLY
        case 404:
            return NotFoundError, _Verdict.RETRY_SLOWLY
        case 400 | 405 | 406 | 415 | 422:
            return BadRequestError, _Verdict.FATAL
    return StatusError, _Verdict.RETRY


def _answered(error: TransportError | ProtocolError | None) -> bool:
    """Whether the server spoke at all: an unreachable or a silent one says nothing about the resourceVersion."""
    if isinstance(error, TransportError):
        return error.reached and not isinstance(error, StalledError)
    return True
