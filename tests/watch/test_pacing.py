"""Intervals between the requests of kinform's Watch, and its patience."""

from __future__ import annotations

import asyncio
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


def test_headers_and_the_rest_of_a_line_are_expected_soon():
    recovery = make({"resource_version": "7"})
    assert recovery.patience(7.0, cut=True) == 30.0
    recovery.sending(7.0)
    assert recovery.patience(7.0) == 30.0
    assert make(idle_timeout=None).patience(7.0, cut=True) is None


def test_after_an_event_more_data_is_expected_soon():
    recovery = make({"resource_version": "7"})
    recovery.received("ADDED", "8")
    assert recovery.patience(7.0) == 30.0


def test_a_quiet_connection_is_replaced_only_if_it_has_bookmarks():
    initial, quiet, marked = make(), make({"resource_version": "7"}), make({"resource_version": "7"}, bookmarks=True)
    initial.received("ADDED", "5")  # this version may be years old
    assert initial.patience(7.0) is None
    assert quiet.patience(7.0) is None
    assert marked.patience(7.0) == 90.0
    marked.received("BOOKMARK", "8")
    assert marked.patience(7.0) == 90.0
    marked.received("MODIFIED", "9")
    assert marked.patience(7.0) == 30.0
    marked.sending(8.0)
    marked.answered()
    assert marked.patience(8.0) == 90.0


def test_a_log_may_be_silent_for_ever():
    assert make(continues=False).patience(7.0, cut=True) is None


def test_the_server_must_end_a_limited_stream():
    limited = make({"timeout_seconds": 60}, idle_timeout=1.0)
    assert limited.patience(0.0) == 65.0
    assert limited.patience(50.0) == 15.0
    assert limited.patience(100.0) == 5.0  # the server still sends


class Gone(Exception):
    status = 410


def test_a_410_after_a_replaced_connection_is_not_raised():
    arguments: dict[str, object] = {}
    recovery = make(arguments, bookmarks=True)
    recovery.received("ADDED", "5")
    assert recovery.judge(Silent(), 90.0) is None
    assert arguments == {"resource_version": "5"}
    for _ in range(2):
        recovery.sending(91.0)
        assert recovery.judge(Gone(), 92.0) is None
        assert arguments == {}
    recovery.received("MODIFIED", "9")
    assert recovery.judge(Gone(), 93.0) is None  # the one retry that the originals have
    assert isinstance(recovery.judge(Gone(), 94.0), Gone)


async def test_the_end_of_a_short_stream_comes_a_moment_later(client):
    async with Watch() as watch:
        start = time.monotonic()
        await exhaust(watch.stream(FakeApi(client, []).list_namespace, timeout_seconds=5))
        assert time.monotonic() - start >= MIN_INTERVAL


async def test_stop_ends_at_once(client, monkeypatch):
    for limit in ("MIN_INTERVAL", "MAX_INTERVAL"):
        monkeypatch.setattr(f"kinform._watch.recovery.{limit}", 60.0)
    async with Watch() as watch:
        watch.stream(FakeApi(client, [event("ADDED", "a", "1")]).list_namespace)
        await anext(watch)
        watch.stop()
        assert await asyncio.wait_for(exhaust(watch), 5) == []
