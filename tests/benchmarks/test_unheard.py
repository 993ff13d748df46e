"""The benchmarks' own API server without a client: what it is told to do then does not happen in part."""

from __future__ import annotations

import json
import queue
from typing import Any

import pytest

from benchmarks.harness import server as module


def _unheard(monkeypatch: pytest.MonkeyPatch) -> module.Server:
    """A server that nobody can ask, and that does not wait for anybody."""

    class Deaf:
        def __init__(self, answer: object, certificate: object) -> None:
            self.url = "http://nowhere"

    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr(module, "Listener", Deaf)
    return module.Server(resource="pods", objects=3, seed=0, corpus=None)


def test_what_nobody_watches_for_does_not_happen_and_is_told_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    lonely = _unheard(monkeypatch)
    assert lonely.mark() is None
    before = lonely.digest()
    lonely.prepare(change=1.0)
    assert lonely.go() is None
    assert lonely.expire() is None
    assert lonely.digest() == before


def test_what_was_prepared_before_anybody_watched_metadata_alone_is_not_sent_to_who_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = _unheard(monkeypatch)
    server.prepare(change=1.0)
    watch: queue.SimpleQueue[Any] = queue.SimpleQueue()
    server._streams[watch] = True
    with pytest.raises(RuntimeError, match="not prepared for who watches metadata alone"):
        server.go()
    assert watch.empty()
    server.prepare(change=1.0)
    assert server.go()
    lines = b"".join(line for piece in watch.get()() for line in piece).splitlines()
    assert [json.loads(line)["object"]["kind"] for line in lines] == ["PartialObjectMetadata"] * 3
