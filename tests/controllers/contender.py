"""`python -m tests.controllers.contender`: a candidate as a process, for chaos.

Its requests for the Lease go through a proxy, which the test can break. Its work does not: it writes to a shared
counter as long as it believes to lead, each time with its fencing token. It never compares tokens itself, so that a
leader that was deposed can be seen. Each step is a line in a log, with the monotonic clock, which all processes of a
machine share.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

import kinform
from kinform.controllers import LeaderElection, LeadershipLost, Term
from kinform.controllers._leases import lease_requests

PAUSE_SECONDS = 0.05


class Settings(msgspec.Struct, frozen=True):
    """The settings of a contender: its only argument, as JSON.

    Attributes:
        identity: Its identity.
        lease_url: The URL for requests for the Lease.
        url: The URL for its work.
        token: The bearer token.
        ca: The file with the CA.
        lease: The key of the Lease.
        counter: The key of the ConfigMap that it writes.
        log: The file that it appends to.
        options: The options of the election.
        clock_jumps: True: its wall clock jumps by hours, forwards and backwards, at each reading.
    """

    identity: str
    lease_url: str
    url: str
    token: str
    ca: str
    lease: str
    counter: str
    log: str
    options: dict[str, float]
    clock_jumps: bool = False


class Line(msgspec.Struct, frozen=True):
    """A line of the log.

    Attributes:
        at: The monotonic time.
        what: `"lead"`, `"act"` before each step of the work, `"end"`, `"lost"`, or `"saw"`: there is a new leader.
        identity: The contender.
        transitions: The token of the term.
    """

    at: float
    what: str
    identity: str
    transitions: int = 0


Note = Callable[..., None]


async def contend(settings: Settings, note: Note) -> None:
    """Leads whenever it can, until the process ends."""
    credentials: dict[str, Any] = {"token": settings.token, "ca": settings.ca}
    options: dict[str, Any] = {**settings.options, "identity": settings.identity}
    async with (
        kinform.connect(settings.lease_url, **credentials) as leases,
        kinform.connect(settings.url, **credentials) as api,
    ):
        election = LeaderElection(leases, settings.lease, **options)
        election.on_new_leader(lambda leader: note("saw"))
        while True:
            try:
                async with election.leading() as term:
                    await work(api, settings, note, term)
            except LeadershipLost:
                note("lost")


async def work(api: kinform.Connection, settings: Settings, note: Note, term: Term) -> None:
    """Writes to the counter again and again."""
    note("lead", term.transitions)
    try:
        while True:
            note("act", term.transitions)
            await count(api, settings, term)
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        note("end", term.transitions)


async def count(api: kinform.Connection, settings: Settings, term: Term) -> None:
    """Adds one to the counter, by compare-and-swap."""
    try:
        counter = await api.get("v1/configmaps", settings.counter)
        number = int(counter["data"]["number"]) + 1
        counter["data"] = {"number": str(number), "token": str(term.transitions), "by": settings.identity}
        await api.replace("v1/configmaps", counter)
    except (kinform.StatusError, kinform.TransportError):
        pass


def let_the_clock_jump() -> None:
    """Lets the wall clock of this process jump by hours at each reading."""
    hours = (number * (-1) ** number for number in itertools.cycle(range(5)))
    real_time, real_datetime = time.time, datetime.datetime

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return real_datetime.now(tz) + datetime.timedelta(hours=next(hours))

    time.time = lambda: real_time() + 3600 * next(hours)
    lease_requests.datetime = SimpleNamespace(datetime=Jumping, UTC=datetime.UTC)  # type: ignore[assignment]


def main(settings: Settings) -> None:
    """Runs a contender."""
    if settings.clock_jumps:
        let_the_clock_jump()
    with Path(settings.log).open("ab", buffering=0) as log:

        def note(what: str, transitions: int = 0) -> None:
            line = Line(time.monotonic(), what, settings.identity, transitions)
            log.write(msgspec.json.encode(line) + b"\n")

        asyncio.run(contend(settings, note))


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Settings))
