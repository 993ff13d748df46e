"""Replicas with shards, each behind a proxy, and when they had each shard."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import kinform
from kinform.controllers import Shards
from kinform.testing import Server
from kinform_ext._scan import shard_of
from tests.net.informers import quick
from tests.support.proxy import Proxy
from tests.support.waiting import until

COUNT = 8
LEASE = 2.0
CONFIGS = "v1/configmaps"
LEASES = "coordination.k8s.io/v1/leases"
NAME = "shop/widget-shards"


class Replica:
    """A replica behind a proxy, which records when it has each shard.

    Attributes:
        times: By shard, the times from which and until which it had it.
    """

    def __init__(self, server: Server, identity: str, *, count: int = COUNT) -> None:
        self.identity = identity
        self.times: dict[int, list[list[float]]] = {index: [] for index in range(count)}
        self._count = count
        self._server = server
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        self.proxy = await self._stack.enter_async_context(Proxy(self._server.url))
        api = await self._stack.enter_async_context(kinform.connect(self.proxy.url))
        self.shards = Shards(
            api,
            NAME,
            count=self._count,
            identity=self.identity,
            lease_seconds=LEASE,
            renew_deadline=1.4,
            retry_seconds=0.5,
        )
        self.shards.subscribe(self._changed)
        await self._stack.enter_async_context(self.shards)
        scope = kinform.Scope(shards=self.shards)
        self.configs = kinform.Informer(api, CONFIGS, scope=scope, options=quick())
        await self._stack.enter_async_context(self.configs)

    async def stop(self) -> None:
        await self._stack.aclose()

    def _changed(self, current: Any) -> None:
        now = asyncio.get_running_loop().time()
        for index, times in self.times.items():
            if times and times[-1][1] == math.inf and index not in current.indices:
                times[-1][1] = now
            elif index in current.indices and (not times or times[-1][1] != math.inf):
                times.append([now, math.inf])

    @property
    def owned(self) -> list[int]:
        return self.shards.stats().owned


def fair(*replicas: Replica, count: int = COUNT) -> bool:
    """Returns whether these replicas have all shards, and each its share."""
    loads = [len(each.owned) for each in replicas]
    owned = sorted(index for each in replicas for index in each.owned)
    return owned == list(range(count)) and max(loads) - min(loads) <= 1


def no_overlap(*replicas: Replica) -> bool:
    """Returns whether no two replicas had a shard at the same time."""
    for index in range(COUNT):
        times = sorted(times for each in replicas for times in each.times[index])
        if any(first[1] > then[0] for first, then in itertools.pairwise(times)):
            return False
    return True


def longest_gap(*replicas: Replica) -> float:
    """Returns the longest time for which a shard had no replica."""
    gaps = [0.0]
    for index in range(COUNT):
        times = sorted(times for each in replicas for times in each.times[index])
        gaps += [then[0] - first[1] for first, then in itertools.pairwise(times)]
    return max(gaps)


def in_stores(server: Server, *replicas: Replica) -> bool:
    """Returns whether each object is only in the store that has its shard."""
    for key, (uid, _) in server.versions(CONFIGS).items():
        having = [each for each in replicas if key in each.configs.store]
        if [shard_of(uid, COUNT) in each.owned for each in having] != [True]:
            return False
    return True


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """Yields a server with objects."""
    async with Server() as server:
        for number in range(80):
            server.put(CONFIGS, {"metadata": {"name": f"c{number}", "namespace": "shop"}})
        yield server


@asynccontextmanager
async def running(server: Server, *identities: str, count: int = COUNT) -> AsyncIterator[list[Replica]]:
    """Yields replicas as soon as they have fair shares of all shards."""
    found = [Replica(server, each, count=count) for each in identities]
    for each in found:
        await each.start()
    try:
        await until(lambda: fair(*found, count=count), within=20)
        yield found
    finally:
        for each in found:
            each.proxy.resume_forwarding()
            await each.stop()
