"""Waits of an informer: Retry-After, its own deadlines, and few log lines."""

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
from tests.net.informers import fails, in_sync, quick
from tests.net.sleepless import Sleepless
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.support.waiting import until

PODS = "v1/pods"
LIST = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[]}'


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
async def test_retry_after_is_obeyed(code, form):
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
            await pods.synced(timeout=4)
    assert times[1] - times[0] >= 0.9


@pytest.mark.parametrize("nonsense", ["soon", "inf", "nan", "-5", "1e99", "", "Sun, 99 Foo 2001 00:00:00 GMT"])
async def test_an_invalid_retry_after_is_ignored(nonsense):
    async def answer(call: ReceivedRequest) -> None:
        if len(server.requests) > 1:
            await listed_then_nothing(call)
        else:
            await call.respond(503, b"slow down", Retry_After=nonsense)

    async with scripted_server(answer) as server, kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick(initial="list")) as pods:
            await pods.synced(timeout=2)


async def test_streams_to_a_server_share_its_retry_after():
    refused: list[float] = []
    others: list[float] = []

    async def answer(call: ReceivedRequest) -> None:
        if "configmaps" in call.path:
            others.append(time.monotonic())
        elif not refused:
            refused.append(time.monotonic())
            await call.respond(429, b"slow down", Retry_After="1")
            return
        await listed_then_nothing(call)

    async with scripted_server(answer) as server, kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick(initial="list")) as pods:
            await until(lambda: pods.stats().errors)
            async with kinform.Informer(api, "v1/configmaps", options=quick(initial="list")) as maps:
                await maps.synced(timeout=10)
    assert others[0] - refused[0] >= 0.9


async def test_waits_double_and_start_over_only_after_progress(server, api, monkeypatch):
    sleepless = Sleepless()
    monkeypatch.setattr(stream, "asyncio", sleepless)
    server.generate(PODS, 2)
    server.fault(Hangup(after=0), on="watch", times=6)
    options = quick(initial="list", backoff=kinform.Backoff(initial=0.8, maximum=10, jitter=0))
    async with kinform.Informer(api, PODS, options=options) as pods:
        await pods.synced(timeout=10)
        await until(lambda: server.faults_left == 0)
        await server.wait_for_watchers(1)
        assert sleepless.waited == [0.8, 1.6, 3.2, 6.4, 10, 10]
        sleepless.waited.clear()
        server.touch(PODS, server.keys(PODS)[0])
        await until(lambda: in_sync(pods.store, server, PODS))
        server.interrupt(Hangup(after=0))
        await until(lambda: sleepless.waited)
        assert sleepless.waited[0] == 0.8


async def test_silence_is_measured_by_our_deadline_not_the_clients():
    times: list[float] = []

    async def answer(call: ReceivedRequest) -> None:
        times.append(time.monotonic())
        await listed_then_nothing(call)

    async with scripted_server(answer) as server, kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick(initial="list", silence_timeout=1.5)) as pods:
            await pods.synced(timeout=10)
            await until(lambda: len(times) == 2)
            await until(lambda: len(times) == 3, within=5)
            assert times[2] - times[1] >= 1.3
            assert "no complete data for 1.5 s" in pods.stats().streams[""].error


@pytest.mark.parametrize(
    ("first", "then", "pause"),
    [
        (b"", b" \n", 0.05),
        (b'{"type":"MODIFIED","object":{"metadata":{"name":"', b"x", 0.05),
        (b"", b" " * 65536, 0.0),
    ],
    ids=["white space", "a frame without an end", "a flood of white space"],
)
@pytest.mark.parametrize("kind", ["watch", "list"])
async def test_data_that_completes_nothing_is_silence(kind, first, then, pause):
    async def answer(call: ReceivedRequest) -> None:
        if (("watch", "true") in call.params) != (kind == "watch") or len(server.requests) > 2:
            await listed_then_nothing(call)
            return
        await call.start_chunked()
        await call.send_chunk(first or b" ")
        while not call.disconnected.is_set():
            await call.send_chunk(then)
            await asyncio.sleep(pause)

    timeouts = {"silence_timeout": 0.3} if kind == "watch" else {"headers_timeout": 0.3}
    async with scripted_server(answer) as server, kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick(initial="list", **timeouts)) as pods:
            await until(lambda: "no complete data for 0.3 s" in (pods.stats().streams[""].error or ""))
            await pods.synced(timeout=10)
            await until(lambda: len(server.requests) > 2)


