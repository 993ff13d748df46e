"""Key handlers: functions that `on_change` calls with keys."""

from __future__ import annotations

import asyncio

import pytest

import kinform
from tests.support.waiting import until

PODS = "v1/pods"


def version(pod) -> str:
    return pod["metadata"]["resourceVersion"]


async def test_on_change_gets_present_and_changed_keys(server, pods):
    server.generate(PODS, 3)
    early, late, seen = [], [], {}

    @pods.on_change
    def changed(key):
        early.append(key)
        seen[key] = pods.store.get(key)

    async with pods:
        await pods.synced()
        await until(lambda: len(early) == 3)
        pods.on_change(late.append)
        await until(lambda: len(late) == 3)
        key = early[0]
        pod = pods.store.get(key)
        pod["metadata"]["labels"]["touched"] = "yes"
        server.put(PODS, pod)
        await until(lambda: len(late) == 4)
        assert late[-1] == early[-1] == key
        assert seen[key]["metadata"]["labels"]["touched"] == "yes"
        server.delete(PODS, key)
        await until(lambda: seen[key] is None)
    assert sorted(late) == sorted(early)


async def test_a_key_waits_once_for_a_slow_key_handler(server, pods):
    server.generate(PODS, 1)
    received, busy, go_on = [], asyncio.Event(), asyncio.Event()

    @pods.on_change
    async def changed(key):
        received.append(version(pods.store.get(key)))
        busy.set()
        await go_on.wait()

    async with pods:
        await busy.wait()
        (key,) = pods.store.keys()
        for text in "abc":
            pod = pods.store.get(key)
            pod["metadata"]["labels"] = {"text": text}
            newest = server.put(PODS, pod)
            await until(lambda newest=newest: version(pods.store.get(key)) == newest)
        assert pods.stats().queue_depth == 1
        go_on.set()
        await until(lambda: len(received) == 2)
        await until(lambda: pods.stats().queue_depth == 0)
    assert received[1] == newest
    assert len(received) == 2


async def test_an_exception_in_on_change_is_logged_and_stops_nothing(server, pods, caplog):
    server.generate(PODS, 2)
    received = []

    @pods.on_change
    def broken(key):
        raise RuntimeError("broken")

    pods.on_change(received.append)
    async with pods:
        await until(lambda: len(received) == 2)
    (record,) = caplog.records  # of two
    assert record.getMessage().rpartition(" ")[2] in received


async def test_on_change_refuses_a_value_that_is_not_callable(pods):
    with pytest.raises(kinform.OptionError, match="handler"):
        pods.on_change("v1/pods")
