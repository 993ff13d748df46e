"""How an informer waits: what the server asks for, its own deadlines, and how little it says meanwhile."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import sys
import time
from collections.abc import AsyncIterator, Mapping

import pytest

import kinform
from kinform import _throttled_log
from kinform._listwatch import stream
from kinform.testing import Forbidden, Gone, Hangup, InternalError, MalformedObject, NotFound, Unauthorized
from tests.net.informers import in_sync, quick
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.support.waiting import until

PODS = "v1/pods"
LIST = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[]}'


@pytest.fixture
async def api(server):
    async with kinform.connect(server.url) as api:
        yield api


def quietly(informer_of: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if informer_of in record.message]


async def listed_then_nothing(call: ReceivedRequest) -> None:
    """A LIST, and watches that stay silent."""
    if ("watch", "true") in call.params:
        await call.start_chunked()
        await call.disconnected.wait()
    else:
        await call.respond(200, LIST)


@pytest.mark.parametrize(("code", "form"), [(429, "seconds"), (503, "date"), (429, "status"), (503, "seconds")])
async def test_what_the_server_asks_to_wait_is_waited(code, form):
    times: list[float] = []

    async def answer(call: ReceivedRequest) -> None:
        times.append(time.monotonic())
        if len(times) > 1:
            await listed_then_nothing(call)
        elif form == "status":
            await call.respond(code, b'{"kind":"Status","code":%d,"details":{"retryAfterSeconds":1}}' % code)
        else:
            date = email.utils.formatdate(time.time() + 2, usegmt=True)  # whole seconds: 1 to 2 from now
            await call.respond(code, b"slow down", Retry_After="1" if form == "seconds" else date)

    async with scripted_server(answer) as server, kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick(initial="list")) as pods:
            await pods.synced(timeout=10)
    assert 0.9 <= times[1] - times[0] <= 4


@pytest.mark.parametrize("nonsense", ["soon", "inf", "nan", "-5", "1e99", "", "Sun, 99 Foo 2001 00:00:00 GMT"])
async def test_a_retry_after_that_means_nothing_is_no_reason_to_wait(nonsense):
    async def answer(call: ReceivedRequest) -> None:
        if len(server.requests) > 1:
            await listed_then_nothing(call)
        else:
            await call.respond(503, b"slow down", Retry_After=nonsense)

    async with scripted_server(answer) as server, kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick(initial="list")) as pods:
            await pods.synced(timeout=2)


class Hasty:
    """asyncio as the reflector knows it, but no wait takes any time; `waited` tells how long each would have been."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def sleep(self, seconds: float) -> None:
        if seconds:
            self.waited.append(seconds)
        await asyncio.sleep(0)

    def __getattr__(self, name: str) -> object:
        return getattr(asyncio, name)


async def test_waits_double_and_start_over_only_after_progress(server, api, monkeypatch):
    hasty = Hasty()
    monkeypatch.setattr(stream, "asyncio", hasty)
    server.generate(PODS, 2)
    server.fault(Hangup(after=0), on="watch", times=6)
    options = quick(initial="list", backoff=kinform.Backoff(initial=0.8, maximum=10, jitter=0))
    async with kinform.Informer(api, PODS, options=options) as pods:
        await pods.synced(timeout=10)
        await until(lambda: server.faults_left == 0)
        await server.wait_for_watchers(1)
        assert hasty.waited == [0.8, 1.6, 3.2, 6.4, 10, 10]
        hasty.waited.clear()
        server.touch(PODS, server.keys(PODS)[0])
        await until(lambda: in_sync(pods.store, server, PODS))
        server.interrupt(Hangup(after=0))
        await until(lambda: hasty.waited)
        assert hasty.waited[0] == 0.8


async def test_silence_is_judged_by_our_own_deadline_and_not_by_the_clients():
    async with scripted_server(listed_then_nothing) as server, kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick(initial="list", silence_timeout=1.5)) as pods:
            await pods.synced(timeout=10)
            await until(lambda: len(server.requests) == 2)
            begun = time.monotonic()
            await until(lambda: len(server.requests) == 3)
            assert 1.3 < time.monotonic() - begun < 5
            assert "nothing came for 1.5 s" in pods.stats().streams[""].error


async def test_a_refusal_whose_body_never_ends_is_given_up():
    async def answer(call: ReceivedRequest) -> None:
        if len(server.requests) == 1:
            await call.send(b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\n")
            await call.disconnected.wait()
        else:
            await listed_then_nothing(call)

    async with scripted_server(answer) as server, kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick(initial="list", headers_timeout=0.3)) as pods:
            await pods.synced(timeout=10)


