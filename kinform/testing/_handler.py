"""The HTTP handler: routing, credentials, faults, and GET."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from kinform.testing import _status
from kinform.testing._discovery import discover
from kinform.testing._encoding import dumps, indent
from kinform.testing._faults import Answer, Empty, Fault, FaultQueue, Hangup, LostResponse, Stall, Trickle
from kinform.testing._list import answer_list
from kinform.testing._query import is_watch, parse_options
from kinform.testing._representation import negotiate, wants_indent
from kinform.testing._requests import Notifier, RecordedRequest
from kinform.testing._resources import BUILT_IN
from kinform.testing._response import Responder
from kinform.testing._storage import Record, Storage, StoredCollection
from kinform.testing._watch import WatchStream, answer_watch
from kinform.testing._writes import APPLY, answer_write

_JSON = "application/json"
_VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.0+kinform.testing", "platform": "linux/amd64"}
_VERBS = {"POST": "create", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}

CommandHandler = Callable[[web.BaseRequest], Awaitable[web.Response | None]]


class ServerState:
    """The state that the handler shares with `Server`.

    Attributes:
        streams: The open watches, in the order of their start.
        active: The number of requests that are being handled.
        thawed: Set unless the server is frozen.
        changed: Notified of requests, and of the start, the end and the idling of streams.
    """

    def __init__(
        self, storage: Storage, *, watch_list: bool, sharding: bool, bookmark_interval: float, token: str | None
    ) -> None:
        self.storage = storage
        self.watch_list = watch_list
        self.sharding = sharding
        self.bookmark_interval = bookmark_interval
        self.token = token
        self.requests: list[RecordedRequest] = []
        self.faults = FaultQueue()
        self.streams: dict[WatchStream, None] = {}
        self.active = 0
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.changed = Notifier()


class RequestHandler:
    """Handles every request of a server."""

    def __init__(self, state: ServerState, answer_command: CommandHandler) -> None:
        self._state = state
        self._answer_command = answer_command

    async def __call__(self, exchange: web.BaseRequest) -> web.StreamResponse:
        """Handles an exchange from the request to the end of the response."""
        if (answer := await self._answer_command(exchange)) is not None:
            return answer
        state = self._state
        request, collection = await self._parse(exchange)
        with self._recorded(request):
            responder = Responder(exchange, request, state.thawed, state.changed)
            await state.thawed.wait()
            try:
                return await self._answer(responder, request, collection)
            except _status.Refusal as refusal:
                body = refusal.body()
                if refusal.status is not None and wants_indent(request.headers, request.params):
                    body = indent(body)
                return await responder.respond(refusal.code, refusal.content_type, body, refusal.headers)
            except ConnectionResetError:  # from a write: the client has left, and the cancellation of this task follows
                await responder.stall()

    @contextmanager
    def _recorded(self, request: RecordedRequest) -> Iterator[None]:
        state = self._state
        state.requests.append(request)
        state.active += 1
        state.changed.notify_all()
        try:
            yield
        finally:
            request.ended = True
            state.active -= 1
            state.changed.notify_all()

    async def _parse(self, exchange: web.BaseRequest) -> tuple[RecordedRequest, StoredCollection | None]:
        request = RecordedRequest(
            method=exchange.method,
            path=exchange.path,
            params=dict(exchange.rel_url.query),
            headers=exchange.headers,
            body=await exchange.read(),
        )
        collection = self._route(request)
        if collection is not None:
            if request.method == "GET":
                request.verb = "watch" if is_watch(request.params) else "get" if request.name else "list"
            else:
                request.verb = self._verb(request)
        return request, collection

    def _verb(self, request: RecordedRequest) -> str:
        """Returns the verb of a write to an object, or of a create in a collection."""
        if (request.method == "POST") is (request.name is not None):
            return "other"
        if request.headers.get("Content-Type", "").startswith(APPLY):
            return "apply" if request.method == "PATCH" else "other"
        return _VERBS.get(request.method, "other")

    def _route(self, request: RecordedRequest) -> StoredCollection | None:
        """Returns the collection of a path, and fills in the request."""
        for collection in self._state.storage.collections.values():
            resource = collection.resource
            root = f"{resource.root}/"
            if not request.path.startswith(root):
                continue
            match request.path.removeprefix(root).split("/"):
                case [plural] if plural == resource.plural:
                    request.about = resource
                case [plural, name, *subresource] if plural == resource.plural and not resource.namespaced:
                    if subresource not in ([], ["status"]):
                        continue
                    request.about, request.name, request.subresource = resource, name, "".join(subresource)
                case ["namespaces", namespace, plural] if plural == resource.plural and resource.namespaced:
                    request.about, request.namespace = resource, namespace
                case ["namespaces", namespace, plural, name, *subresource] if plural == resource.plural:
                    if subresource not in ([], ["status"]) or not resource.namespaced:
                        continue
                    request.about, request.namespace, request.name = resource, namespace, name
                    request.subresource = "".join(subresource)
                case _:
                    continue
            return collection
        return None

    async def _answer(
        self, responder: Responder, request: RecordedRequest, collection: StoredCollection | None
    ) -> web.StreamResponse:
        state = self._state
        fault = request.fault = state.faults.take(request)
        if isinstance(fault, Hangup) and fault.after is None:
            await responder.close_connection()
        if isinstance(fault, Stall) and not fault.headers:
            await responder.stall()
        if request.path in ("/healthz", "/livez", "/readyz"):
            return await responder.respond(200, "text/plain", b"ok")
        self._authorize(request, collection)
        if isinstance(fault, Answer) and not (fault.event and request.verb == "watch"):
            raise fault.refusal(request, state.storage.revision)
        if request.path == "/version":
            return await responder.respond(200, _JSON, dumps(_VERSION))
        if (
            found := discover(request.path, [each.resource for each in state.storage.collections.values()])
        ) is not None:
            return await responder.respond(200, _JSON, dumps(found))
        if collection is None:
            raise self._unknown(request.path)
        if request.subresource and not collection.resource.status:
            raise _status.no_such_resource()
        responder.trickle = fault if isinstance(fault, Trickle) else None
        match request.verb:
            case "list" | "watch":
                return await self._list_or_watch(responder, request, collection, fault)
            case "get":
                return await self._get(responder, request, collection)
            case "create" | "replace" | "patch" | "apply" | "delete":
                if collection.resource.namespaced and not request.namespace:
                    raise _status.method_not_allowed()
                return await self._write(responder, request, collection, fault)
            case _:
                raise _status.method_not_allowed()

    def _authorize(self, request: RecordedRequest, collection: StoredCollection | None) -> None:
        token = self._state.token
        if token is None:
            return
        given = request.headers.get("Authorization")
        if given is None:
            raise _status.forbidden(request.verb, collection.resource if collection else None, request.namespace)
        if given != f"Bearer {token}":
            raise _status.unauthorized()

    def _unknown(self, path: str) -> _status.Refusal:
        # The group of a custom resource is only known while the resource is.
        known = {"/api/"} | {f"/apis/{resource.group}/" for resource in BUILT_IN if resource.group}
        return _status.no_such_resource() if path.startswith(tuple(known)) else _status.no_such_path()

    async def _list_or_watch(
        self, responder: Responder, request: RecordedRequest, collection: StoredCollection, fault: Fault | None
    ) -> web.StreamResponse:
        state = self._state
        representation = negotiate(request.headers, request.params, list_=request.verb == "list")
        options = parse_options(
            collection.resource, request.namespace, request.params, watch_list=state.watch_list, sharding=state.sharding
        )
        if isinstance(fault, Empty):
            await responder.begin(200, _JSON)
            return await responder.end()
        if request.verb == "list":
            return await answer_list(responder, state.storage, collection, options, representation, fault)
        stream = WatchStream(
            responder, state.storage, collection, options, representation, fault, state.bookmark_interval
        )
        return await answer_watch(responder, stream, state.streams)

    async def _get(
        self, responder: Responder, request: RecordedRequest, collection: StoredCollection
    ) -> web.StreamResponse:
        representation = negotiate(request.headers, request.params, list_=False)
        body = representation.single(collection.resource, self._find(request, collection)) + b"\n"
        return await responder.respond(200, _JSON, indent(body) if representation.pretty else body)

    def _find(self, request: RecordedRequest, collection: StoredCollection) -> Record:
        key = f"{request.namespace}/{request.name}" if request.namespace else request.name or ""
        record = collection.records.get(key)
        if record is None:
            raise _status.no_such_object(collection.resource, request.name or "")
        return record

    async def _write(
        self, responder: Responder, request: RecordedRequest, collection: StoredCollection, fault: Fault | None
    ) -> web.StreamResponse:
        code, body = answer_write(self._state.storage, collection, request)
        if isinstance(fault, LostResponse):
            await responder.close_connection()
        return await responder.respond(code, _JSON, body)
