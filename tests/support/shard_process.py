"""A replica with shards as a program, which prints its shards as they change.

    python -m tests.support.shard_process URL TOKEN CA NAMESPACE IDENTITY

Each line is the time of the monotonic clock, which all processes of a machine share, and the shards. SIGTERM ends it in
good order.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import kinform
from kinform.controllers import Shards

COUNT = 8
LEASE = 6.0


async def main(url: str, token: str, ca: str, namespace: str, identity: str) -> None:
    """Runs until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)

    def report(shards: Shards) -> None:
        print(f"{time.monotonic():.6f} {','.join(map(str, shards.stats().owned))}", flush=True)

    async with kinform.connect(url, token=token, ca=ca) as api:
        shards = Shards(
            api,
            f"{namespace}/widgets",
            count=COUNT,
            identity=identity,
            lease_seconds=LEASE,
            renew_deadline=5.0,
            retry_seconds=1.5,
        )
        shards.subscribe(lambda _: report(shards))
        scope = kinform.Scope(namespaces=[namespace], shards=shards)
        async with shards, kinform.Informer(api, "v1/configmaps", scope=scope):
            await stopping.wait()
    print(f"{time.monotonic():.6f} ", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
