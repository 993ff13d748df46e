"""The list-watch state machine of one stream. It does no I/O (sans-io).

Names the next request, turns frames into steps, and decides after each failure how long to wait and whether the
current state can be resumed. Never awaits, sleeps or reads a clock: the stream does, and reports what happened.
`transitions.py` holds the transitions.
Source: kube-runtime's watcher, client-go's reflector, KEP-3157 (WatchList), Kubernetes' API concepts.
"""

from __future__ import annotations

from collections.abc import Callable

from kinform._counts import RelistReason, StreamCounts
from kinform._errors import (
    ExpiredError,
    KinformError,
    ProtocolError,
    StatusError,
    TransportError,
    UnauthorizedError,
)
from kinform._events import Applied, Init, InitDone, Skipped, Step
from kinform._listwatch.call_order import CallOrderError, ExpectedCall, expected_after
from kinform._listwatch.capabilities import Capabilities
from kinform._listwatch.frames import Bookmark, Foreign, Frame, ListEnd, Skip
from kinform._listwatch.pages import accept_header, page_params, selector_params
from kinform._listwatch.phases import Counters, Listing, Paging, Phase, PhaseData, Streaming, Watching
from kinform._listwatch.transitions import MAX_STREAM_TRIES, TRANSITIONS, Next, Verdict, Wait
from kinform._listwatch.verdicts import judge_end, judge_page, judge_refusal, judge_size
from kinform._resource_versions import is_newer
from kinform._sharding import ShardSet
from kinform._spec import CollectionSpec
from kinform._stats import State
from kinform._status import Status
from kinform._transport.base import Request
from kinform_ext._scan import Batch

# The initial events of a WatchList normally contain one bookmark, the last. After this number it will not come.
MAX_BOOKMARKS_BEFORE_END = 5

# Seconds a server may ask to wait: one bad header of a proxy must not park a stream for years.
MAX_RETRY_AFTER = 600.0


