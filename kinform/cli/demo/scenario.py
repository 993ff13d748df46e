"""The course of the demo: who does what, in which order, and what is measured.

The sides take turns, phase by phase, on one server and the same objects, and whoever does not have the turn is
stopped (SIGSTOP): so neither takes CPU time from the other, which on two cores would decide the result, and
both see the same. What happens on the server happens while both are stopped; each side's time begins when it
may go on, with all of it waiting. Its memory is read from outside, and held memory a second after the end of
a turn. A side cannot run faster than the server sends.

Every number is measured in this run. Differences are looked for as thoroughly as agreement.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import msgspec

from kinform.cli._process_memory import or_none
from kinform.cli.demo.child_process import Child

SYNC = "initial sync"
STORM = "storm"
RELIST = "relist"
SETTLE = 1.0  # seconds before held memory is read
CHANGED = 0.01  # of the objects, between the end of the streams and the relist
ROUNDS = 5  # of comparing, where others change the cluster meanwhile


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. With a kubeconfig, or `embedded` false, a real cluster that is only read."""

    embedded: bool
    pods: int
    namespaces: int
    updates: int
    kubeconfig: str | None = None
    context: str | None = None

    @property
    def phases(self) -> list[str]:
        return [SYNC, STORM, RELIST] if self.embedded else [SYNC, RELIST]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One side's turn in one phase. Bytes and CPU time are None where there is no /proc."""

    seconds: float
    cpu_seconds: float | None
    objects: int
    peak_bytes: int | None
    held_bytes: int | None


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How a side's copy compares with the server's objects.

    Attributes:
        objects: How many it holds.
        same_versions: Whether key, uid and resourceVersion of all are the server's.
        same_contents: Whether all that is in them is, but managedFields; None where the copy cannot tell.
        different: How many objects are missing, in excess, or of another uid or resourceVersion.
        examples: Some of them.
    """

    objects: int
    same_versions: bool
    same_contents: bool | None
    different: int
    examples: list[str]

    @property
    def same(self) -> bool:
        return self.same_versions and self.same_contents is not False


class Side:
    """One who copies, with what was measured of it so far."""

    def __init__(self, name: str, child: Child) -> None:
        self.name = name
        self.child = child
        self.idle_bytes: int | None = None
        self.done: dict[str, Measured] = {}
        self.agreement: Agreement | None = None

    @property
    def bytes_per_object(self) -> float | None:
        """What the copy takes after the initial sync, beyond the idle process, divided by the objects."""
        first = self.done.get(SYNC)
        if first is None or first.held_bytes is None or self.idle_bytes is None or not first.objects:
            return None
        return (first.held_bytes - self.idle_bytes) / first.objects


class Audience(Protocol):
    """Who is told how it goes."""

    def say(self, text: str) -> None:
        """A step begins."""

    def turn(self, side: Side, phase: str) -> None:
        """A side's turn begins."""

    def turned(self, side: Side, phase: str) -> None:
        """A side's turn is over, and measured."""


class Course:
    """One run of the demo.

    Attributes:
        sides: Those who copy, in the order of their turns.
        server: The process of the server, once it is started.
        json_bytes: JSON of all objects on the server at the start, by resource.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sides: list[Side] = []
        self.json_bytes: dict[str, int] = {}
        self.server: Child | None = None

    @asynccontextmanager
    async def opened(self, audience: Audience) -> AsyncIterator[None]:
        """Starts the processes; leaving ends them, whatever has happened."""
        plan = self.plan
        async with AsyncExitStack() as stack:
            if plan.embedded:
                audience.say(f"starting an API server with {plan.pods:,} pods and {plan.namespaces:,} namespaces")
                server = Child("the server", "simulator.py", pods=plan.pods, namespaces=plan.namespaces)
                place: dict[str, Any] = {"kubeconfig": None, "context": None}
            else:
                audience.say("looking at the cluster")
                place = {"kubeconfig": plan.kubeconfig, "context": plan.context}
                server = Child("the cluster", "cluster.py", **place)
            self.server = server = await stack.enter_async_context(server)
            place["url"] = await server.do("open")
            self.json_bytes = await server.do("sizes")
            for name, part in (("naive loop", "naive.py"), ("kinform", "kinform_part.py")):
                child = await stack.enter_async_context(Child(name, part, **place))
                self.sides.append(Side(name, child))
            for side in self.sides:
                await side.child.do("open")
                await asyncio.sleep(SETTLE / 2)
                side.idle_bytes = or_none(side.child.gauge.rss)
                side.child.pause()
            yield

    async def run(self, audience: Audience) -> None:
        """Goes through the phases, and compares at the end.

        Raises:
            Failure: A side or the server failed or died.
        """
        plan = self.plan
        await self._phase(audience, SYNC, "sync")
        if plan.embedded:
            audience.say(f"the server makes {plan.updates:,} updates")
            reached = await self._ask("storm", updates=plan.updates)
            await self._phase(audience, STORM, "catch_up", versions=reached)
            audience.say("the server ends the streams, changes some objects, and forgets its history: 410 for all")
            reached = await self._ask("expire", fraction=CHANGED)
            await self._phase(audience, RELIST, "catch_up", versions=reached)
        else:
            await self._phase(audience, RELIST, "relist")
        audience.say("comparing with the server")
        await self.compare()

    async def _phase(self, audience: Audience, phase: str, order: str, **options: Any) -> None:
        for side in self.sides:
            child, gauge = side.child, side.child.gauge
            or_none(gauge.reset_peak)
            audience.turn(side, phase)
            begun, used = time.monotonic(), or_none(gauge.cpu_seconds)
            child.resume()
            await child.do(order, **options)
            seconds, used_now = time.monotonic() - begun, or_none(gauge.cpu_seconds)
            await asyncio.sleep(SETTLE)
            side.done[phase] = Measured(
                seconds=seconds,
                cpu_seconds=None if used is None or used_now is None else used_now - used,
                objects=child.objects,
                peak_bytes=or_none(gauge.peak),
                held_bytes=or_none(gauge.rss),
            )
            child.pause()
            audience.turned(side, phase)

    async def _ask(self, order: str, **options: Any) -> Any:
        assert self.server is not None
        return await self.server.do(order, **options)

    async def compare(self) -> None:
        """Compares each copy with what the server holds; more than once where others change that meanwhile."""
        for side in self.sides:
            side.child.resume()
        for _ in range(1 if self.plan.embedded else ROUNDS):
            theirs = await self._ask("digest")
            for side in self.sides:
                side.agreement = await self._agreement(side, theirs)
            if all(side.agreement is not None and side.agreement.same for side in self.sides):
                return
            await asyncio.sleep(SETTLE)

    async def _agreement(self, side: Side, theirs: dict[str, Any]) -> Agreement:
        ours = await side.child.do("digest")
        same_versions = all(ours[resource]["versions"] == theirs[resource]["versions"] for resource in theirs)
        known = [resource for resource in theirs if ours[resource]["contents"] is not None]
        different: list[str] = []
        if not same_versions:
            here, there = await side.child.do("versions"), await self._ask("versions")
            for resource in theirs:
                keys = sorted({*here[resource], *there[resource]})
                different += [
                    f"{resource} {key}" for key in keys if here[resource].get(key) != there[resource].get(key)
                ]
        return Agreement(
            objects=sum(digest["objects"] for digest in ours.values()),
            same_versions=same_versions,
            same_contents=all(ours[resource]["contents"] == theirs[resource]["contents"] for resource in known)
            if known
            else None,
            different=len(different),
            examples=different[:3],
        )
