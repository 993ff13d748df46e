"""The waits for the streams of a collection: for a state, for a resourceVersion.

Each wait tests its condition after each progress of a stream. Never changes a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

from kinform._checks import require_timeout
from kinform._errors import OptionError, SkippedError, StatusError
from kinform._listwatch.stream import Stream
from kinform._printable import in_seconds, listed
from kinform._stats import UNKNOWN_KEYS, State

REFUSED: tuple[State, ...] = ("unauthorized", "forbidden", "not_found")

# One refusal may be a short fault: an expired token, or a CRD that the server is about to serve.
ANSWERS_UNTIL_RAISED = 2

Streams = Callable[[], Collection[Stream]]
"""Gives the streams of a wait. Raises the error that ends the wait, such as that the informer has failed."""
Opened = Callable[[], Awaitable[None]]
"""Waits until the streams have started."""


class Waits:
    """Waits for streams that report to it.

    Args:
        name: The name of the collection, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._progress = asyncio.Event()

    def wake(self) -> None:
        """Wakes all waits: states, errors or resourceVersions may have changed."""
        progress, self._progress = self._progress, asyncio.Event()
        progress.set()

    async def synced(
        self,
        streams: Streams,
        timeout: float | None,
        *,
        opened: Opened,
        allow_partial: bool = False,
        wait: bool = False,
        allow_skipped: bool = False,
    ) -> None:
        """Waits for the first complete state of every stream. See `Informer.synced`."""

        def missing() -> list[Stream]:
            missing = [stream for stream in streams() if stream.last_sync is None]
            refused = [stream for stream in missing if stream.state in REFUSED]
            if allow_partial:
                return [] if len(missing) == len(refused) else missing
            if not wait:
                _raise_refusal(stream for stream in refused if stream.refusals >= ANSWERS_UNTIL_RAISED)
            return missing

        await self._until(
            missing, streams, timeout, "not synced", opened=opened, raise_refusal=True, allow_skipped=allow_skipped
        )

    async def reached(
        self, streams: Streams, resource_version: str, timeout: float | None, *, opened: Opened, allow_skipped: bool
    ) -> None:
        """Waits until every stream has reached a resourceVersion. See `Informer.wait_for`."""
        wanted = _number(resource_version, "a string of digits, as in the server's answer to a write")
        no_order = "a string of digits: the resourceVersions of this resource have no order"
        await self._until(
            lambda: [stream for stream in streams() if _number(stream.resource_version or "0", no_order) < wanted],
            streams,
            timeout,
            f"resourceVersion {resource_version} not seen",
            opened=opened,
            allow_skipped=allow_skipped,
        )

    async def _until(
        self,
        missing: Streams,
        streams: Streams,
        timeout: float | None,
        what: str,
        *,
        opened: Opened,
        allow_skipped: bool,
        raise_refusal: bool = False,
    ) -> None:
        """Waits until no stream is missing.

        Args:
            missing: Gives the streams that the wait still needs. It may raise to end the wait.
            streams: Gives all streams that it is about.
            timeout: Seconds to wait; None: no limit.
            what: The missing event, for the TimeoutError.
            opened: Waits until the streams have started.
            allow_skipped: Do not wait until the skipped objects are received.
            raise_refusal: At the timeout, raise the error of a stream that the server refuses instead.

        Raises:
            OptionError: `timeout` is not a number.
            SkippedError: At the timeout, if only skipped objects are missing.
            TimeoutError: At the timeout; names the state of each missing stream.
            KinformError: The informer has stopped or failed. If it has failed: the error that ended it.
        """
        require_timeout(timeout)
        started = False
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                await opened()
                started = True
                while True:
                    progress = self._progress
                    if not missing() and (allow_skipped or not is_degraded(streams())):
                        return
                    await progress.wait()
        except TimeoutError:
            if not limit.expired():
                raise  # the error with which the informer has failed
            if not started:
                raise TimeoutError(f"{what} after {in_seconds(timeout)}; {self._name}: starting") from None
            left = missing()
            if not left:
                if allow_skipped or not is_degraded(streams()):
                    return
                raise _skipped(streams(), f"not received again after {in_seconds(timeout)}") from None
            if raise_refusal:
                _raise_refusal(stream for stream in left if stream.state in REFUSED)
            raise TimeoutError(f"{what} after {in_seconds(timeout)}; {describe(left)}") from None


def _skipped(streams: Iterable[Stream], why: str) -> SkippedError:
    degraded = [stream for stream in streams if stream.healing.is_degraded]
    keys = degraded_keys(degraded)
    known = [key for key in keys if key != UNKNOWN_KEYS]
    return SkippedError(listed([stream.name for stream in degraded]), known[0] if known else None, why, keys=keys)


def degraded_keys(streams: Iterable[Stream]) -> list[str]:
    """Returns the keys of the skipped objects of these streams."""
    return [key for stream in streams for key in stream.healing.degraded]


def is_degraded(streams: Iterable[Stream]) -> bool:
    """Returns whether one of these streams has skipped objects."""
    return any(stream.healing.is_degraded for stream in streams)


def _raise_refusal(streams: Iterable[Stream]) -> None:
    for stream in streams:
        if isinstance(stream.error, StatusError):
            raise stream.error.with_traceback(None) from None


def describe(streams: Iterable[Stream]) -> str:
    """Returns the state of each stream and its cause, for a TimeoutError."""
    return ", ".join(f"{stream.name}: {_state(stream)}" for stream in streams)


def _state(stream: Stream) -> str:
    if stream.error is None:
        return stream.state
    # An error is kept until progress. While a request is under way, it is the past and not the cause of the wait.
    present = stream.state in (*REFUSED, "retrying", "failed")
    return f"{stream.state} ({stream.error})" if present else f"{stream.state}, last error: {stream.error}"


def _number(resource_version: str, allowed: str) -> int:
    if not isinstance(resource_version, str) or not resource_version.isdecimal():
        raise OptionError("resource_version", resource_version, allowed)
    return int(resource_version)
