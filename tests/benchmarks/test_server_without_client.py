"""The benchmark server without a client: nothing changes without a watch."""

from __future__ import annotations

import json
import queue
from typing import Any

import pytest

from benchmarks.harness import server as module


def _server(monkeypatch: pytest.MonkeyPatch) -> module.Server:
    """A server without connections, that does not wait for watches."""

    class NoListener:
        def __init__(self, respond: object, certificate: object) -> None:
            self.url = "http://nowhere"

    monkeypatch.setattr(module, "WATCH_TIMEOUT", 0.0)
    monkeypatch.setattr(module, "Listener", NoListener)
    return module.Server(resource="pods", objects=3, seed=0, corpus=None)


def test_without_a_watch_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    server = _server(monkeypatch)
    assert server.mark() is None
    before = server.digest()
    server.prepare(change=1.0)
    assert server.send() is None
    assert server.expire() is None
    assert server.digest() == before


def test_a_watch_of_metadata_needs_a_change_prepared_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server = _server(monkeypatch)
    server.prepare(change=1.0)
    watch: queue.SimpleQueue[Any] = queue.SimpleQueue()
    server._streams[watch] = True
    with pytest.raises(RuntimeError, match="prepared before a watch of metadata was opened"):
        server.send()
    assert watch.empty()
    server.prepare(change=1.0)
    assert server.send()
    lines = b"".join(line for chunk in watch.get()() for line in chunk).splitlines()
    assert [json.loads(line)["object"]["kind"] for line in lines] == ["PartialObjectMetadata"] * 3
