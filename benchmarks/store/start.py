"""A process that measures the time from its informer's start to the first read.

With a snapshot it reads from that; without one it reads when the informer is synced. It writes the snapshot at its end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import kinform


async def main(url: str, resource: str, key: str, snapshot: str | None) -> None:
    """Runs until standard input ends."""
    async with kinform.connect(url) as api:
        start, cpu = time.perf_counter(), time.process_time()
        async with kinform.Informer(
            api, resource, snapshot=snapshot, options=kinform.WatchOptions(initial="stream")
        ) as informer:
            if not len(informer.store):
                await informer.synced()
            found = informer.store[key]
            seconds, used = time.perf_counter() - start, time.process_time() - cpu
            print(json.dumps({"from_open": seconds, "cpu_from_open": used, "found": found}), flush=True)
            await informer.synced()
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
