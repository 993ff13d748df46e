"""The thread that trims the heap."""

from __future__ import annotations

import threading

import pytest

from kinform import _worker_thread


def test_one_trim_runs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    started, finish = threading.Semaphore(0), threading.Event()

    def trim() -> None:
        started.release()
        finish.wait(10)

    monkeypatch.setattr(_worker_thread, "trim_heap", trim)
    _worker_thread.start_trim()
    assert started.acquire(timeout=10)
    first = _worker_thread._thread
    _worker_thread.start_trim()
    assert _worker_thread._thread is first
    assert first is not None
    finish.set()
    first.join(10)
    _worker_thread.start_trim()
    assert started.acquire(timeout=10)
    assert _worker_thread._thread is not first
