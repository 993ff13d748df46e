"""The reflector: fills a store from a stream, and passes each event on.

Source: kube-runtime's reflector.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from kinform._events import Step
from kinform._listwatch.stream import Stream, WatcherEvent, events_of
from kinform._store.writer import Writer


async def reflector(writer: Writer, stream: Stream) -> AsyncGenerator[WatcherEvent, None]:
    """Fills a store from a stream, and yields each event after the store has it.

    When the iteration ends, the store keeps the last complete state and the changes since then.

    Args:
        writer: The writer that `kinform.store()` returned.
        stream: The stream that `kinform.watcher()` returned.

    Raises:
        StatusError: The server refuses the request, and a retry cannot succeed.
        MemoryLimitError: The store takes more than the writer's `memory_limit`.
    """
    async with aclosing(reflected_steps(writer, stream)) as steps:
        async for step in steps:
            for event in events_of(step):
                yield event
                del event
            del step  # it holds a batch of up to a MiB, and the next step may be hours away


async def reflected_steps(writer: Writer, stream: Stream) -> AsyncGenerator[Step, None]:
    """Fills a store from a stream, and yields each step after the store has it.

    See `reflector`.
    """
    background = asyncio.create_task(writer.run_background(), name=f"kinform background of {stream.name}")
    try:
        async with aclosing(stream.steps()) as steps:
            async for step in steps:
                await writer.write(stream.namespace, step, stream)
                yield step
                del step  # see `reflector`
    finally:
        # An iterator that the caller abandoned is closed late, when another stream may already write.
        writer.abort(stream.namespace, stream)
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)
