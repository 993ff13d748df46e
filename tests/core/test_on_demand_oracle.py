"""`OnDemand` against the history of a server, under random operations and faults.

Each answer must be a state that the object had at some moment between `ttl` seconds before the call and the answer.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from typing import Any

import msgspec
import pytest

import kinform
from tests.support.fake_time import run_in_fake_time
from tests.support.single_objects import SingleObjects

OPERATIONS = 20_000  # of each run, 100,000 together
MAX_OPERATIONS = 200_000
ROUNDS = 10  # of each run: the cache starts again, and learns again what the server cannot do
KEYS = [f"n{i}" for i in range(40)]


class Labels(msgspec.Struct):
    labels: dict[str, str]


class Namespace(msgspec.Struct):
    metadata: Labels


class Cache(kinform.OnDemand[Namespace]):
    """Notes which readers got a stale answer."""

    stale_readers: set[asyncio.Task[Any] | None]

    def _stale_answer(self, key: str, error: kinform.KinformError) -> Namespace | None:
        answer = super()._stale_answer(key, error)
        self.stale_readers.add(asyncio.current_task())
        return answer


ERRORS = ("ForbiddenError", "UnauthorizedError", "StatusError", "TransportError", "StalledError")
"""The errors that readers get in a run without stale answers."""


class Run:
    """A run of random operations: readers, writers and faults.

    Args:
        seed: The seed of all random numbers.
        resource: The resource. Several namespaces can share a watch, other objects cannot.
        unlabelled: Keys of namespaces without the label that has their name.
        ttl: An option of the cache.
        max_stale: An option of the cache.
    """

    def __init__(self, seed: int, resource: str, unlabelled: frozenset[str], ttl: float, max_stale: float) -> None:
        self.random = random.Random(seed)
        self.api = SingleObjects(self.random, unlabelled=unlabelled)
        self.shares_watches = resource == "v1/namespaces" and not unlabelled
        self.max_stale = max_stale
        self.ttl, self.negative_ttl = ttl, 7.0
        self.operations = 0
        self.outcomes: Counter[str] = Counter()
        self.cache = Cache(
            self.api,
            resource,
            type=Namespace,
            ttl=self.ttl,
            negative_ttl=self.negative_ttl,
            max_objects=25,
            max_watches=10,
            max_stale=max_stale,
            prune=kinform.Prune(keep=["metadata.labels"]),
        )
        self.cache.stale_readers = set()

    async def main(self) -> None:
        for key in KEYS[:30]:
            self.api.write(key, "0")
        for number in range(1, ROUNDS + 1):
            async with self.cache:
                self.api.faults = 0.1
                async with asyncio.TaskGroup() as group:
                    for _ in range(8):
                        group.create_task(self._work(number))
                self.api.faults = 0.0
                if number == ROUNDS:
                    await self._check_the_end()

    def _is_over(self, number: int) -> bool:
        """Returns whether there were enough operations for a round.

        The last one does more until each error was seen.
        """
        if self.operations < OPERATIONS * number // ROUNDS:
            return False
        are_all_seen = bool(self.max_stale) or all(map(self.outcomes.get, ERRORS))
        return number < ROUNDS or are_all_seen or self.operations >= MAX_OPERATIONS

    async def _work(self, number: int) -> None:
        while not self._is_over(number):
            self.operations += 1
            draw = self.random.random()
            # Low numbers are read more often, so that some objects stay in the cache.
            key = KEYS[int(len(KEYS) * self.random.random() ** 2)]
            if draw < 0.05:
                await asyncio.gather(*map(self._read, self.random.sample(KEYS, 12)))
            elif draw < 0.75:
                await self._read(key)
            elif draw < 0.95:
                label = None if self.random.random() < 0.2 else str(self.operations)
                self.api.write(key, label)
            elif draw < 0.96:
                self.api.disturb()
            elif draw < 0.99:
                await asyncio.sleep(self.random.random())
            else:
                await asyncio.sleep(self.random.random() * 30)

    async def _read(self, key: str) -> None:
        called = time.monotonic()
        try:
            async with asyncio.timeout(0.005 if self.random.random() < 0.1 else None):
                found = await self.cache.get(key)
        except TimeoutError:
            self.outcomes["cancelled"] += 1
            return
        except kinform.KinformError as error:
            self.outcomes[type(error).__name__] += 1
            return
        label = None if found is None else found.metadata.labels["number"]
        stale = asyncio.current_task() in self.cache.stale_readers
        self.cache.stale_readers.discard(asyncio.current_task())
        limit = (self.negative_ttl if label is None else self.ttl) + (self.max_stale if stale else 0.0)
        allowed = self.api.labels(key, (time.monotonic() if stale else called) - limit, time.monotonic())
        assert label in allowed, f"{key}: {label} at {called}, allowed {allowed}"
        self.outcomes["stale" if stale else "missing" if label is None else "found"] += 1

    async def _check_the_end(self) -> None:
        """Checks that changes are readable at once by watches without faults."""
        await asyncio.sleep(700)  # failures and waits of all streams have ended
        for key in KEYS[:10]:
            self.api.write(key, "last")
            await self.cache.get(key)
        assert self.cache.stats().watches == 10
        await self._check_changes("newest")
        if self.shares_watches:
            async with asyncio.timeout(700):
                while self.cache.stats().watches > 1:
                    await asyncio.sleep(1)
                    for key in KEYS[:10]:
                        await self.cache.get(key)
            await self._check_changes("of one watch")

    async def _check_changes(self, label: str) -> None:
        for key in KEYS[:10]:
            self.api.write(key, label)
        await asyncio.sleep(0.1)
        requests = self.cache.stats().requests
        for key in KEYS[:10]:
            found = await self.cache.get(key)
            assert found is not None
            assert found.metadata.labels["number"] == label
        assert self.cache.stats().requests == requests


LACKING = frozenset(KEYS[::3])


# A ttl below the timeout: a fetch may have started too long before a reader joins it.
@pytest.mark.parametrize(
    ("resource", "unlabelled", "ttl", "max_stale"),
    [
        ("v1/nodes", frozenset(), 90.0, 0.0),
        ("v1/nodes", frozenset(), 20.0, 200.0),
        ("v1/namespaces", frozenset(), 90.0, 0.0),
        ("v1/namespaces", frozenset(), 20.0, 200.0),
        ("v1/namespaces", LACKING, 90.0, 0.0),
    ],
)
def test_no_answer_is_older_than_its_promise(
    monkeypatch: pytest.MonkeyPatch, resource: str, unlabelled: frozenset[str], ttl: float, max_stale: float
) -> None:
    seed = int(os.environ.get("KINFORM_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    print(f"KINFORM_SEED={seed}")
    run = Run(seed, resource, unlabelled, ttl, max_stale)
    run_in_fake_time(monkeypatch, run.main)
    stats, outcomes = run.cache.stats(), run.outcomes
    shared = sum("labelSelector" in dict(request.params) for request in run.api.requests)
    print(stats, outcomes, shared)
    assert run.operations >= OPERATIONS
    for outcome in ("found", "missing", "cancelled"):
        assert outcomes[outcome] > 100, outcome
    assert stats.hits > OPERATIONS / 4
    assert stats.evictions > 100
    assert shared > 100 if run.shares_watches else bool(unlabelled) or not shared
    assert (outcomes["stale"] > 0) == (max_stale > 0)
    assert stats.stale_answers >= outcomes["stale"]
    if not max_stale:
        for error in ERRORS:
            assert outcomes[error] > 0, error
