"""A stream without an informer: a second iteration, and failed connections."""

from __future__ import annotations

import gc

import pytest

import kinform
from kinform._transport.http1 import Http1Connection
from kinform.testing import CutMidObject, Hangup, MalformedFrame, Stall
from tests.net.informers import quick

PODS = "v1/pods"


async def events_until(stream: kinform.Stream, last: type) -> list[type]:
    """Iterates up to the first event of a type, and returns the types of the events."""
    types = []
    async for event in stream:
        types.append(type(event))
        if isinstance(event, last):
            break
    return types


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_a_stream_left_in_its_first_state_starts_over(server, api, initial):
    server.generate(PODS, 2)
    stream = kinform.watcher(api, PODS, options=quick(initial=initial))
    assert await events_until(stream, kinform.InitApply) == [kinform.Init, kinform.InitApply]
    assert await events_until(stream, kinform.InitDone) == [kinform.Init, *[kinform.InitApply] * 2, kinform.InitDone]


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_a_stream_left_after_its_first_state_resumes(server, api, initial):
    server.generate(PODS, 2)
    stream = kinform.watcher(api, PODS, options=quick(initial=initial))
    await events_until(stream, kinform.InitDone)
    server.storm(PODS, 1)
    assert (await events_until(stream, kinform.Apply | kinform.Delete))[0] in (kinform.Apply, kinform.Delete)


@pytest.mark.parametrize("fault", [CutMidObject(), Hangup(after=0), MalformedFrame(), Stall()])
async def test_failed_connections_are_released(server, api, fault):
    (key,) = server.generate(PODS, 1)
    errors = []

    def connections() -> int:
        gc.collect()
        return sum(isinstance(each, Http1Connection) for each in gc.get_objects())

    options = quick(silence_timeout=0.1, on_error=lambda error: errors.append(str(error)))
    async with kinform.Informer(api, PODS, options=options) as pods:
        await pods.synced(timeout=10)
        before = connections()
        for failures in range(1, 6):
            await server.wait_for_watchers(1)
            server.interrupt(fault)
            while len(errors) < failures:
                await pods.wait_for(server.touch(PODS, key), timeout=10)
        assert connections() <= before + 1  # the last one can be idle
