"""The thread that trims the heap."""

from __future__ import annotations

import threading

import pytest

from kinform import _heap


def test_one_trim_runs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    started, finish = threading.Semaphore(0), threading.Event()

    def trim() -> None:
        started.release()
        finish.wait(10)

    monkeypatch.setattr(_heap, "trim_heap", trim)
    _heap.start_trim()
    assert started.acquire(timeout=10)
    first = _heap._thread
    _heap.start_trim()
    assert _heap._thread is first
    assert first is not None
    finish.set()
    first.join(10)
    _heap.start_trim()
    assert started.acquire(timeout=10)
    assert _heap._thread is not first


def test_a_thread_that_cannot_start_is_left_to_the_next_trim(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed = threading.Event()
    monkeypatch.setattr(_heap, "_thread", None)
    monkeypatch.setattr(_heap, "trim_heap", trimmed.set)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        _heap.start_trim()
    _heap.start_trim()
    assert trimmed.wait(10)
