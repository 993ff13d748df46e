"""An API server with Leases and Events in memory, and candidates.

For virtual time: it has no sockets. Each candidate has a link of its own, which can delay, hang and drop. A fault
belongs to one link or to the server.
"""

from __future__ import annotations

import asyncio
import copy
import datetime
import itertools
import math
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

import kinform
from kinform import Request
from kinform.controllers import LeaderElection

KEY = "shop/widget-operator"
PATH = "/apis/coordination.k8s.io/v1/namespaces/shop/leases"
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Reply:
    """A response that is in memory."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self._body = msgspec.json.encode(body)

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def head(self, limit: int) -> bytes:
        return self._body[:limit]

    def close(self) -> None:
        pass


class LeaseServer:
    """The server.

    Attributes:
        lease: The Lease, or None if it does not exist.
        events: The Events.
        writes: The successful writes of the Lease: the time, the candidate, and the spec.
        requests: All requests for the Lease: the time, the candidate, and the method.
        may_write_events: False refuses Events.
    """

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.events: list[dict[str, Any]] = []
        self.writes: list[tuple[float, str, dict[str, Any]]] = []
        self.requests: list[tuple[float, str, str]] = []
        self.may_write_events = True
        self._version = 0

    def edit(self, **fields: Any) -> None:
        """Changes the spec, as a third party does; None removes a field."""
        assert self.lease is not None
        spec = {**self.lease["spec"], **fields}
        self._store("third party", {**self.lease, "spec": {k: v for k, v in spec.items() if v is not None}})

    def put(self, spec: dict[str, Any], **metadata: Any) -> None:
        """Creates the Lease, or replaces its spec."""
        self._store("third party", {"metadata": {**(self.lease or self._new())["metadata"], **metadata}, "spec": spec})

    def answer(self, candidate: str, request: Request) -> Reply:
        """Returns the answer to a request that has arrived."""
        body = msgspec.json.decode(request.body) if request.body else {}
        if "/events" in request.path:
            if not self.may_write_events:
                return _status(403, "Forbidden")
            self.events.append(body)
            return Reply(201, body)
        self.requests.append((_now(), candidate, request.method))
        if request.method == "POST":
            if self.lease is not None:
                return _status(409, "AlreadyExists")
            return Reply(
                201, self._store(candidate, {**body, "metadata": {**body["metadata"], **self._new()["metadata"]}})
            )
        if self.lease is None:
            return _status(404, "NotFound")
        if request.method == "GET":
            return Reply(200, self.lease)
        if body["metadata"].get("resourceVersion") != self.lease["metadata"]["resourceVersion"]:
            return _status(409, "Conflict")
        return Reply(200, self._store(candidate, body))

    def _new(self) -> dict[str, Any]:
        created = (START + datetime.timedelta(seconds=_now())).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"metadata": {"namespace": "shop", "name": "widget-operator", "creationTimestamp": created}}

    def _store(self, candidate: str, lease: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        lease = copy.deepcopy(lease)
        lease["metadata"]["resourceVersion"] = str(self._version)
        self.lease = lease
        self.writes.append((_now(), candidate, lease["spec"]))
        return lease


class Link(kinform.Connection):
    """The connection of one candidate.

    Attributes:
        delay: Seconds until a request arrives, and again until its answer does.
        drops_answers: True: requests arrive, and the connection breaks before the answer.
        refuses: An HTTP status for each request, or 0.
    """

    def __init__(self, server: LeaseServer, candidate: str) -> None:
        self._server = server
        self._candidate = candidate
        self.write_listeners = []
        self.delay = 0.0
        self._open = asyncio.Event()
        self._open.set()
        self.drops_answers = False
        self.refuses = 0

    def hang(self) -> None:
        """Lets no request arrive, and no answer."""
        self._open.clear()

    def heal(self) -> None:
        """Ends all faults. What hung arrives."""
        self.delay, self.drops_answers, self.refuses = 0.0, False, 0
        self._open.set()

    async def open(self, request: Request) -> Any:
        """Sends a request to the server."""
        await self._pass()
        if self.refuses:
            return _status(self.refuses, "Refused")
        reply = self._server.answer(self._candidate, request)
        if self.drops_answers:
            raise kinform.TransportError("the connection broke")
        await self._pass()
        return reply

    async def refresh_credentials(self) -> bool:
        """Has no credentials."""
        return False

    async def _pass(self) -> None:
        await asyncio.sleep(self.delay)
        await self._open.wait()


class Candidate:
    """A candidate that leads as soon as it can, and records when it acts.

    Attributes:
        link: Its connection.
        election: Its election.
        terms: The terms: the token, the begin and the end.
        losses: The errors that ended its blocks.
    """

    def __init__(self, server: LeaseServer, name: str, **options: Any) -> None:
        self.link = Link(server, name)
        self.election = LeaderElection(self.link, KEY, identity=name, **options)
        self.terms: list[tuple[int, float, float]] = []
        self.losses: list[Exception] = []
        self.changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def leads(self) -> bool:
        """True while its body runs."""
        return bool(self.terms) and self.terms[-1][2] == math.inf

    def start(self) -> None:
        """Starts to stand by, and to lead again after each loss."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends it in good order."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            try:
                async with self.election.leading() as term:
                    begin = _now()
                    self.terms.append((term.transitions, begin, math.inf))
                    try:
                        await asyncio.get_running_loop().create_future()
                    finally:
                        self.terms[-1] = (term.transitions, begin, _now())
            except kinform.KinformError as error:
                self.losses.append(error)


def overlap(candidates: list[Candidate]) -> float:
    """Returns the longest time for which two candidates acted at once."""
    terms = sorted((begin, end) for each in candidates for _, begin, end in each.terms)
    return max([0.0, *(first[1] - then[0] for first, then in itertools.pairwise(terms))])


def tokens(candidates: list[Candidate]) -> list[int]:
    """Returns the tokens of all terms, in the order in which they began."""
    return [token for token, begin, _ in sorted((t for each in candidates for t in each.terms), key=lambda t: t[1])]


def _status(code: int, reason: str) -> Reply:
    return Reply(code, {"kind": "Status", "code": code, "reason": reason, "message": reason, "details": {"name": "x"}})


def _now() -> float:
    return asyncio.get_running_loop().time()
