"""Small reads in quick succession are collected. A full queue stops reading."""

from __future__ import annotations

import asyncio

import pytest

from kinform._transport.read_flow import COLLECT_SECONDS, SMALL_READ_BYTES, ReadFlow
from tests.support.virtual_time import in_virtual_time


class FakeTransport(asyncio.Transport):
    """A transport that records whether it is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.reading, self.closing = True, False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.closing
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@in_virtual_time
async def test_one_small_read_is_not_delayed(transport: FakeTransport) -> None:
    flow = ReadFlow(transport)
    for _ in range(3):
        flow.note_read(100)
        assert transport.reading
        await asyncio.sleep(2 * COLLECT_SECONDS)


@in_virtual_time
async def test_small_reads_in_quick_succession_are_collected(transport: FakeTransport) -> None:
    flow = ReadFlow(transport)
    flow.note_read(100)
    flow.note_read(100)
    assert not transport.reading
    await asyncio.sleep(2 * COLLECT_SECONDS)
    assert transport.reading


@in_virtual_time
async def test_large_reads_are_never_collected(transport: FakeTransport) -> None:
    flow = ReadFlow(transport)
    for _ in range(10):
        flow.note_read(SMALL_READ_BYTES)
        assert transport.reading


@in_virtual_time
async def test_the_end_of_a_collection_keeps_a_full_queue_paused(transport: FakeTransport) -> None:
    flow = ReadFlow(transport)
    flow.note_read(100)
    flow.note_read(100)
    flow.set_full(True)
    await asyncio.sleep(2 * COLLECT_SECONDS)
    assert not transport.reading
    flow.set_full(False)
    assert transport.reading


@in_virtual_time
async def test_a_queue_with_room_does_not_end_a_collection(transport: FakeTransport) -> None:
    flow = ReadFlow(transport)
    flow.set_full(True)
    flow.note_read(100)
    flow.note_read(100)
    flow.set_full(False)
    assert not transport.reading
    await asyncio.sleep(2 * COLLECT_SECONDS)
    assert transport.reading


@in_virtual_time
async def test_a_closed_transport_is_not_resumed(transport: FakeTransport) -> None:
    flow = ReadFlow(transport)
    flow.note_read(100)
    flow.note_read(100)
    transport.closing = True
    await asyncio.sleep(2 * COLLECT_SECONDS)
    assert not transport.reading