async def test_a_refusal_with_an_endless_body_is_closed():
    async def answer(call: ReceivedRequest) -> None:
        if len(server.requests) == 1:
            await call.send(b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\n")
            await call.disconnected.wait()
        else:
            await listed_then_nothing(call)

    async with scripted_server(answer) as server, kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, options=quick(initial="list", headers_timeout=0.3)) as pods:
            await pods.synced(timeout=10)


async def test_at_most_64_kib_of_a_refusals_body_are_read():
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
async def test_a_thousand_refusals_make_at_most_two_log_lines(server, api, fault, state, caplog):
    server.fault(fault, times=None)
    errors: list[kinform.KinformError] = []
    backoff = kinform.Backoff(initial=1e-6, maximum=1e-6, refused=1e-6)
    options = quick(initial="list", backoff=backoff, on_error=errors.append)
    async with kinform.Informer(api, PODS, options=options) as pods:
        await server.wait_for_request(count=300, timeout=20)
        await until(lambda: pods.state == state)
    assert len(errors) >= 299  # on_error gets each of them
    assert 1 <= len(quietly("v1/pods", caplog)) <= 2


async def test_a_later_log_line_counts_the_suppressed_ones(server, api, caplog, monkeypatch):
    server.fault(InternalError(), times=None)
    backoff = kinform.Backoff(initial=1e-6, maximum=1e-6)
    async with kinform.Informer(api, PODS, options=quick(initial="list", backoff=backoff)) as pods:
        await server.wait_for_request(count=20)
        assert pods.stats().streams[""].errors >= 18
        monkeypatch.setattr(_throttled_log, "REPEAT_SECONDS", 0.0)
        await until(lambda: any("similar ones since the last" in line for line in quietly("v1/pods", caplog)))


async def test_many_bad_objects_do_not_make_many_log_lines(server, api, caplog):
    caplog.set_level(logging.DEBUG, logger="kinform")
    keys = server.generate(PODS, 3)
    async with kinform.Informer(api, PODS, options=quick()) as pods:
        await pods.synced(timeout=10)
        for number in range(50):
            server.interrupt(MalformedObject())
            server.touch(PODS, keys[0])
            await until(lambda number=number: pods.stats().streams[""].skipped == number + 1)
    assert len(quietly("skipped", caplog)) == 1


class Broken:
    """A transport with a bug."""

    identity: object = "broken"

    def __init__(self) -> None:
        self.identity = self

    async def open(self, request: kinform.Request) -> kinform.Response:
        raise RuntimeError("the password is hunter2")

    async def refresh_credentials(self) -> bool:
        return False


async def test_a_bug_in_a_transport_is_raised_instead_of_a_hang(caplog):
    async with fails(kinform.Informer(Broken(), PODS, options=quick()), RuntimeError) as pods:
        with pytest.raises(RuntimeError):
            await pods.synced(timeout=10)
        assert pods.state == "failed"
        with pytest.raises(RuntimeError):
            await anext(pods.changes())
    assert "v1/pods: failed: RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text
    with pytest.raises(RuntimeError):
        async for _ in kinform.watcher(Broken(), PODS, options=quick()):
            pass


async def test_wait_for_ignores_versions_of_an_incomplete_state(server, api):
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
    """A transport that is silent after the first complete state."""

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


async def test_the_last_batch_is_released_while_the_stream_is_silent():
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
