"""Leader election: one process of several acts at a time.

`LeaderElection` has the loops: one stands by, one renews. `lease.py` decides, `lease_requests.py` asks the server, and
`term.py` stops the work. The wall clock is written into the Lease, and never read.
Source: client-go's `tools/leaderelection`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from kinform import Connection
from kinform._checks import require_instance, require_match, require_number
from kinform._error_places import cause_of
from kinform._errors import (
    DecodeError,
    KinformError,
    OptionError,
    ProtocolError,
    StatusError,
    TransportError,
)
from kinform._jitter import random_fraction
from kinform._printable import printable
from kinform._throttled_log import ThrottledLog, function_name
from kinform.controllers._election.events import report_event
from kinform.controllers._leases.lease import LeaseMachine, Step
from kinform.controllers._leases.lease_requests import LeaseRequests
from kinform.controllers._leases.lease_times import JITTER, LEASE_KEY, MIN_RETRY, check_times
from kinform.controllers._leases.term import Block, Term

H = TypeVar("H", bound=Callable[[str], object])

_RETRIED = (StatusError, TransportError, ProtocolError, DecodeError)

_log = logging.getLogger("kinform.election")


class ElectionStats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Statistics of a `LeaderElection`, at the time of the call.

    Attributes:
        name: The key of the Lease: `"namespace/name"`.
        leading: True inside of a `leading()` block whose leadership is not lost.
        leader: The identity of the current holder as last seen; `""`: none.
        transitions: The fencing token of the term; None if it does not lead.
        slow_paths: Number of renewals that had to read the Lease first, because another client had changed it.
        lost: Number of times that the leadership was lost.
        seconds_since_renewal: Seconds since the last successful renewal was sent; None if it does not lead.
        error: The last error; None since the last successful request.
    """

    name: str
    leading: bool
    leader: str
    transitions: int | None
    slow_paths: int
    lost: int
    seconds_since_renewal: float | None
    error: str | None


