"""The name of an informer: each of its log lines and errors has it."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

import kinform
from kinform._snapshot.keeper import SnapshotKeeper
from kinform.testing import CutMidObject, Forbidden, InternalError, MalformedFrame, MalformedObject, Server
from tests.net.informers import quick
from tests.support.waiting import until

PODS = "v1/pods"
SCOPE = kinform.Scope(namespaces=["shop"], label_selector="app=web", field_selector="status.phase=Running")
NAME = "v1/pods in shop (labels app=web, fields status.phase=Running)"


class Strict(msgspec.Struct):
    spec: int


def pod(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
        "status": {"phase": "Running"},
        **fields,
    }


def broken(*_: object) -> Any:
    raise ValueError


async def fail(*_: object) -> None:
    raise ZeroDivisionError


async def test_every_log_line_of_an_informer_has_its_name(server: Server, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(SnapshotKeeper, "run", fail)
    snapshot = tmp_path / "pods.kinform"
    snapshot.write_bytes(b"kinform\0")
    for number in range(3):
        server.put(PODS, pod(f"web-{number}"))
    for fault in (InternalError(), Forbidden(), CutMidObject(), MalformedFrame(), MalformedObject(readable_key=False)):
        server.fault(fault, on="list")
    options = quick(initial="list", on_error=broken)
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(
            api, PODS, scope=SCOPE, type=Strict, transform=broken, options=options, snapshot=snapshot
        ) as pods,
    ):
        pods.on_add(broken)
        pods.on_change(broken)
        await pods.synced(timeout=10)
        await until(lambda: pods.stats().handler_errors and pods.stats().undecodable)
        assert list(pods.store.items(on_undecodable="skip")) == []
    lines = {(record.name, record.levelname) for record in caplog.records if record.levelno > logging.INFO}
    assert lines == {
        ("kinform.reflector", "WARNING"),
        ("kinform.reflector", "ERROR"),
        ("kinform.informer", "WARNING"),
        ("kinform.informer", "ERROR"),
        ("kinform.store", "WARNING"),
        ("kinform.store", "ERROR"),
        ("kinform.snapshot", "WARNING"),
    }
    assert [line for line in caplog.messages if NAME not in line] == []


@pytest.mark.parametrize("resource", ["v1/pods", "v1/nodes"])
async def test_every_error_of_an_informer_has_its_name(server: Server, resource):
    scope = SCOPE if resource == PODS else kinform.Scope(label_selector="app=web")
    name = NAME if resource == PODS else "v1/nodes (labels app=web)"
    async with kinform.connect(server.url) as api:
        pods = kinform.Informer(api, resource, scope=scope, options=quick(initial="list"))
        errors: list[Exception] = []

        async def catch(awaitable: Any) -> None:
            with pytest.raises(Exception) as caught:  # noqa: PT011
                await awaitable
            errors.append(caught.value)

        await catch(pods.synced())
        await catch(anext(pods.changes()))
        server.fault(Forbidden(), on="list", times=3)
        async with pods:
            await catch(pods.synced(timeout=10))
            await catch(pods.wait_for("999999999", timeout=0.1))
            assert repr(pods) == f"<kinform.Informer of {name}: {pods.state}, 0 objects>"
            assert pods.health().reason.startswith(f"{name}: ")
            await catch(pods.__aenter__())
        await catch(pods.failed())
    assert [str(error) for error in errors if name not in str(error)] == []


async def test_a_background_task_that_fails_is_logged_by_name(server: Server, monkeypatch, caplog):
    monkeypatch.setattr("kinform._store.writer.Writer.run_background", fail)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS, options=quick()) as pods:
        await pods.synced(timeout=10)
        await until(lambda: caplog.messages)
    assert caplog.messages == ["v1/pods: the compaction failed: ZeroDivisionError"]


async def test_a_key_cannot_control_a_terminal(server: Server, caplog):
    server.put(PODS, {"metadata": {"name": "web\n\x1b[31m", "namespace": "shop"}})
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS, transform=broken) as pods:
        pods.on_add(broken)
        await until(lambda: pods.stats().handler_errors)
    assert all(line.isprintable() for line in caplog.messages)
    assert r"raised ValueError at shop/web\n\x1b[31m" in caplog.text
