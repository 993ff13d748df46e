"""The scenario of the demo: phases, turns of the contestants, measurements.

Both contestants follow the same server and see the same objects. They take turns in each phase. The contestant without
the turn is stopped (SIGSTOP), so that it takes no CPU time from the other. The server changes its objects while both
are stopped. The clock of a turn starts when the contestant resumes, with all changes waiting for it.

Memory is read from outside the process. Resident memory is read one second after the turn. A contestant cannot be
faster than the server sends. All numbers are measured in this run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import msgspec

from kinform.cli._process_memory import or_none
from kinform.cli.demo.child_process import ChildProcess

SYNC = "initial sync"
STORM = "storm"
RELIST = "relist"
SETTLE_SECONDS = 1.0  # between the end of a turn and the reading of its memory
UPDATED_FRACTION = 0.01  # of the objects, between the end of the watches and the relist
MAX_COMPARISONS = 5  # with a real cluster, which others may change during a comparison


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run. A real cluster (`embedded=False`) is only read."""

    embedded: bool
    pods: int
    namespaces: int
    updates: int
    kubeconfig: str | None = None
    context: str | None = None

    @property
    def phases(self) -> list[str]:
        return [SYNC, STORM, RELIST] if self.embedded else [SYNC, RELIST]

    @property
    def steps(self) -> int:
        """Number of steps: the start, the turns, the comparison.

        An embedded server also makes changes between two phases.
        """
        return 2 + 2 * len(self.phases) + (len(self.phases) - 1 if self.embedded else 0)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The measurements of one turn.

    CPU time and memory are None on systems without /proc. Memory is None until it is read.
    """

    seconds: float
    cpu_seconds: float | None
    objects: int
    peak_bytes: int | None = None
    resident_bytes: int | None = None


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the comparison of a copy with the server.

    Attributes:
        objects: The number of objects in the copy.
        same_versions: Whether the keys, uids and resourceVersions are the server's.
        same_contents: Whether the contents are the server's, except for managedFields. None if the copy does not keep
            the JSON.
        different: The number of missing and additional objects, and of objects of another uid or resourceVersion.
        examples: The keys of some of them.
    """

    objects: int
    same_versions: bool
    same_contents: bool | None
    different: int
    examples: list[str]

    @property
    def same(self) -> bool:
        return self.same_versions and self.same_contents is not False


class Contestant:
    """A process that copies the objects, with its measurements."""

    def __init__(self, name: str, child: ChildProcess) -> None:
        self.name = name
        self.child = child
        self.idle_bytes: int | None = None
        self.measured: dict[str, Measured] = {}
        self.agreement: Agreement | None = None

    @property
    def bytes_per_object(self) -> float | None:
        """Resident memory after the initial sync beyond the idle process, per object."""
        first = self.measured.get(SYNC)
        if first is None or first.resident_bytes is None or self.idle_bytes is None or not first.objects:
            return None
        return (first.resident_bytes - self.idle_bytes) / first.objects


class ProgressListener(Protocol):
    """An object that is notified of the progress of a run."""

    def step_started(self, text: str) -> None:
        """Called before a step that is no turn."""

    def turn_started(self, contestant: Contestant, phase: str) -> None:
        """Called at the start of a turn."""

    def turn_finished(self, contestant: Contestant, phase: str) -> None:
        """Called when a turn is over and measured."""


