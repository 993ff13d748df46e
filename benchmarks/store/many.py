"""A process with several informers, as in a program with many small collections."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack

import kinform


async def main(url: str, resource: str, ca: str | None, informers: int) -> None:
    """Answers each line of standard input with the number of objects in all stores."""
    async with kinform.connect(url, ca=ca) as api, AsyncExitStack() as stack:
        started = [await stack.enter_async_context(kinform.Informer(api, resource)) for _ in range(informers)]
        await asyncio.gather(*(informer.synced() for informer in started))
        while await asyncio.to_thread(sys.stdin.readline):
            print(sum(len(informer.store) for informer in started), flush=True)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
