"""A process that starts an informer, reads one object as soon as it can, tells how long that took, and leaves.

With a snapshot it reads what that holds, without it once the informer is synced. Leaving writes the snapshot.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import kinform


async def main(url: str, resource: str, snapshot: str | None) -> None:
    """Ends when its standard input does."""
    async with kinform.connect(url) as api:
        begun, cpu = time.perf_counter(), time.process_time()
        async with kinform.Informer(
            api, resource, snapshot=snapshot, options=kinform.WatchOptions(initial="stream")
        ) as informer:
            if not len(informer.store):
                await informer.synced()
            key = min(informer.store.keys())
            found = informer.store[key]
            taken, used = time.perf_counter() - begun, time.process_time() - cpu
            print(json.dumps({"from_open": taken, "cpu_from_open": used, "found": found}), flush=True)
            await informer.synced()
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
