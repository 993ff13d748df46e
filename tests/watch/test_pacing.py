"""Intervals between the requests of kinform's Watch, and its patience."""

from __future__ import annotations

import itertools
import time

import pytest

from kinform._errors import ProtocolError
from kinform._watch.recovery import MAX_INTERVAL, MIN_INTERVAL, PATIENCE, Ended, Recovery, Silent
from kinform.watch import Watch
from tests.watch.clients import FakeApi, event, exhaust


@pytest.fixture(autouse=True)
def fast() -> None:
    """Keeps the waits between requests."""


def make(arguments: dict[str, object] | None = None, **options: object) -> Recovery:
    recovery = Recovery(
        {} if arguments is None else arguments,
        **{"name": "list", "on_expired": "raise", "idle_timeout": 30.0, **options},
    )  # type: ignore[arg-type]
    recovery.sending(0.0)
    recovery.answered()
    return recovery


def connections(recovery: Recovery, error: Exception, seconds: float, lasts: float = 0.0) -> list[float]:
    """Returns the times of the requests if each connection ends with an error."""
    now, times = 0.0, [0.0]
    while now < seconds:
        now += lasts
        if recovery.judge(error, now) is not None:
            break
        now += recovery.wait(now)
        recovery.sending(now)
        times.append(now)
    return times


@pytest.mark.parametrize("error", [Ended(), Silent(), TimeoutError(), ConnectionResetError(), ProtocolError("x")])
def test_connections_without_events_get_rarer(error):
    times = connections(make(), error, 20)
    distances = [later - before for before, later in itertools.pairwise(times)]
    assert distances[:5] == [0.5, 1.0, 2.0, 4.0, 4.0]


def test_after_an_event_the_wait_is_the_shortest():
    recovery = make()
    connections(recovery, Ended(), 20)
    recovery.received("MODIFIED", "7")
    assert recovery.judge(Ended(), 21.0) is None
    recovery.sending(21.0)
    assert recovery.wait(21.0) == MIN_INTERVAL


def test_a_connection_that_lasted_is_followed_at_once():
    recovery = make()
    assert recovery.judge(Ended(), MAX_INTERVAL) is None
    assert recovery.wait(MAX_INTERVAL) == 0


@pytest.mark.parametrize("error", [ConnectionResetError(), ProtocolError("x")])
def test_patience_ends_without_an_event(error):
    recovery = make()
    assert PATIENCE <= connections(recovery, error, 1000)[-1] <= PATIENCE + MAX_INTERVAL
    recovery.received("ADDED", "7")
    assert recovery.judge(error, 1000.0) is None


def test_silence_and_ends_are_followed_without_a_limit():
    for error in (Ended(), Silent(), TimeoutError()):
        assert connections(make(), error, 10_000)[-1] >= 10_000


def test_errors_of_programs_are_never_followed():
    for error in (ValueError(), RuntimeError(), KeyError(), OSError()):
        assert make().judge(error, 1.0) is error


def test_patience_for_silence():
    assert make().patience(7.0) == 30.0
    assert make(idle_timeout=None).patience(7.0) is None
    assert make(continues=False).patience(7.0) is None
    unknown = make()
    unknown.received("ADDED", "")
    assert unknown.patience(7.0) is None  # a new connection would repeat the event
    limited = make({"timeout_seconds": 60}, idle_timeout=1.0)
    assert limited.patience(0.0) == 65.0
    assert limited.patience(50.0) == 15.0
    assert limited.patience(100.0) == 5.0  # the server still sends


async def test_the_end_of_a_short_stream_comes_a_moment_later(client):
    async with Watch() as watch:
        start = time.monotonic()
        await exhaust(watch.stream(FakeApi(client, []).list_namespace, timeout_seconds=5))
        assert time.monotonic() - start >= MIN_INTERVAL


async def test_stop_ends_at_once(client):
    async with Watch() as watch:
        watch.stream(FakeApi(client, [event("ADDED", "a", "1")]).list_namespace)
        await anext(watch)
        watch.stop()
        start = time.monotonic()
        assert await exhaust(watch) == []
        assert time.monotonic() - start < MIN_INTERVAL
