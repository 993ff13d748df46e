"""The verdict on a refusal, and on the end of a connection.

A verdict depends on the status or the error, on the phase, and on the counters, which these functions update. All such
conditions are here, so that the transition depends on phase and verdict only.
"""

from __future__ import annotations

from kinform._errors import (
    BadRequestError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    ProtocolError,
    StalledError,
    StatusError,
    TransportError,
    UnauthorizedError,
)
from kinform._listwatch.pages import MAX_UNASKED_OBJECTS
from kinform._listwatch.phases import Counters, Listing, Paging, Phase, PhaseData, Streaming, Watching
from kinform._listwatch.transitions import (
    MAX_EMPTY_WATCHES,
    MAX_PAGES,
    MAX_STATE_OBJECTS,
    MAX_STREAM_TRIES,
    Verdict,
)
from kinform._sharding import is_about_selector
from kinform._status import Status

_VERDICTS: dict[type[StatusError], Verdict] = {
    BadRequestError: Verdict.FATAL,
    InvalidError: Verdict.FATAL,
    UnauthorizedError: Verdict.UNAUTHORIZED,
    ForbiddenError: Verdict.FORBIDDEN,
    NotFoundError: Verdict.NOT_FOUND,
    ExpiredError: Verdict.RELIST,
}


def judge_page(token: str, phase: Listing | Paging) -> Verdict:
    """Returns the verdict on a page that has a `continue` token, and counts the page."""
    if phase.pages.end_page(token) or phase.pages.count >= MAX_PAGES:
        return Verdict.ENDLESS_LIST
    return Verdict.PAGE_LATER if phase.unpaged else Verdict.NEXT_PAGE


def judge_size(objects: int, phase: Listing | Paging | Streaming, limit: int) -> str:
    """Counts more objects of a state. Returns what has too many of them, or `""`.

    Args:
        objects: The number of these objects.
        phase: The phase in which they came.
        limit: The number of objects that was requested for a page; 0: all.
    """
    if isinstance(phase, Streaming):
        phase.objects += objects
        total = phase.objects
    else:
        phase.pages.objects += objects
        phase.pages.page_objects += objects
        total = phase.pages.objects
        if limit and phase.pages.page_objects > limit + MAX_UNASKED_OBJECTS:
            return (
                f"a page of at most {limit:,} objects was requested, and has more than {MAX_UNASKED_OBJECTS:,} others"
            )
    return f"the state has more than {MAX_STATE_OBJECTS:,} objects" if total > MAX_STATE_OBJECTS else ""


def judge_refusal(
    status: Status,
    elapsed: float,
    phase: PhaseData,
    counters: Counters,
    *,
    event: bool,
    names_shards: bool,
    long_enough: float,
) -> Verdict:
    """Returns the verdict for a refusal.

    Args:
        status: The refusal.
        elapsed: Seconds since the request.
        phase: The phase in which it came.
        counters: Updated.
        event: The refusal is an ERROR event in the body, not an HTTP status.
        names_shards: The request had a `shardSelector`.
        long_enough: Seconds after which a watch that brought nothing counts as progress.
    """
    if names_shards and not event and _refuses_shards(status, phase):
        return Verdict.UNSHARDED
    verdict = _VERDICTS.get(status.kind, Verdict.RETRY)
    if verdict in (Verdict.UNAUTHORIZED, Verdict.FORBIDDEN, Verdict.NOT_FOUND):
        counters.refusals = counters.refusals + 1 if status.code == counters.refused_status else 1
        counters.refused_status = status.code
    match phase:
        # An ERROR event of 500 means that the server's etcd cannot report its progress. It never will.
        case Streaming() if status.code == 422 or (event and status.code == 500):
            return Verdict.UNSUPPORTED
        case Watching():
            _count_progress(phase, elapsed, counters, long_enough)
            verdict = _judge_refused_watch(verdict, status.code, counters, event=event)
    if verdict is Verdict.UNAUTHORIZED:
        counters.unauthorized += 1
        # An accepted request starts the counter over. So each of many ERROR events would be the first 401.
        return Verdict.RELOAD if counters.unauthorized == 1 and not event else verdict
    return verdict


def judge_end(
    error: TransportError | ProtocolError | None,
    elapsed: float,
    phase: PhaseData,
    counters: Counters,
    *,
    long_enough: float,
) -> Verdict:
    """Returns the verdict on the end of a connection, or on its failure to open.

    Args:
        error: The failure; None if the server ended the body without an error.
        elapsed: Seconds since the request.
        phase: The phase in which it ended.
        counters: Updated.
        long_enough: Seconds after which a watch that brought nothing counts as progress.
    """
    match phase:
        case Streaming(Phase.STREAM) if counters.stream_tries >= MAX_STREAM_TRIES:
            # A failure of the network says nothing about the server's abilities.
            return Verdict.UNFINISHED if error is None or isinstance(error, StalledError) else Verdict.RETRY
        case Watching():
            if _count_progress(phase, elapsed, counters, long_enough) and error is None:
                return Verdict.RESUME
            counters.empty_watches += _server_answered(error)
            if counters.empty_watches >= MAX_EMPTY_WATCHES:
                return _relist(counters)
    return Verdict.RETRY


def _refuses_shards(status: Status, phase: PhaseData) -> bool:
    if is_about_selector(status.message or ""):
        return status.code in (400, 422, 500)
    return status.code in (400, 422) and isinstance(phase, Listing)  # the stream would fail


def _judge_refused_watch(verdict: Verdict, code: int, counters: Counters, *, event: bool) -> Verdict:
    before = counters.empty_watches
    match verdict:
        case Verdict.RETRY:
            counters.empty_watches += event  # an HTTP status says nothing about the resourceVersion
            return _relist(counters) if counters.empty_watches >= MAX_EMPTY_WATCHES else verdict
        case Verdict.RELIST:
            counters.empty_watches += 1
            return _relist(counters, at_once=not before)
        case Verdict.FATAL if code != 405 and before < MAX_EMPTY_WATCHES:  # the resourceVersion may be what is wrong
            counters.empty_watches += 1
            return _relist(counters)
    return verdict


def _relist(counters: Counters, *, at_once: bool = False) -> Verdict:
    """Returns the verdict on a failed watch after which a complete state is necessary.

    A state is expensive for the server. So the waits grow with each one until a watch lasts, even if the watches
    between them make progress.
    """
    counters.relists += 1
    if at_once and counters.relists == 1:
        return Verdict.RELIST
    counters.failures = max(counters.failures, counters.relists - 2)
    return Verdict.RELIST_LATER


def _count_progress(watch: Watching, elapsed: float, counters: Counters, long_enough: float) -> bool:
    """Returns whether a watch made progress or lasted. If so, counters start over."""
    lasted = watch.accepted and elapsed >= long_enough  # a connection may also take long to fail
    if lasted:
        counters.relists = 0
    if lasted or watch.progress:
        counters.failures = counters.empty_watches = 0
    return lasted or watch.progress


def _server_answered(error: TransportError | ProtocolError | None) -> bool:
    """Returns whether the server answered.

    A server that is unreachable or silent says nothing about the resourceVersion.
    """
    if isinstance(error, TransportError):
        return error.reached and not isinstance(error, StalledError)
    return True