class Scenario:
    """A run of the demo.

    Attributes:
        contestants: The contestants in the order of their turns.
        server: The process of the server, or of the reader of a real cluster. None until it is started.
        json_bytes: The JSON of all objects on the server at the start, by resource.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.contestants: list[Contestant] = []
        self.json_bytes: dict[str, int] = {}
        self.server: ChildProcess | None = None

    def expected_seconds(self, contestant: Contestant, phase: str) -> float | None:
        """Estimates a turn, by its objects, from the initial sync of the contestant.

        Returns None before that.
        """
        first = contestant.measured.get(SYNC)
        if first is None:
            return None
        return first.seconds * (self.plan.updates / max(first.objects, 1) if phase == STORM else 1.0)

    @asynccontextmanager
    async def started(self, listener: ProgressListener) -> AsyncIterator[None]:
        """Starts the processes. Ends them when the block is left, also after an error."""
        plan = self.plan
        async with AsyncExitStack() as stack:
            if plan.embedded:
                listener.step_started(
                    f"starting an API server with {plan.pods:,} pods and {plan.namespaces:,} namespaces"
                )
                server = ChildProcess("the server", "simulator.py", pods=plan.pods, namespaces=plan.namespaces)
                target: dict[str, Any] = {"kubeconfig": None, "context": None}
            else:
                listener.step_started("reading the cluster")
                target = {"kubeconfig": plan.kubeconfig, "context": plan.context}
                server = ChildProcess("the cluster", "cluster.py", **target)
            self.server = server = await stack.enter_async_context(server)
            target["url"] = await server.call("open")
            self.json_bytes = await server.call("sizes")
            for name, part in (("naive loop", "naive.py"), ("kinform", "kinform_part.py")):
                child = await stack.enter_async_context(ChildProcess(name, part, **target))
                self.contestants.append(Contestant(name, child))
            for contestant in self.contestants:
                await contestant.child.call("open")
                await asyncio.sleep(SETTLE_SECONDS / 2)
                contestant.idle_bytes = or_none(contestant.child.gauge.rss)
                contestant.child.pause()
            yield

    async def run(self, listener: ProgressListener) -> None:
        """Runs the phases, then compares the copies with the server.

        Raises:
            Failure: A contestant or the server failed or died.
        """
        plan = self.plan
        await self._run_phase(listener, SYNC, "sync")
        if plan.embedded:
            listener.step_started(f"the server makes {plan.updates:,} updates")
            versions = await self._call_server("storm", updates=plan.updates)
            await self._run_phase(listener, STORM, "catch_up", versions=versions)
            listener.step_started("the server ends all watches, changes objects and compacts its history")
            versions = await self._call_server("expire", fraction=UPDATED_FRACTION)
            await self._run_phase(listener, RELIST, "catch_up", versions=versions)
        else:
            await self._run_phase(listener, RELIST, "relist")
        listener.step_started("comparing the copies with the server")
        await self.compare()

    async def _run_phase(self, listener: ProgressListener, phase: str, method: str, **arguments: Any) -> None:
        for contestant in self.contestants:
            child, gauge = contestant.child, contestant.child.gauge
            or_none(gauge.reset_peak)
            listener.turn_started(contestant, phase)
            start, cpu_start = time.monotonic(), or_none(gauge.cpu_seconds)
            child.resume()
            await child.call(method, **arguments)
            seconds, cpu_end = time.monotonic() - start, or_none(gauge.cpu_seconds)
            cpu_seconds = None if cpu_start is None or cpu_end is None else cpu_end - cpu_start
            measured = Measured(seconds=seconds, cpu_seconds=cpu_seconds, objects=child.objects)
            contestant.measured[phase] = measured
            await asyncio.sleep(SETTLE_SECONDS)
            contestant.measured[phase] = msgspec.structs.replace(
                measured, peak_bytes=or_none(gauge.peak), resident_bytes=or_none(gauge.rss)
            )
            child.pause()
            listener.turn_finished(contestant, phase)

    async def _call_server(self, method: str, **arguments: Any) -> Any:
        assert self.server is not None
        return await self.server.call(method, **arguments)

    async def compare(self) -> None:
        """Compares each copy with the server.

        Repeats an unequal comparison with a real cluster, which may have changed in between.
        """
        for contestant in self.contestants:
            contestant.child.resume()
        for remaining in reversed(range(1 if self.plan.embedded else MAX_COMPARISONS)):
            expected = await self._call_server("digest")
            for contestant in self.contestants:
                contestant.agreement = await self._compare(contestant, expected)
            if all(contestant.agreement is not None and contestant.agreement.same for contestant in self.contestants):
                return
            if remaining:
                await asyncio.sleep(SETTLE_SECONDS)

    async def _compare(self, contestant: Contestant, expected: dict[str, Any]) -> Agreement:
        actual = await contestant.child.call("digest")
        same_versions = all(actual[resource]["versions"] == expected[resource]["versions"] for resource in expected)
        comparable = [resource for resource in expected if actual[resource]["contents"] is not None]
        different: list[str] = []
        if not same_versions:
            copied, served = await contestant.child.call("versions"), await self._call_server("versions")
            for resource in expected:
                keys = sorted({*copied[resource], *served[resource]})
                different += [
                    f"{resource} {key}" for key in keys if copied[resource].get(key) != served[resource].get(key)
                ]
        return Agreement(
            objects=sum(digest["objects"] for digest in actual.values()),
            same_versions=same_versions,
            same_contents=all(actual[resource]["contents"] == expected[resource]["contents"] for resource in comparable)
            if comparable
            else None,
            different=len(different),
            examples=different[:3],
        )
