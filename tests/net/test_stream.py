"""A stream without an informer: iterating it more than once."""

from __future__ import annotations

import pytest

import kinform
from tests.net.informers import quick

PODS = "v1/pods"


@pytest.fixture
async def api(server):
    async with kinform.connect(server.url) as api:
        yield api


async def until(stream: kinform.Stream, last: type) -> list[type]:
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
    assert await until(stream, kinform.InitApply) == [kinform.Init, kinform.InitApply]
    assert await until(stream, kinform.InitDone) == [kinform.Init, *[kinform.InitApply] * 2, kinform.InitDone]


@pytest.mark.parametrize("initial", ["list", "stream"])
async def test_a_stream_left_after_its_first_state_resumes(server, api, initial):
    server.generate(PODS, 2)
    stream = kinform.watcher(api, PODS, options=quick(initial=initial))
    await until(stream, kinform.InitDone)
    server.storm(PODS, 1)
    assert (await until(stream, kinform.Apply | kinform.Delete))[0] in (kinform.Apply, kinform.Delete)
