"""Registrations: a new listener starts clean, whatever goes on at that time."""

from __future__ import annotations

import asyncio

import pytest

import kinform
from kinform.testing import Gone
from tests.net.informers import in_sync, quick
from tests.support.waiting import until

PODS = "v1/pods"

OBJECTS = 300  # several slices of a sweep


def register(informer: kinform.Informer, heard: list[str]) -> None:
    """Registers handlers of all kinds, `on_update` before `on_add`."""
    informer.on_update(lambda old, new: heard.append("updated"))
    informer.on_delete(lambda found: heard.append("deleted"))
    informer.on_change(lambda key: heard.append("key"))
    informer.on_add(lambda found: heard.append("added"))


@pytest.mark.parametrize("earlier", ["none", "handler", "key handler", "reader"])
async def test_a_registration_during_a_sweep_starts_clean(server, pods, monkeypatch, earlier):
    keys = server.generate(PODS, OBJECTS)
    heard: list[str] = []
    before = {"handler": pods.on_update, "key handler": pods.on_change, "reader": lambda _: pods.changes()}
    before.get(earlier, lambda _: None)(lambda *_: None)
    sweeping = asyncio.Event()
    async with pods:
        await pods.synced(timeout=10)
        await server.wait_for_watchers(1)
        writer = pods._collection.writer
        sweep = writer.sweep

        def sweep_slowly(stream: str) -> bool:
            more = sweep(stream)
            if more and not sweeping.is_set():
                sweeping.set()
                register(pods, heard)
            return more

        monkeypatch.setattr(writer, "sweep", sweep_slowly)
        server.fault(Gone(), on="watch")
        server.disconnect()
        for key in keys:
            server.touch(PODS, key)
        await sweeping.wait()
        await until(lambda: in_sync(pods.store, server, PODS) and len(heard) == 2 * OBJECTS)
    assert heard.count("added") == heard.count("key") == OBJECTS


async def test_a_registration_while_a_namespace_goes_starts_clean(server, monkeypatch):
    for i in range(OBJECTS):
        server.put(PODS, {"metadata": {"name": f"pod-{i}", "namespace": "shop"}})
    server.put(PODS, {"metadata": {"name": "stays", "namespace": "till"}})
    earlier: list[str] = []
    heard: list[str] = []
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, PODS, scope=kinform.Scope(namespaces=["shop", "till"]), options=quick()) as pods,
    ):
        pods.on_delete(lambda pod: earlier.append("deleted"))
        await pods.synced(timeout=10)
        writer = pods._collection.writer
        drop = writer.drop

        def drop_slowly(stream: str) -> bool:
            more = drop(stream)
            if more and not heard:
                assert len(pods.store) == 1
                heard.append("registered")
                register(pods, heard)
            return more

        monkeypatch.setattr(writer, "drop", drop_slowly)
        await pods.remove_namespace("shop")
        await until(lambda: len(earlier) == OBJECTS and len(heard) >= 3)
        assert sorted(heard) == ["added", "key", "registered"]


async def test_a_key_handler_added_while_keys_wait_gets_each_once(server, pods):
    keys = server.generate(PODS, 5)
    busy, gate, late = asyncio.Event(), asyncio.Event(), []

    @pods.on_change
    async def slow(key):
        busy.set()
        await gate.wait()

    async with pods:
        await pods.synced(timeout=10)
        await busy.wait()
        server.delete(PODS, keys[0])
        await until(lambda: keys[0] not in pods.store)
        pods.on_change(late.append)
        server.put(PODS, {"metadata": {"name": "new", "namespace": "shop"}})
        await until(lambda: "shop/new" in pods.store)
        gate.set()
        await until(lambda: pods.stats().queue_depth == 0 and len(late) >= 5)
    assert sorted(late[:4]) == sorted(keys[1:])
    assert late[4:] == ["shop/new"]