class ElectionHealth(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The health of a `LeaderElection`, at the time of the call.

    Attributes:
        ok: False if this process may act although its Lease has expired.
        reason: Why `ok` is False; `""` if it is True.
    """

    ok: bool
    reason: str


class LeaderElection:
    """An election by a Lease: at any time, at most one of its candidates leads.

        election = LeaderElection(api, "shop/widget-operator")
        async with election.leading() as term:
            ...  # only one process at a time runs this

    `leading()` waits until this candidate leads. Its body is cancelled when the leadership is lost, and the block
    raises `LeadershipLost`. A new `leading()` block may follow, but only one at a time.

    The work stops in time whatever the network does: a timer, armed when a renewal is sent, cancels the body
    `renew_deadline` seconds later, and no other candidate acts before `lease_seconds` have passed. All times are
    monotonic, and local: clocks may differ and step. They must only run at about the same rate: `lease_seconds` has to
    be larger than `renew_deadline` by more than the clocks drift apart meanwhile. See "Leader election" for what the
    election alone cannot guarantee.

    At rest, the leader sends one write each `retry_seconds`, and every other candidate one read. The Lease is created
    if it does not exist. Labels and fields of other clients stay in it.

    Args:
        api: An open `Connection`. Its user needs the verbs `get`, `create` and `update` on the Lease.
        name: The key of the Lease: `"namespace/name"`. All candidates have the same.
        identity: The name of this candidate, which no other one has. None: the name of the host, and a random part.
        lease_seconds: Seconds after the last renewal of a leader at which another candidate may take over. The Lease
            has it rounded up.
        renew_deadline: Seconds after the last successful renewal at which the work stops. One attempt to read or write
            the Lease takes at most half of it, or `retry_seconds` if they are more.
        retry_seconds: Seconds between two renewals; after a failed one, fewer as the deadline comes nearer. A candidate
            that stands by adds up to a fifth of it.
        release_on_stop: True: the end of a block releases the Lease, so that another candidate leads within
            `retry_seconds`. False: it has to wait for `lease_seconds`.
        warm: For `Controller`: True starts its informers before it leads, so that it starts to work at once. Has no
            effect on `leading()`.

    Raises:
        OptionError: An argument is not valid: `lease_seconds` must be above `renew_deadline`, and that above 1.2 times
            `retry_seconds`.
    """

    def __init__(
        self,
        api: Connection,
        name: str,
        *,
        identity: str | None = None,
        lease_seconds: float = 40.0,
        renew_deadline: float = 30.0,
        retry_seconds: float = 10.0,
        release_on_stop: bool = True,
        warm: bool = True,
    ) -> None:
        require_instance("api", api, Connection, "a kinform.Connection")
        require_match("name", name, LEASE_KEY, 'the key of a Lease: "namespace/name"')
        if identity is not None and (not isinstance(identity, str) or not identity.strip()):
            raise OptionError("identity", identity, "a text that no other candidate has, or None")
        check_times(lease_seconds, renew_deadline, retry_seconds)
        require_instance("release_on_stop", release_on_stop, bool, "True or False")
        require_instance("warm", warm, bool, "True or False")
        self.name = name
        self.identity = identity or f"{socket.gethostname()}_{os.urandom(8).hex()}"
        self.warm = warm
        self._api = api
        self._lease_seconds = lease_seconds
        self._renew_deadline = renew_deadline
        self._retry_seconds = retry_seconds
        self._attempt_seconds = max(retry_seconds, renew_deadline / 2)
        self._release_on_stop = release_on_stop
        self._machine = LeaseMachine(name, self.identity, lease_seconds)
        self._requests = LeaseRequests(api, name, self._machine)
        self._handlers: list[Callable[[str], object]] = []
        self._active = False
        self._loop: asyncio.AbstractEventLoop
        self._block: Block | None = None
        self._leader = ""
        self._lost = 0
        self._error: str | None = None
        self._log = ThrottledLog(_log)

    def __repr__(self) -> str:
        return f"<kinform.controllers.LeaderElection {self.name} as {printable(self.identity)}>"

    @property
    def leader(self) -> str:
        """The identity of the current holder, as last seen; `""`: none, or not known yet."""
        return self._leader

    def on_new_leader(self, handler: H) -> H:
        """Adds a function that is called with each new value of `leader`.

        Can be used as a decorator. The function is called once for each change, on the event loop: also for the first
        leader seen, for this candidate, and with `""` if the leader has left. An exception is logged.

        Raises:
            OptionError: The handler is not callable, or async.
        """
        if not callable(handler) or inspect.iscoroutinefunction(handler):
            raise OptionError("handler", handler, "a function with one argument that is not async")
        self._handlers.append(handler)
        return handler

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[Term]:
        """Returns a block to enter with `async with`, which gives its `Term`.

        The start of the block waits until this candidate leads, without a limit. Errors of the server are logged, and
        kinform tries again. A cancellation ends the wait.

        The body runs in the task that has entered the block. At the loss it is cancelled, and the block raises
        `LeadershipLost`, unless the body raises something else than the cancellation. The renewals go on until the body
        is over, also while it handles a cancellation from elsewhere. Then the block releases the Lease, also after a
        loss if this candidate still holds it. This takes at most `renew_deadline` seconds.

        A body that blocks the event loop, or that goes on after its cancellation, is not stopped: see `health`.

        Raises:
            KinformError: The election has another block, or the connection belongs to another event loop. Raised at
                the start.
            OptionError: The connection is not open. Raised at the start.
            LeadershipLost: The leadership was lost. Raised at the end.
        """
        if self._active:
            raise KinformError(f"election {self.name}: it has a block already; only one at a time can lead")
        self._loop = asyncio.get_running_loop()
        self._active = True
        try:
            await self._stand_by()
            assert self._machine.term is not None
            term = Term(self._machine.term, self._requests.renewed_at + self._renew_deadline)
            block = self._block = Block(self.name, term)
            tasks = [asyncio.create_task(self._renew(block)), asyncio.create_task(self._report("became leader"))]
            try:
                yield term
            except BaseException as error:
                await block.close(error, lambda: self._finish(block, tasks))
                raise
            await block.close(None, lambda: self._finish(block, tasks))
        finally:
            self._block = None
            self._machine.end_term()
            self._active = False

    def stats(self) -> ElectionStats:
        """Returns the current statistics. Any thread may call it."""
        block = self._block
        leading = block is not None and not block.term.lost.is_set()
        return ElectionStats(
            name=self.name,
            leading=leading,
            leader=self._leader,
            transitions=block.term.transitions if block is not None and leading else None,
            slow_paths=self._requests.slow_paths,
            lost=self._lost,
            seconds_since_renewal=self._age() if leading else None,
            error=self._error,
        )

    def health(self, tolerance: float = 0.0) -> ElectionHealth:
        """Returns whether the work of this process is within its lease.

        For a liveness probe. Any thread may call it. It fails only if a body is still running `lease_seconds +
        tolerance` after the last renewal: if it blocks the event loop, or goes on after its cancellation. Serve the
        probe in another thread, so that it works while the event loop is blocked.

        Args:
            tolerance: Seconds for which the lease may have expired.

        Raises:
            OptionError: `tolerance` is not a number of at least 0.
        """
        allowed = "0 or a positive number of seconds"
        require_number("tolerance", tolerance, allowed, lambda n: 0 <= n < float("inf"))
        if self._block is None or (age := self._age()) <= self._lease_seconds + tolerance:
            return ElectionHealth(ok=True, reason="")
        return ElectionHealth(ok=False, reason=f"the work goes on {age:.1f} s after the last renewal of {self.name}")

    # The block

    async def _stand_by(self) -> None:
        """Returns when this candidate has taken the Lease, and has time to act."""
        try:
            while not await self._try_to_lead():
                pass
        except BaseException:
            if self._release_on_stop and self._requests.unanswered:  # so it may have the Lease
                await self._release(self._loop.time() + self._attempt_seconds)
            raise

    async def _try_to_lead(self) -> bool:
        """Makes one attempt. If it fails, waits for the time of the next one."""
        sent_at = self._loop.time()
        await self._advance(sent_at + self._attempt_seconds)
        if self._machine.term is not None:
            if self._loop.time() < self._requests.renewed_at + self._renew_deadline:
                return True
            self._machine.end_term()  # the process was stopped meanwhile
        until = sent_at + self._retry_seconds * (1 + JITTER * random_fraction())
        if self._machine.held_until > self._loop.time():
            until = min(until, self._machine.held_until)
        await self._sleep_until(until)
        return False

    async def _renew(self, block: Block) -> None:
        """Renews the Lease each `retry_seconds`, until the loss; sooner after a failure."""
        sent, wait = self._requests.renewed_at, self._retry_seconds
        while True:
            await self._sleep_until(sent + wait)
            if block.why_lost:
                return
            sent, wait = self._loop.time(), self._retry_seconds
            step = await self._advance(min(sent + self._attempt_seconds, block.term.deadline))
            if step is Step.LOSE:
                block.lose(f"{printable(self._machine.holder)} holds the Lease")
                return
            if step is Step.WAIT:
                left = block.term.deadline - self._loop.time()
                wait = max(min(wait, left / 2), wait * MIN_RETRY)
            else:
                block.extend(self._requests.renewed_at + self._renew_deadline)

    async def _finish(self, block: Block, tasks: list[asyncio.Task[None]]) -> None:
        """Ends the renewals, and releases the Lease. The body is over."""
        self._block = None
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if block.why_lost:
            self._lost += 1
            _log.warning("%s: leadership lost: %s", self.name, block.why_lost)
        now = self._loop.time()
        deadline = min(now + self._renew_deadline, self._requests.renewed_at + self._lease_seconds)
        if deadline > now:
            async with asyncio.TaskGroup() as last:
                last.create_task(self._report("stopped leading"))
                if self._release_on_stop:
                    last.create_task(self._release(deadline))

    async def _advance(self, deadline: float) -> Step:
        """Makes one round. An error is logged, and counts as WAIT.

        A mistake of the program is raised, such as a connection that is not open. The leader logs it, too: its work
        goes on until its deadline.
        """
        step = Step.WAIT
        try:
            step = await self._requests.advance(deadline)
            self._error = None
        except Exception as error:
            if self._block is None and not isinstance(error, _RETRIED):
                raise
            self._failed(error)
        self._notify()
        return step

    async def _release(self, deadline: float) -> None:
        try:
            await self._requests.release(deadline)
        except Exception as error:
            self._failed(error)
        self._notify()

    async def _report(self, what: str) -> None:
        _log.info("election %s: %s %s", self.name, printable(self.identity), what)
        await report_event(self._api, self.name, self.identity, what, self._attempt_seconds)

    def _failed(self, error: Exception) -> None:
        self._error = str(error) if isinstance(error, KinformError) else type(error).__name__
        if self._block is not None and isinstance(error, KinformError):
            self._block.error = error
        self._log.warning(type(error).__name__, f"election {self.name}: {self._error}")

    def _notify(self) -> None:
        """Calls the handlers if the holder is another one."""
        if self._machine.holder == self._leader:
            return
        self._leader = self._machine.holder
        for handler in self._handlers:
            try:
                handler(self._leader)
            except Exception as error:
                name = function_name(handler)
                message = f"election {self.name}: handler {name} raised {cause_of(error, handler)}"
                self._log.exception(name, message, error)

    def _age(self) -> float:
        # Not the time of the loop, which may be blocked.
        return time.monotonic() - self._requests.renewed_at

    async def _sleep_until(self, when: float) -> None:
        await asyncio.sleep(max(0.0, when - self._loop.time()))
