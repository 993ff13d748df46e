"""A replica with shards as a program: it handles objects, and prints when.

    python -m tests.support.shard_process URL TOKEN CA NAMESPACE IDENTITY

It handles each ConfigMap of its shards as long as it has the shard: it writes its identity and the token of the shard
into it once, by compare-and-swap, and acts again and again. Each line of the output is a `Line` as JSON. SIGTERM ends
it in good order.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import Any

import msgspec

import kinform
from kinform.controllers import LeadershipLost, Shards

CONFIGS = "v1/configmaps"
COUNT = 8
LEASE = 6.0
PAUSE_SECONDS = 0.25


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the output.

    Attributes:
        at: The monotonic time, which all processes of a machine share.
        owned: The shards, if they have changed.
        begins: The uid of an object of which the work begins.
        ends: The uid of an object of which the work has ended.
        acted: The time of its last action.
    """

    at: float
    owned: list[int] | None = None
    begins: str = ""
    ends: str = ""
    acted: float = 0.0


def report(**fields: Any) -> None:
    """Prints a line."""
    print(msgspec.json.encode(Line(time.monotonic(), **fields)).decode(), flush=True)


async def handle(api: kinform.Connection, shards: Shards, config: dict[str, Any]) -> None:
    """Handles an object while this replica has it."""
    uid = config["metadata"]["uid"]
    try:
        async with shards.hold(uid) as term:
            report(begins=uid)
            acted = time.monotonic()
            try:
                await write(api, config, {"replica": shards.identity, "token": str(term.transitions)})
                while True:
                    now = time.monotonic()
                    if now < term.deadline:  # a process that was stopped in this step goes on here
                        acted = now
                    await asyncio.sleep(PAUSE_SECONDS)
            finally:
                report(ends=uid, acted=acted)
    except LeadershipLost:
        pass


async def write(api: kinform.Connection, config: dict[str, Any], data: dict[str, str]) -> None:
    """Replaces the data of an object, in whichever version it is."""
    while True:
        try:
            await api.replace(CONFIGS, {**config, "data": data})
        except kinform.ConflictError:
            config = await api.get(CONFIGS, f"{config['metadata']['namespace']}/{config['metadata']['name']}")
            continue
        return


async def main(url: str, token: str, ca: str, namespace: str, identity: str) -> None:
    """Runs until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    tasks: set[asyncio.Task[None]] = set()
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

        def start(config: dict[str, Any]) -> None:
            tasks.add(task := asyncio.create_task(handle(api, shards, config)))
            task.add_done_callback(tasks.discard)

        shards.subscribe(lambda current: report(owned=sorted(current.indices)))
        scope = kinform.Scope(namespaces=[namespace], shards=shards)
        async with shards, kinform.Informer(api, CONFIGS, scope=scope) as configs:
            configs.on_add(start)
            await stopping.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
