"""The verdict on a refusal, and on the end of a connection.

A verdict depends on the status or the error, on the phase, and on the counters, which these functions update. All such
conditions are here, so that the transition depends on phase and verdict only.
"""

from __future__ import annotations

from kinform._errors import (
    BadRequestError,
    ExpiredError,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    StalledError,
    StatusError,
    TransportError,
    UnauthorizedError,
)
from kinform._listwatch.frames import Status
from kinform._listwatch.phases import Counters, Phase, PhaseData, Streaming, Watching
from kinform._listwatch.transitions import MAX_EMPTY_WATCHES, MAX_STREAM_TRIES, Verdict


def judge_refusal(
    status: Status, phase: PhaseData, counters: Counters, *, event: bool
) -> tuple[type[StatusError], Verdict]:
    """Returns the error and the verdict for a refusal.

    Args:
        status: The refusal.
        phase: The phase in which it came.
        counters: Updated.
        event: The refusal is an ERROR event in the body, not an HTTP status.
    """
    error, verdict = _judge_status(status)
    if verdict in (Verdict.UNAUTHORIZED, Verdict.FORBIDDEN, Verdict.NOT_FOUND):
        counters.refusals = counters.refusals + 1 if status.code == counters.refused_status else 1
        counters.refused_status = status.code
    match phase:
        # An ERROR event of 500 means that the server's etcd cannot report its progress. It never will.
        case Streaming() if status.code == 422 or (event and status.code == 500):
            return error, Verdict.UNSUPPORTED
        case Watching(progress):
            if progress:
                counters.empty_watches = 0
            verdict = _judge_refused_watch(verdict, status.code, counters, event=event)
    if verdict is Verdict.UNAUTHORIZED:
        counters.unauthorized += 1
        return error, Verdict.RELOAD if counters.unauthorized == 1 else verdict
    return error, verdict


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
        case Watching(progress):
            if progress or elapsed >= long_enough:
                counters.failures = counters.empty_watches = 0
                if error is None:
                    return Verdict.RESUME
            counters.empty_watches += _server_answered(error)
            if counters.empty_watches >= MAX_EMPTY_WATCHES:
                return Verdict.RELIST_LATER
    return Verdict.RETRY


def _judge_status(status: Status) -> tuple[type[StatusError], Verdict]:
    too_large = status.caused_by("ResourceVersionTooLarge") or "Too large resource version" in (status.message or "")
    if status.code == 410 or status.reason in ("Expired", "Gone") or too_large:
        return ExpiredError, Verdict.RELIST
    match status.code:
        case 401:
            return UnauthorizedError, Verdict.UNAUTHORIZED
        case 403:
            return ForbiddenError, Verdict.FORBIDDEN
        case 404:
            return NotFoundError, Verdict.NOT_FOUND
        case 400 | 405 | 406 | 415 | 422:
            return BadRequestError, Verdict.FATAL
    return StatusError, Verdict.RETRY


def _judge_refused_watch(verdict: Verdict, code: int, counters: Counters, *, event: bool) -> Verdict:
    before = counters.empty_watches
    match verdict:
        case Verdict.RETRY:
            counters.empty_watches += event  # an HTTP status says nothing about the resourceVersion
            return Verdict.RELIST_LATER if counters.empty_watches >= MAX_EMPTY_WATCHES else verdict
        case Verdict.RELIST:
            counters.empty_watches += 1
            return Verdict.RELIST_LATER if before else verdict
        case Verdict.FATAL if code != 405 and before < MAX_EMPTY_WATCHES:  # the resourceVersion may be what is wrong
            counters.empty_watches += 1
            return Verdict.RELIST_LATER
    return verdict


def _server_answered(error: TransportError | ProtocolError | None) -> bool:
    """Returns whether the server answered.

    A server that is unreachable or silent says nothing about the resourceVersion.
    """
    if isinstance(error, TransportError):
        return error.reached and not isinstance(error, StalledError)
    return True
