"""A stream that fills a store: what each step of it does there, and `reflector`, which passes each event on.

Source: kube-runtime's reflector.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from kinform._events import Init, InitDone
from kinform._listwatch.machine import Applied, Skipped, Step
from kinform._listwatch.stream import Stream, WatcherEvent, events_of
from kinform._store.writer import Writer


async def write(writer: Writer, stream: Stream, step: Step) -> None:
    """Gives one step of a stream to the store. What a new state changed is told in slices, others in between."""
    name = stream.namespace
    match step:
        case Init():
            writer.begin(name, stream)
        case Applied(batch, initial):
            writer.apply(name, batch, initial=initial)
        case Skipped(skip, initial):
            writer.skip(name, skip, initial=initial)
        case InitDone():
            writer.commit(name)
            while writer.sweep(name):
                await asyncio.sleep(0)


async def reflector(writer: Writer, stream: Stream) -> AsyncGenerator[WatcherEvent, None]:
    """Fills a store from a stream, and passes on each event after the store has taken it.

    Leaving the iteration leaves the store as it was at the last complete state and the changes since.

    Args:
        writer: The writing end that `kinform.store()` made.
        stream: What `kinform.watcher()` made.

    Raises:
        StatusError: The server says that asking again is no use.
    """
    tending = asyncio.create_task(writer.run_background(), name=f"kinform background of {stream.name}")
    try:
        async with aclosing(stream.steps()) as steps:
            async for step in steps:
                await write(writer, stream, step)
                for event in events_of(step):
                    yield event
                    del event
                del step  # see `_connection`
    finally:
        # A loop that was broken off ends its iterator late, when the next may be writing already.
        writer.abort(stream.namespace, stream)
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)
