"""Contenders on a real kube-apiserver, each behind a proxy, and their terms."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

import kinform
from kinform.controllers._leases.lease_requests import LEASES
from tests.controllers.contender import Line, Settings
from tests.docs.markdown import ROOT
from tests.support.clusters import RealCluster
from tests.support.proxy import Proxy
from tests.support.waiting import until


class Contender:
    """A contender: its process and its proxy.

    Attributes:
        identity: Its identity.
        proxy: The proxy of its requests for the Lease.
    """

    def __init__(self, settings: Settings, proxy: Proxy) -> None:
        self.identity = settings.identity
        self.proxy = proxy
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process."""
        command = [sys.executable, "-m", "tests.controllers.contender", msgspec.json.encode(self._settings).decode()]
        self._process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kills the process, and waits for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Arena:
    """The contenders for one Lease, and their logs.

    Attributes:
        contenders: The contenders by identity.
        api: A connection with all rights.
        lease: The key of the Lease.
    """

    def __init__(self, cluster: RealCluster, api: kinform.Connection, folder: Path, options: dict[str, float]) -> None:
        self.api = api
        self.contenders: dict[str, Contender] = {}
        self.lease = f"{cluster.namespace}/arena"
        self._cluster = cluster
        self._folder = folder
        self._options = options

    def add(self, identity: str, proxy: Proxy, *, clock_jumps: bool = False) -> None:
        """Adds a contender, and starts it."""
        settings = Settings(
            identity=identity,
            lease_url=proxy.url,
            url=self._cluster.url,
            **self._cluster.connect_options,
            lease=self.lease,
            counter=f"{self._cluster.namespace}/counter",
            log=str(self._folder / identity),
            options=self._options,
            clock_jumps=clock_jumps,
        )
        self.contenders[identity] = Contender(settings, proxy)
        self.contenders[identity].start()

    def lines(self) -> list[Line]:
        """Returns all lines of all logs, in the order of time."""
        found = [
            line for path in self._folder.iterdir() for line in path.read_bytes().splitlines() if line[-1:] == b"}"
        ]
        return sorted((msgspec.json.decode(line, type=Line) for line in found), key=lambda line: line.at)

    async def ready(self) -> Contender:
        """Waits until each contender knows the leader, and returns that one."""

        def all_saw() -> bool:
            return {line.identity for line in self.lines() if line.what == "saw"} == set(self.contenders)

        await until(all_saw, within=20)
        return await self.leader()

    async def leader(
        self, *, other_than: Contender | None = None, after: float = 0.0, within: float = 20.0
    ) -> Contender:
        """Waits until a contender acts, and returns it.

        Args:
            other_than: A contender that does not count.
            after: Only what happens after this monotonic time counts.
            within: Seconds to wait.
        """
        found: list[Contender] = []

        def acts() -> bool:
            lines = [line for line in self.lines() if line.at > after and line.what == "act"]
            if lines and (contender := self.contenders[lines[-1].identity]) is not other_than:
                found.append(contender)
            return bool(found)

        await until(acts, within=within)
        return found[0]

    async def edit(self, **fields: Any) -> None:
        """Changes the spec of the Lease, as a third party does; None removes a field."""
        while True:
            lease = await self.api.get(LEASES, self.lease)
            lease["spec"] = {name: value for name, value in {**lease["spec"], **fields}.items() if value is not None}
            try:
                await self.api.replace(LEASES, lease)
            except kinform.ConflictError:
                continue
            return

    def terms(self) -> list[tuple[int, float, float]]:
        """Returns the token of each term, and when it acted first and last."""
        acts: dict[tuple[str, int], list[float]] = {}
        for line in self.lines():
            if line.what == "act":
                acts.setdefault((line.identity, line.transitions), []).append(line.at)
        return [(token, times[0], times[-1]) for (_, token), times in acts.items()]

    def overlap(self) -> float:
        """Returns the longest time for which two terms acted at once, in seconds."""
        terms = self.terms()
        return max([0.0, *(first[2] - then[1] for first, then in itertools.pairwise(terms))])


@asynccontextmanager
async def arena(cluster: RealCluster, folder: Path, *identities: str, **options: float) -> AsyncIterator[Arena]:
    """Runs contenders, the last one with a wall clock that jumps.

    The end of the block kills them.
    """
    await cluster.create("counter", data={"number": "0", "token": "0"})
    logs = folder / "logs"
    logs.mkdir()
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(kinform.connect(cluster.url, **cluster.connect_options))  # type: ignore[arg-type]
        found = Arena(cluster, api, logs, options)
        try:
            for identity in identities:
                proxy = await stack.enter_async_context(Proxy(cluster.url))
                found.add(identity, proxy, clock_jumps=identity == identities[-1])
            yield found
        finally:
            for contender in found.contenders.values():
                contender.kill()


def now() -> float:
    """Returns the clock of the logs."""
    return time.monotonic()