async def test_of_a_refusals_body_no_more_is_read_than_64_kib():
    async def refuse(call: ReceivedRequest) -> None:
        if len(server.requests) > 1:
            await listed_then_nothing(call)
            return
        await call.send(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not call.disconnected.is_set():
            await call.send_chunk(b"x" * 10_000)

    async with scripted_server(refuse) as server, kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick(initial="list", headers_timeout=5)) as pods:
            await pods.synced(timeout=4)


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Forbidden(), "forbidden"),
        (Unauthorized(), "unauthorized"),
        (NotFound(), "not_found"),
        (InternalError(), "retrying"),
        (Gone(), "retrying"),
    ],
)
async def test_a_thousand_refusals_are_a_line_or_two_in_the_log_and_a_state(server, api, fault, state, caplog):
    server.fault(fault, times=None)
    errors: list[kinform.KinformError] = []
    backoff = kinform.Backoff(initial=1e-6, maximum=1e-6, refused=1e-6)
    options = quick(initial="list", backoff=backoff, on_error=errors.append)
    async with kinform.Informer(api, PODS, options=options) as pods:
        await server.wait_for_request(count=300, timeout=20)
        await until(lambda: pods.state == state)
    assert len(errors) >= 299  # who wants to know of each is told
    assert 1 <= len(quietly("v1/pods", caplog)) <= 2


async def test_after_a_while_what_was_not_said_is_counted(server, api, caplog, monkeypatch):
    server.fault(InternalError(), times=None)
    backoff = kinform.Backoff(initial=1e-6, maximum=1e-6)
    async with kinform.Informer(api, PODS, options=quick(initial="list", backoff=backoff)) as pods:
        await server.wait_for_request(count=20)
        assert pods.stats().streams[""].errors >= 18
        monkeypatch.setattr(_throttled_log, "REPEAT_SECONDS", 0.0)
        await until(lambda: any("more of this sort" in line for line in quietly("v1/pods", caplog)))


async def test_a_stream_of_bad_objects_is_no_stream_of_log_lines(server, api, caplog):
    caplog.set_level(logging.DEBUG, logger="kinform")
    keys = server.generate(PODS, 3)
    async with kinform.Informer(api, PODS, options=quick()) as pods:
        await pods.synced(timeout=10)
        for number in range(50):
            server.interrupt(MalformedObject())
            server.touch(PODS, keys[0])
            await until(lambda number=number: pods.stats().streams[""].skipped == number + 1)
    assert len(quietly("left out", caplog)) == 1


class Broken:
    """A transport with a bug."""

    identity: object = "broken"

    def __init__(self) -> None:
        self.identity = self

    async def open(self, request: kinform.Request) -> kinform.Response:
        raise RuntimeError("the password is hunter2")

    async def refresh_credentials(self) -> bool:
        return False


async def test_a_bug_in_a_transport_is_raised_and_never_a_silent_hang(caplog):
    async with kinform.Informer(Broken(), PODS, options=quick()) as pods:
        with pytest.raises(RuntimeError):
            await pods.synced(timeout=10)
        assert pods.state == "failed"
        with pytest.raises(RuntimeError):
            await anext(pods.changes())
    assert "v1/pods: given up: RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text
    with pytest.raises(RuntimeError):
        async for _ in kinform.watcher(Broken(), PODS, options=quick()):
            pass


async def test_wait_for_does_not_trust_a_version_seen_before_the_state_is_complete(server, api):
    server.generate(PODS, 3)
    release = asyncio.Event()

    async def answer(call: ReceivedRequest) -> None:
        await call.start_chunked()
        pod = b'{"metadata":{"name":"a","namespace":"shop","uid":"u","resourceVersion":"50"}}'
        await call.send_chunk(b'{"type":"ADDED","object":%s}\n' % pod)
        await release.wait()
        end = b'{"resourceVersion":"60","annotations":{"k8s.io/initial-events-end":"true"}}'
        await call.send_chunk(b'{"type":"BOOKMARK","object":{"metadata":%s}}\n' % end)
        await call.disconnected.wait()

    async with scripted_server(answer) as peered, kinform.connect(peered.url) as api:
        async with kinform.Informer(api, PODS, options=quick()) as pods:
            await until(lambda: pods.stats().wire_bytes > 0)
            with pytest.raises(TimeoutError, match=r"50 not seen .*syncing"):
                await pods.wait_for("50", timeout=0.1)
            release.set()
            await pods.wait_for("50", timeout=10)
            assert "shop/a" in pods.store


class Silent:
    """A transport to a collection of which nothing more is heard once it has told its state."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.identity = self

    async def open(self, request: kinform.Request) -> kinform.Response:
        return self

    async def refresh_credentials(self) -> bool:
        return False

    async def chunks(self) -> AsyncIterator[bytes]:
        for number in range(len(self.pieces)):
            yield self.pieces[number]
        await asyncio.Event().wait()

    async def head(self, limit: int) -> bytes:
        return b""

    def close(self) -> None:
        pass


async def test_what_came_last_is_not_kept_while_nothing_comes():
    end = b'"metadata":{"resourceVersion":"8","annotations":{"k8s.io/initial-events-end":"true"}}'
    pod = b'"metadata":{"namespace":"shop","name":"web","uid":"u1","resourceVersion":"7"}'
    silent = Silent(
        b'{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1",%s}}\n' % pod,
        b'{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1",%s}}\n' % end,
        b'{"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1",%s}}\n' % pod.replace(b"7", b"9"),
    )
    async with kinform.Informer(silent, PODS) as informer:
        await informer.wait_for("9", timeout=5)
        await asyncio.sleep(0)
        assert [sys.getrefcount(silent.pieces[number]) for number in range(3)] == [2, 2, 2]  # here, and the call's
