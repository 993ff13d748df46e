"""A simulation in virtual time of agents, which are generators, and one server."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Generator
from itertools import count

import msgspec

RETRY_AFTER_SECONDS = 1.0
"""Seconds in the `Retry-After` of each 429."""


class Capacity(msgspec.Struct, frozen=True):
    """The capacity of a server for one client, as API Priority and Fairness limits it.

    Attributes:
        slots: The number of requests that the server answers at the same time.
        queue: The number of requests that may wait.
        queue_seconds: The longest wait of a request, after which the server answers 429.
        bytes_per_second: Bytes that the server sends per second in each slot.
    """

    slots: int
    queue: int
    queue_seconds: float
    bytes_per_second: float


class Sleep(msgspec.Struct, frozen=True):
    """An agent waits."""

    seconds: float


class Send(msgspec.Struct, frozen=True):
    """An agent sends a request.

    The answer is True if the server accepts it, which comes with the last byte, or False for a 429.

    Attributes:
        size: Bytes of the response.
    """

    size: float


Agent = Generator[Sleep | Send, bool | None, None]


class Simulation:
    """Runs agents against one server.

    Attributes:
        now: Seconds since the start.
        requests: The number of requests in each second.
        refused: The number of answers of 429.
        synced: The time at which each agent ended.
    """

    def __init__(self, capacity: Capacity) -> None:
        self.now = 0.0
        self.requests: Counter[int] = Counter()
        self.refused = 0
        self.synced: list[float] = []
        self._capacity = capacity
        self._busy = 0
        self._waiting: deque[tuple[float, Agent, float]] = deque()
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def run(self, agents: list[Agent]) -> None:
        """Runs until all agents have ended."""
        for agent in agents:
            self._step(agent, None)
        while self._calls:
            self.now, _, call = heapq.heappop(self._calls)
            call()

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (self.now + seconds, next(self._order), call))

    def _step(self, agent: Agent, answer: bool | None) -> None:
        try:
            action = agent.send(answer)
        except StopIteration:
            self.synced.append(self.now)
            return
        if isinstance(action, Sleep):
            self._after(action.seconds, lambda: self._step(agent, None))
        else:
            self.requests[int(self.now)] += 1
            self._receive(agent, action.size)

    def _receive(self, agent: Agent, size: float) -> None:
        if self._busy < self._capacity.slots:
            self._answer(agent, size)
        elif len(self._waiting) < self._capacity.queue:
            entry = (self.now, agent, size)
            self._waiting.append(entry)
            self._after(self._capacity.queue_seconds, lambda: self._expire(entry))
        else:
            self._refuse(agent)

    def _answer(self, agent: Agent, size: float) -> None:
        self._busy += 1
        self._after(size / self._capacity.bytes_per_second, lambda: self._answered(agent))

    def _answered(self, agent: Agent) -> None:
        self._busy -= 1
        if self._waiting:
            _, following, size = self._waiting.popleft()
            self._answer(following, size)
        self._step(agent, True)

    def _expire(self, entry: tuple[float, Agent, float]) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
            self._refuse(entry[1])

    def _refuse(self, agent: Agent) -> None:
        self.refused += 1
        self._after(0.0, lambda: self._step(agent, False))