class ListWatchMachine:
    """The state machine of one stream: all namespaces, or one.

    The order of calls is: `request`, then `accepted`, `refused` or `ended`. After `accepted` any number of `take`,
    until one sets `close_requested` or the body ends; then `ended`, unless `close_requested` is set. In a watch,
    `relist` may take the place of `take`; it sets `close_requested`. `reshard` may take the place of `take` or come
    before `request`. Before the next `request`, wait `delay` seconds, and until `interval` seconds after the last one.
    Any other order raises `CallOrderError`. `abandoned`, `give_up` and `stop` are legal at any time.

    Args:
        spec: The collection to follow. The machine ignores the namespaces of its scope.
        namespace: The namespace to follow, or `""` for all.
        capabilities: Facts about the server. The machine adds to them.
        random: Returns numbers from 0 up to 1, for jitter.
        resource_version: The resourceVersion of a state that the caller has. The machine resumes it by a watch, and
            relists only if the server refuses that.
        counts: The machine counts relists and reconnects here.
        overload_jitter: Seconds over which the requests after a 429 are spread, in addition to the other waits.

    Attributes:
        name: The name of the stream, for messages: see `CollectionSpec.name`.
        state: The state that users see.
        resource_version: The state is complete and current up to it; `""` before the first complete state.
        error: The last failure, or None since the last progress.
        delay: Seconds to wait before the next request.
        interval: Seconds that must pass between the last request and the next one.
        close_requested: The caller must close the current connection.
        reload_credentials: The last answer was 401: read the credentials again before the next request.
        shards: The shards to request; None: all objects.
        names_shards: The last request has a `shardSelector`.
    """

    def __init__(
        self,
        spec: CollectionSpec,
        namespace: str,
        *,
        capabilities: Capabilities,
        random: Callable[[], float],
        resource_version: str = "",
        counts: StreamCounts | None = None,
        overload_jitter: float = 0.0,
    ) -> None:
        self._counts = StreamCounts() if counts is None else counts
        self._resource = spec.resource
        self._namespace = namespace
        self._scope = spec.scope
        self._options = spec.options
        self._capabilities = capabilities
        self._random = random
        self._overload_jitter = overload_jitter
        self._timeout = 0  # of the last request: seconds after which the server ends the watch
        self._expected = ExpectedCall.REQUEST
        self._counters = Counters()
        self.name = spec.name(namespace)
        self.state: State = "stale" if resource_version else "starting"
        self.resource_version = resource_version
        self.error: KinformError | None = None
        self.delay = 0.0
        self.interval = 0.0
        self.close_requested = False
        self.reload_credentials = False
        self.shards = spec.shards
        self.names_shards = False
        self._shards_refused = False  # a request with them was; it counts as soon as one without is accepted
        self._has_state = bool(resource_version)
        self._phase: PhaseData = Watching(resource_version) if resource_version else self._start()

    # The calls, in their order

    def request(self) -> Request:
        """Returns the next request."""
        self._called("request")
        self.close_requested = False
        self._timeout = int(self._options.watch_timeout * (1 + self._random()))
        scope, page_size = self._scope, self._options.page_size
        shards = None if self._shards_refused or self._capabilities.without_shards else self.shards
        self.names_shards = shards is not None
        params = selector_params(scope, shards)
        watch = True
        match self._phase:
            case Listing() | Paging() as phase:
                watch = False
                phase.pages.begin_page()
                token = phase.token if isinstance(phase, Paging) else ""
                params += page_params(0 if phase.unpaged else page_size, token)
            case Streaming() as phase:
                phase.bookmarks = phase.objects = 0
                params += [
                    ("watch", "true"),
                    ("sendInitialEvents", "true"),
                    ("resourceVersionMatch", "NotOlderThan"),
                    ("allowWatchBookmarks", "true"),
                    ("timeoutSeconds", str(self._timeout)),
                ]
            case Watching() as phase:
                phase.accepted = phase.progress = False
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
            accept=accept_header(scope, watch=watch),
            gzip=self._options.compression == "gzip" and not watch,
            watch=watch,
        )

    def accepted(self) -> Init | None:
        """Handles a status of 200. Returns `Init` if a new state begins."""
        self._called("accepted")
        self._counters.unauthorized = self._counters.refusals = 0
        if self._shards_refused:
            self._capabilities.refuses_shards(self.name)
        if isinstance(self._phase, Watching):
            self._phase.accepted = True
            self.state = "live"
            return None
        self.state = "relisting" if self._has_state else "syncing"
        if isinstance(self._phase, Streaming):
            self._counters.stream_tries += 1
        return None if isinstance(self._phase, Paging) else Init()

    def refused(self, status: Status, *, retry_after: float | None = None) -> None:
        """Handles any other HTTP status.

        Raises:
            StatusError: The server refuses this request, and a retry cannot succeed.
        """
        self._called("refused")
        self._refuse(status, retry_after, 0.0, event=False)

    def take(self, frame: Frame, elapsed: float = 0.0) -> Step | None:
        """Takes the next frame of the body, and returns the step that it makes.

        Args:
            frame: The frame.
            elapsed: Seconds since the request.

        Raises:
            StatusError: The frame is a refusal, and a retry cannot succeed.
        """
        self._called("take")
        phase = self._phase
        initial = not isinstance(phase, Watching)
        match frame:
            case Batch():
                if isinstance(phase, Listing | Paging):
                    phase.pages.first_key = phase.pages.first_key or frame.key(0)
                if self._is_endless(phase, len(frame)):
                    return None
                self._reached(frame.last_resource_version)
                return Applied(frame, initial)
            case Skip():
                if self._is_endless(phase, 1):
                    return None
                self._reached(frame.resource_version)
                return Skipped(frame.verb, frame.key, initial)
            case Foreign():
                if not self._is_endless(phase, frame.count):
                    self._reached(frame.resource_version)
            case ListEnd():
                self._close()
                if not frame.page:
                    return self._complete(frame.resource_version)
                self._end_page(frame.page)
            case Bookmark(end, True) if isinstance(phase, Streaming):
                return self._complete(end)
            case Bookmark() if isinstance(phase, Streaming):
                phase.bookmarks += 1
                if phase.bookmarks >= MAX_BOOKMARKS_BEFORE_END:
                    self._close()
                    self._end(None, 0.0)
            case Bookmark():
                self._reached(frame.resource_version)
            case Status():
                self._refuse(frame, None, elapsed, event=True)
        return None

    def ended(self, error: TransportError | ProtocolError | None, elapsed: float) -> None:
        """Handles the end of the connection, or its failure to open.

        Args:
            error: The failure; None if the server ended the body without an error.
            elapsed: Seconds since the request.
        """
        self._called("ended")
        self._end(error, elapsed)

    def relist(self) -> None:
        """Handles that the caller needs a new complete state, in the middle of a watch."""
        if self._expected is not ExpectedCall.BODY or not isinstance(self._phase, Watching):
            raise CallOrderError(f"{self.name}: relist() was called, expected a watch")
        self._close()
        self._move(Verdict.HEAL)

    def reshard(self, shards: ShardSet, *, complete: bool) -> None:
        """Handles that the stream follows other shards from the next request on.

        Args:
            shards: The shards.
            complete: The state of the caller has all objects of these shards, if it is complete.
        """
        if self._expected is ExpectedCall.ANSWER:
            raise CallOrderError(f"{self.name}: reshard() was called, expected {self._expected.value}")
        if self._expected is ExpectedCall.BODY:
            self._close()
        self.shards = shards
        self._move(Verdict.NARROW if complete and self.watching else Verdict.RESHARD)

    def abandoned(self) -> None:
        """Handles that the caller closed the current connection, if there was one."""
        self._expected = ExpectedCall.REQUEST

    def give_up(self, error: Exception) -> None:
        """Sets the state after a failure that the caller does not recover from.

        Keeps the error only if it is a `KinformError`: the text of another one may quote anything.
        """
        self.state = "failed"
        self.error = error if isinstance(error, KinformError) else None

    def stop(self) -> None:
        """Sets the state after the last use."""
        if self.state != "failed":
            self.state = "stopped"

    @property
    def watching(self) -> bool:
        """True if the state is complete, and all further changes come from a watch."""
        return isinstance(self._phase, Watching)

    @property
    def failures(self) -> int:
        """Failures in a row, until progress."""
        return max(self._counters.failures, self._counters.refusals)

    @property
    def refusals(self) -> int:
        """Answers of 401, 403 or 404 in a row, all with the same status."""
        return self._counters.refusals

    @property
    def silence(self) -> float:
        """Seconds without a complete frame after which the connection counts as dead."""
        if not isinstance(self._phase, Watching):
            return self._options.headers_timeout
        if self._options.silence_timeout is not None:
            return self._options.silence_timeout
        return min(self._timeout + 15.0, 200.0)  # three bookmarks missed; load balancers give up after 240

    def _called(self, call: str) -> None:
        self._expected = expected_after(call, self._expected, name=self.name)

    def _close(self) -> None:
        self.close_requested = True
        self._expected = ExpectedCall.REQUEST

    # Progress

    def _complete(self, resource_version: str) -> InitDone:
        self.resource_version = resource_version
        self._has_state = True
        self._move(Verdict.COMPLETE)
        self._counters.stream_tries = 0
        if not self._counters.empty_watches:  # otherwise the next watch has to prove that it works
            self._progressed()
        return InitDone(resource_version)

    def _reached(self, resource_version: str) -> None:
        watch = self._phase
        if not resource_version or not isinstance(watch, Watching):  # a part of a state has none of its own
            return
        self.resource_version = resource_version
        if is_newer(resource_version, watch.highest):
            watch.highest = resource_version
            watch.progress = True
            self._progressed()

    def _end_page(self, token: str) -> None:
        assert isinstance(self._phase, Listing | Paging)
        verdict = judge_page(token, self._phase)
        if verdict is Verdict.ENDLESS_LIST:
            self.error = ProtocolError(f"list {self.name}: the pages of the list have no end")
        self._move(verdict, token=token)

    def _is_endless(self, phase: PhaseData, objects: int) -> bool:
        """Counts objects of a state, and gives the request up if they are too many."""
        if isinstance(phase, Watching):
            return False
        verb, limit = "watch", 0
        if not isinstance(phase, Streaming):
            verb, limit = "list", 0 if phase.unpaged else self._options.page_size
        why = judge_size(objects, phase, limit)
        if why:
            self._close()
            self.error = ProtocolError(f"{verb} {self.name}: {why}")
            self._move(Verdict.ENDLESS_LIST)
        return bool(why)

    def _progressed(self) -> None:
        self._counters.failures = self._counters.empty_watches = 0
        self.error = None
        self.delay = 0.0

    # Failures

    def _refuse(self, status: Status, retry_after: float | None, elapsed: float, *, event: bool) -> None:
        self._close()
        verdict = judge_refusal(
            status,
            elapsed,
            self._phase,
            self._counters,
            event=event,
            names_shards=self.names_shards,
            long_enough=self._options.backoff.maximum,
        )
        verb = "list" if isinstance(self._phase, Listing | Paging) else "watch"
        self.error = status.error(self.name, verb=verb, retry_after=retry_after)
        self.reload_credentials |= isinstance(self.error, UnauthorizedError)
        self._move(verdict, self.error)
        if status.code == 429:
            self.delay += self._overload_jitter * self._random()

    def _end(self, error: TransportError | ProtocolError | None, elapsed: float) -> None:
        self.error = error
        maximum = self._options.backoff.maximum
        self._move(judge_end(error, elapsed, self._phase, self._counters, long_enough=maximum), error)

    # Transitions

    def _move(self, verdict: Verdict, error: KinformError | None = None, *, token: str = "") -> None:
        """Makes the transition for a verdict: phase, delay and state."""
        transition = TRANSITIONS[self._phase.phase, verdict]
        self._shards_refused |= verdict is Verdict.UNSHARDED
        watched = self.watching
        self.state = transition.state or self.state
        match transition.next:
            case Next.NOTHING:
                assert error is not None
                raise error
            # Without a resourceVersion it is unknown what happened between two watches.
            case Next.RESUME if not self.resource_version:
                self._phase = self._start()
            case Next.START:
                self._phase = self._start()
            case Next.LIST:
                self._phase = Listing()
            case Next.LIST_ALWAYS:
                self._capabilities.without_stream.add(self._resource)
                self._phase = Listing()
            case Next.WHOLE_LIST:
                self._phase = Listing(unpaged=True)
            case Next.PAGE:
                assert isinstance(self._phase, Listing | Paging)
                self._phase = Paging(token, self._phase.unpaged, self._phase.pages)
            case Next.WATCH:  # a streaming list continues as a watch
                self._phase = Watching(self.resource_version, accepted=True, progress=bool(self.resource_version))
        if watched and self.watching:
            self._counts.reconnects += 1
        elif watched:
            self._counts.relists[_relist_reason(verdict, error)] += 1
        backoff = self._options.backoff
        jitter = 1 + backoff.jitter * self._random() if transition.wait is not Wait.NONE else 1.0
        self.interval = backoff.initial * jitter if transition.wait is Wait.INTERVAL else 0.0
        self.delay = self._wait(transition.wait, error) * jitter

    def _start(self) -> Listing | Streaming:
        if self._options.initial == "stream":
            return Streaming(Phase.STREAM_ONLY)
        tried = self._counters.stream_tries >= MAX_STREAM_TRIES or self._resource in self._capabilities.without_stream
        return Listing() if self._options.initial == "list" or tried else Streaming(Phase.STREAM)

    def _wait(self, wait: Wait, error: KinformError | None) -> float:
        backoff = self._options.backoff
        match wait:
            case Wait.NONE | Wait.INTERVAL:
                return 0.0
            # Asks soon after the first refusal, so that a caller who waits for the first state knows early.
            case Wait.SLOWLY if self._has_state or self._counters.refusals > 1:
                return backoff.refused
            case _:
                seconds = min(backoff.maximum, backoff.initial * 2.0 ** min(self._counters.failures, 64))
                self._counters.failures += 1
                if isinstance(error, StatusError) and error.retry_after is not None:
                    seconds = max(seconds, min(error.retry_after, MAX_RETRY_AFTER))
                return seconds


def _relist_reason(verdict: Verdict, error: KinformError | None) -> RelistReason:
    """Returns why a complete state replaces a watch."""
    match verdict:
        case Verdict.HEAL | Verdict.RESHARD:
            return "requested"
        case Verdict.NOT_FOUND:
            return "not_found"
        case Verdict.RELIST | Verdict.RELIST_LATER:
            return "expired" if isinstance(error, ExpiredError) else "failing"
        case _:
            return "no_resource_version"
