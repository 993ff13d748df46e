"""The kinds of faults of a simulated server, and of the network in front of it.

A request fault is applied to one response, by `kinform.testing`. An outage has a start and an end: it is a coroutine
function that returns at the end. All parameters come from a seeded generator.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Literal

import msgspec

from kinform.testing import (
    BookmarkWithoutEnd,
    CutMidObject,
    Empty,
    Fault,
    Forbidden,
    Gone,
    Hangup,
    InternalError,
    Invalid,
    LateBookmark,
    MalformedFrame,
    MalformedObject,
    NoBookmark,
    NotFound,
    Oversized,
    RecordedRequest,
    ResourceVersionTooLarge,
    Server,
    ShortPage,
    Stall,
    TooManyRequests,
    Trickle,
    Unauthorized,
    Unavailable,
)
from tests.support.proxy import Proxy

OVERSIZED_BYTES = 2 << 20
"""More than the `max_object_bytes` of the follower."""

Requests = Literal["all", "list", "later page", "streaming list"]
"""The requests to which a fault can be applied."""


class FaultTarget:
    """The target of faults: a server, its network, and a generator of parameters.

    Attributes:
        longest: The longest outage, seconds.
    """

    def __init__(self, server: Server, proxy: Proxy, random: Random, longest: float) -> None:
        self.server = server
        self.proxy = proxy
        self.random = random
        self.longest = longest

    async def some_time(self) -> None:
        """Waits for a random part of the longest outage."""
        await asyncio.sleep(self.longest * self.random.uniform(0.2, 1.0))


class RequestFault(msgspec.Struct, frozen=True):
    """A fault of one response.

    Attributes:
        make: Makes the fault; the argument is the number of objects before it.
        requests: The requests to which it can be applied.
        breaks_streams: It can also be applied to a watch that is open.
        most: The most times that a soak has it. None: no limit.
    """

    make: Callable[[int], Fault]
    requests: Requests = "all"
    breaks_streams: bool = False
    most: int | None = None


def is_state_request(request: RecordedRequest) -> bool:
    """Returns whether a request is for a complete state."""
    return request.verb == "list" or is_streaming_list(request)


def is_streaming_list(request: RecordedRequest) -> bool:
    """Returns whether a request is a WatchList."""
    return request.params.get("sendInitialEvents") == "true"


MATCHES: dict[Requests, Callable[[RecordedRequest], bool]] = {
    "all": lambda request: request.verb in ("list", "watch"),
    "list": lambda request: request.verb == "list",
    "later page": lambda request: request.verb == "list" and "continue" in request.params,
    "streaming list": is_streaming_list,
}

# kinform answers an unknown key by a relist, and waits twice as long before each further one. It remembers for the life
# of a connection that a server has no streaming lists.
REQUEST_FAULTS: dict[str, RequestFault] = {
    "connection closed before the status line": RequestFault(lambda after: Hangup()),
    "connection closed between two objects": RequestFault(lambda after: Hangup(after=after), breaks_streams=True),
    "connection closed in the middle of an object": RequestFault(
        lambda after: CutMidObject(after=after), breaks_streams=True
    ),
    "silence before the status line": RequestFault(lambda after: Stall(headers=False)),
    "silence in the middle of an object": RequestFault(
        lambda after: Stall(after=after, bytes=100), breaks_streams=True
    ),
    "malformed object": RequestFault(lambda after: MalformedObject(after=after), breaks_streams=True),
    "malformed object without a readable key": RequestFault(
        lambda after: MalformedObject(after=after, readable_key=False), breaks_streams=True, most=4
    ),
    "malformed frame": RequestFault(lambda after: MalformedFrame(after=after), breaks_streams=True),
    "oversized object": RequestFault(lambda after: Oversized(after=after, bytes=OVERSIZED_BYTES), breaks_streams=True),
    "empty response": RequestFault(lambda after: Empty(), breaks_streams=True),
    "response in small pieces": RequestFault(lambda after: Trickle(bytes=1000)),
    "401": RequestFault(lambda after: Unauthorized()),
    "403": RequestFault(lambda after: Forbidden()),
    "404": RequestFault(lambda after: NotFound()),
    "410": RequestFault(lambda after: Gone()),
    "410 as an ERROR event": RequestFault(lambda after: Gone(event=True, after=after), breaks_streams=True),
    "429 with `Retry-After`": RequestFault(lambda after: TooManyRequests(retry_after=1)),
    "500": RequestFault(lambda after: InternalError()),
    "500 as an ERROR event of a watch": RequestFault(
        lambda after: InternalError(event=True, after=after), breaks_streams=True, most=0
    ),
    "503": RequestFault(lambda after: Unavailable()),
    "504, resourceVersion too large": RequestFault(lambda after: ResourceVersionTooLarge()),
    "expired `continue` token": RequestFault(lambda after: Gone(), requests="later page"),
    "page with fewer objects than its limit": RequestFault(lambda after: ShortPage(items=1), requests="list"),
    "streaming list refused with 422": RequestFault(lambda after: Invalid(), requests="streaming list", most=0),
    "streaming list without a bookmark": RequestFault(lambda after: NoBookmark(), requests="streaming list"),
    "streaming list with a bookmark that is not its end": RequestFault(
        lambda after: BookmarkWithoutEnd(), requests="streaming list"
    ),
    "changes before the end of a streaming list": RequestFault(
        lambda after: LateBookmark(events=1 + after), requests="streaming list"
    ),
}


async def _restart(target: FaultTarget) -> None:
    await target.server.stop()
    await target.some_time()
    await target.server.start()


async def _freeze(target: FaultTarget) -> None:
    target.server.freeze()
    await target.some_time()
    target.server.thaw()


async def _expire(target: FaultTarget) -> None:
    target.server.compact()
    target.server.disconnect()


async def _drip(target: FaultTarget) -> None:
    target.server.interrupt(Trickle(bytes=500))
    await target.some_time()
    target.server.disconnect()


async def _reset(target: FaultTarget) -> None:
    target.proxy.reset_connections()


async def _close(target: FaultTarget) -> None:
    target.proxy.close_connections()


async def _reset_after_bytes(target: FaultTarget) -> None:
    count = target.random.randrange(1, 200_000)
    end = target.proxy.bytes_to_client + count
    target.proxy.reset_after_bytes(count)
    await target.proxy.wait_until(lambda proxy: proxy.bytes_to_client >= end, within=60)


async def _refuse(target: FaultTarget) -> None:
    await target.proxy.refuse_connections()
    target.proxy.reset_connections()
    await target.some_time()
    await target.proxy.accept_connections()


async def _blackhole(target: FaultTarget) -> None:
    target.proxy.stop_forwarding()
    await asyncio.sleep(3 * target.longest)
    target.proxy.resume_forwarding()


async def _pause(target: FaultTarget) -> None:
    target.proxy.stop_forwarding()
    await target.some_time()
    target.proxy.resume_forwarding()


async def _delay(target: FaultTarget) -> None:
    target.proxy.delay = 0.05
    await target.some_time()
    target.proxy.delay = 0.0


async def _throttle(target: FaultTarget) -> None:
    target.proxy.bytes_per_second = 200_000.0
    await target.some_time()
    target.proxy.bytes_per_second = None


OUTAGES: dict[str, Callable[[FaultTarget], Awaitable[None]]] = {
    "server killed and started again": _restart,
    "server frozen": _freeze,
    "history dropped, and watches ended": _expire,
    "watch in small pieces": _drip,
    "connections reset": _reset,
    "connections closed": _close,
    "connection reset after a number of bytes": _reset_after_bytes,
    "connections refused": _refuse,
    "network without a sound, longer than the deadlines": _blackhole,
    "network without a sound, for a moment": _pause,
    "network with delays": _delay,
    "network with little bandwidth": _throttle,
}

KINDS = (*REQUEST_FAULTS, *OUTAGES)
