"""Servers that behave badly in one way each, as transports without a network.

A behaviour is a function: it takes a request and returns the answer. An answer has a status and a body, which is a
sequence of bytes and of pauses. `measure` follows a collection through such a server in virtual time and returns when
the requests came.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Literal
from unittest.mock import patch

import msgspec

import kinform
from kinform._listwatch import stream
from tests.support import virtual_time

LATENCY = 0.001  # seconds from a request to its answer
FOREVER = 1e9  # seconds
NO_ANSWER = 0  # a status: the server accepts the connection and sends nothing
REFUSED, CUT = -1, -2  # statuses: the connection fails before and after it is established

End = Literal["clean", "cut"]
Kind = Literal["list", "page", "stream", "watch", "fetch"]


class Answer(msgspec.Struct, frozen=True):
    """An answer of a server.

    Attributes:
        status: The HTTP status, or one of `NO_ANSWER`, `REFUSED` and `CUT`.
        body: Bytes to send, and seconds to pause.
        end: How the connection ends after the body.
        headers: The HTTP headers.
    """

    status: int = 200
    body: Iterable[bytes | float] = ()
    end: End = "clean"
    headers: Mapping[str, str] = {}


class Ask(msgspec.Struct, frozen=True):
    """A request, as a behaviour sees it.

    Attributes:
        kind: `"list"`, `"page"` (a later page), `"stream"` (a streaming list), `"watch"`, or `"fetch"` (a LIST of one
            object by its name).
        number: The number of this request, from 1.
        params: The query parameters.
    """

    kind: Kind
    number: int
    params: Mapping[str, str]

    @property
    def initial(self) -> bool:
        """True if the request is for a complete state."""
        return self.kind != "watch"


Behaviour = Callable[[Ask], Answer]


def status(code: int, reason: str = "", **headers: str) -> Answer:
    """Returns an error status, with `Retry_After="1"` as header `Retry-After`."""
    body = json.dumps({"kind": "Status", "code": code, "reason": reason}).encode()
    return Answer(code, [body], headers={name.replace("_", "-"): value for name, value in headers.items()})


def item(number: int, version: str) -> str:
    metadata = {"name": f"p{number}", "namespace": "shop", "uid": f"u{number}", "resourceVersion": version}
    return json.dumps({"metadata": metadata})


def list_of(objects: Iterable[str], *, version: str = "100", token: str = "") -> Answer:
    """Returns a LIST, or a page of it, with these objects."""
    metadata = json.dumps({"resourceVersion": version, "continue": token})
    items = ",".join(objects)
    return Answer(200, [f'{{"kind":"PodList","apiVersion":"v1","metadata":{metadata},"items":[{items}]}}'.encode()])


def page(number: int = 0, *, version: str = "100", token: str = "", items: int = 2) -> Answer:
    """Returns a page of a LIST. Pages with different numbers have different objects."""
    objects = (item(number * items + i, version and "1") for i in range(items))
    return list_of(objects, version=version, token=token)


def event(verb: str, version: str) -> bytes:
    return f'{{"type":"{verb}","object":{item(0, version)}}}\n'.encode()


def bookmark(version: str, *, end: bool = False) -> bytes:
    metadata: dict[str, object] = {"resourceVersion": version} if version else {}
    if end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return json.dumps({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": metadata}}).encode() + b"\n"


def error_event(code: int, reason: str = "") -> bytes:
    return json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": code, "reason": reason}}).encode() + b"\n"


def initial_events(version: str = "100") -> list[bytes]:
    return [event("ADDED", "1"), bookmark(version, end=True)]


def healthy(ask: Ask) -> Answer:
    """Answers as a server does: bookmarks each minute, and the end after the timeout."""
    if ask.kind in ("list", "page"):
        return page()
    start = initial_events() if ask.kind == "stream" else []
    minutes, rest = divmod(int(ask.params["timeoutSeconds"]), 60)
    version = int(ask.params.get("resourceVersion") or 100)
    bookmarks = ((60.0, bookmark(str(version + i + 1))) for i in range(minutes))
    return Answer(200, [*start, *itertools.chain.from_iterable(bookmarks), float(rest)])


def watches(answer: Answer | Callable[[Ask], Answer]) -> Behaviour:
    """Returns a server that is healthy but for watches.

    A streaming list continues as such a watch after its initial events. If the answer to a watch is a refusal, a
    streaming list ends after its initial events.
    """

    def behave(ask: Ask) -> Answer:
        if ask.kind in ("list", "page"):
            return page(version=str(100 + ask.number))
        watch = answer(ask) if callable(answer) else answer
        if ask.kind == "watch":
            return watch
        body = watch.body if watch.status == 200 else ()
        return Answer(200, itertools.chain(initial_events(str(100 + ask.number)), body), watch.end)

    return behave


def always(answer: Answer) -> Behaviour:
    return lambda ask: answer


def newer(ask: Ask) -> str:
    """Returns a resourceVersion that no earlier answer had."""
    return str(1000 + ask.number)


def pages(following: Callable[[Ask], Answer]) -> Behaviour:
    """Returns a server without streaming lists, with pages of LISTs as given."""

    def behave(ask: Ask) -> Answer:
        if ask.kind == "stream":
            return status(422, "Invalid")
        return following(ask) if ask.kind in ("list", "page") else healthy(ask)

    return behave


def endless(data: bytes, seconds: float = 1.0) -> Iterable[bytes | float]:
    """Repeats some bytes without an end."""
    while True:
        yield data
        yield seconds


def _white_space(ask: Ask) -> Answer:
    return Answer(200, endless(b" \n"))


def _frame(ask: Ask) -> Answer:
    return Answer(200, itertools.chain([event("MODIFIED", "1")[:-20]], endless(b"x" * 1000)))


def _without_versions(ask: Ask) -> Answer:
    if ask.kind == "stream":
        return Answer(200, [event("ADDED", ""), bookmark("", end=True)])
    return page(version="") if ask.initial else Answer(200, [event("ADDED", "")])


def _objects_without_end(ask: Ask) -> Answer:
    numbers = itertools.count()
    start = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[' + item(0, "1").encode()

    def body() -> Iterable[bytes | float]:
        yield start
        while True:
            yield "".join(f",{item(next(numbers), '1')}" for _ in range(1000)).encode()
            yield 1.0

    return Answer(200, body())


def damaged(number: int, version: str, *, readable: bool = True) -> str:
    """Returns a malformed object, whose key can be read or not."""
    found = item(number, version)
    return f'{found[:-1]},"spec":tru}}' if readable else found.replace('"name": "', '"name": tru, "is": "')


def skips(objects: list[str], fetched: Answer) -> Behaviour:
    """Returns a server that is healthy but for these objects of a complete state.

    Args:
        objects: The objects. Some are malformed.
        fetched: The answer to a request for one of them.
    """

    def behave(ask: Ask) -> Answer:
        watch = healthy(Ask("watch", ask.number, ask.params)) if "timeoutSeconds" in ask.params else Answer()
        match ask.kind:
            case "fetch":
                return fetched
            case "stream":
                events = [f'{{"type":"ADDED","object":{each}}}\n'.encode() for each in objects]
                return Answer(200, [*events, bookmark("100", end=True), *watch.body])
            case "watch":
                return watch
        return list_of(objects)

    return behave


def skips_changes(readable: bool, fetched: Answer) -> Behaviour:
    """Returns a server that sends a malformed change each second."""

    def changes(ask: Ask) -> Iterable[bytes | float]:
        for second in range(int(ask.params["timeoutSeconds"])):
            version = str(1000 * ask.number + second)
            yield f'{{"type":"MODIFIED","object":{damaged(0, version, readable=readable)}}}\n'.encode()
            yield 1.0

    watch = watches(lambda ask: Answer(200, changes(ask)))
    return lambda ask: fetched if ask.kind == "fetch" else watch(ask)


def _no_end_bookmark(ask: Ask) -> Answer:
    return Answer(200, [event("ADDED", "1"), FOREVER]) if ask.kind == "stream" else healthy(ask)


def _every_second_unauthorized(ask: Ask) -> Answer:
    return status(401) if ask.number % 2 else watches(Answer(200, [bookmark(newer(ask))]))(ask)


BEHAVIOURS: dict[str, Behaviour] = {
    "healthy: each watch ends after its timeout": healthy,
    "refuses every connection": always(Answer(REFUSED)),
    "cuts every connection before the answer": always(Answer(CUT)),
    "accepts every connection and never answers": always(Answer(NO_ANSWER)),
    "answers 429 without `Retry-After`": always(status(429)),
    "answers 429 with `Retry-After: 60`": always(status(429, Retry_After="60")),
    "answers 503": always(status(503)),
    "answers 401": always(status(401)),
    "answers 401 to every second request": _every_second_unauthorized,
    "answers 403": always(status(403, "Forbidden")),
    "answers 404": always(status(404, "NotFound")),
    "answers each watch with 410": watches(status(410, "Expired")),
    "sends a bookmark in each watch, then 410": watches(
        lambda ask: Answer(200, [bookmark(newer(ask)), error_event(410, "Expired")])
    ),
    "sends a change in each watch, then 500": watches(
        lambda ask: Answer(200, [event("MODIFIED", newer(ask)), error_event(500)])
    ),
    "ends each watch at once": watches(Answer()),
    "ends each watch after a change": watches(lambda ask: Answer(200, [event("MODIFIED", newer(ask))])),
    "ends each watch after a change with an older resourceVersion": watches(
        lambda ask: Answer(200, [event("MODIFIED", str(10**6 - ask.number))])
    ),
    "ends each watch after a bookmark without a resourceVersion": watches(Answer(200, [bookmark("")])),
    "cuts each watch within a change": watches(Answer(200, [event("MODIFIED", "2000")[:20]], "cut")),
    "sends white space without end in each watch": watches(_white_space),
    "sends one change without end in each watch": watches(_frame),
    "has no resourceVersions, and ends each watch after a change": _without_versions,
    "never ends the initial events of a streaming list": _no_end_bookmark,
    "repeats the `continue` token of a LIST": pages(lambda ask: page(ask.number, token="again")),
    "sends new `continue` tokens of a LIST without end": pages(lambda ask: page(ask.number, token=str(ask.number))),
    "sends objects of one page without end": pages(_objects_without_end),
    "has a malformed object": skips([damaged(0, "1")], list_of([damaged(0, "1")])),
    "has a malformed object, and refuses requests for it with 403": skips([damaged(0, "1")], status(403, "Forbidden")),
    "has a malformed object, and never answers requests for it": skips([damaged(0, "1")], Answer(NO_ANSWER)),
    "has a malformed object without a key": skips([damaged(0, "1", readable=False)], Answer(NO_ANSWER)),
    "has 200 malformed objects": skips([damaged(i, "1") for i in range(200)], list_of([damaged(0, "1")])),
    "sends a malformed change each second": skips_changes(True, list_of([item(0, "1")])),
    "sends a malformed change without a key each second": skips_changes(False, Answer(NO_ANSWER)),
}


class _BadResponse:
    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer

    async def chunks(self) -> AsyncIterator[bytes]:
        for part in self._answer.body:
            if isinstance(part, bytes):
                yield part
            else:
                await asyncio.sleep(part)
        if self._answer.end == "cut":
            raise kinform.TransportError("cut")

    async def head(self, limit: int) -> bytes:
        return b"".join([part async for part in self.chunks()])[:limit]

    def close(self) -> None:
        pass


class BadTransport:
    """A transport to a server with a behaviour. Records the requests.

    Attributes:
        asked: The time and the kind of each request.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.identity = self
        self.asked: list[tuple[float, str]] = []
        self._behaviour = behaviour

    async def open(self, request: kinform.Request) -> _BadResponse:
        params = dict(request.params)
        if request.watch:
            kind: Kind = "stream" if "sendInitialEvents" in params else "watch"
        elif "fieldSelector" in params:
            kind = "fetch"
        else:
            kind = "page" if "continue" in params else "list"
        self.asked.append((asyncio.get_running_loop().time(), kind))
        answer = self._behaviour(Ask(kind, len(self.asked), params))
        await asyncio.sleep(FOREVER if answer.status == NO_ANSWER else LATENCY)
        if answer.status < 0:
            raise kinform.TransportError("no connection", reached=answer.status == CUT)
        return _BadResponse(answer)

    async def refresh_credentials(self) -> bool:
        return True


def measure(behaviour: Behaviour, seconds: float, options: kinform.WatchOptions) -> list[tuple[float, str]]:
    """Follows a collection for some seconds of virtual time.

    Returns:
        Time and kind of each request.

    Raises:
        KinformError: The informer has failed.
    """

    async def follow() -> list[tuple[float, str]]:
        transport = BadTransport(behaviour)
        async with kinform.Informer(transport, "v1/pods", options=options):
            await asyncio.sleep(seconds)
        return transport.asked

    with patch.object(stream, "random_fraction", lambda: 0.0):  # the shortest waits, and the shortest watches
        return virtual_time.run(follow())
