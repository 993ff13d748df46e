"""The read buffer: shared by a thread, released when its connections are quiet."""

from __future__ import annotations

import asyncio
import threading

import pytest

from kinform._transport import read_buffer as module
from kinform._transport.read_buffer import READ_BYTES, ReadBuffer, read_buffer
from tests.support.waiting import until


def test_a_thread_has_one_buffer() -> None:
    others: list[ReadBuffer] = []
    thread = threading.Thread(target=lambda: others.append(read_buffer()))
    thread.start()
    thread.join()
    assert read_buffer() is read_buffer()
    assert others[0] is not read_buffer()
    assert len(read_buffer().view) == READ_BYTES


def filled() -> ReadBuffer:
    """Returns a new buffer all of whose pages are in memory."""
    buffer = ReadBuffer()
    buffer.view[:] = b"x" * READ_BYTES
    buffer.note_read()
    return buffer


def released(buffer: ReadBuffer) -> bool:
    return bytes(buffer.view) == bytes(READ_BYTES)  # pages come back empty


async def test_the_memory_is_released_when_no_reads_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.01)
    buffer = filled()
    await until(lambda: released(buffer))
    buffer.view[:] = b"y" * READ_BYTES
    buffer.note_read()
    assert not released(buffer)
    await until(lambda: released(buffer))


async def test_reads_postpone_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    buffer = filled()
    for _ in range(50):
        buffer.note_read()
        await asyncio.sleep(0)
        assert not released(buffer)
    await until(lambda: released(buffer))


def test_the_memory_is_released_in_the_next_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.01)

    async def fill() -> ReadBuffer:
        return filled()

    async def read_again(buffer: ReadBuffer) -> None:
        buffer.note_read()
        await until(lambda: released(buffer))

    asyncio.run(read_again(asyncio.run(fill())))


def test_the_timer_of_another_event_loop_releases_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    buffer = ReadBuffer()

    async def fill() -> None:
        buffer.view[:] = b"x" * READ_BYTES
        buffer.note_read()

    async def wait() -> None:
        for _ in range(5):
            await asyncio.sleep(0.001)

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(fill())
        second.run(fill())
        first.run(wait())
        assert not released(buffer)
        second.run(wait())
        assert released(buffer)
