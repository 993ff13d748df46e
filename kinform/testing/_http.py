"""From a path to an answer: routing, credentials, faults, and the verbs that are not LIST or WATCH.

Knows what the server holds by way of `State`; listens to nothing itself. Writes over HTTP (POST, PUT,
DELETE) are there so that a client of a real cluster finds the same doors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec
from aiohttp import web

from kinform.testing import _status
from kinform.testing._encoding import dumps, indent
from kinform.testing._faults import Answer, Empty, Fault, FaultBook, Hangup, Stall, Trickle
from kinform.testing._list import answer_list
from kinform.testing._query import is_watch, parse_options
from kinform.testing._requests import Bell, Request
from kinform.testing._resources import BUILT_IN, Resource
from kinform.testing._shape import Shape, negotiate, wants_indent
from kinform.testing._storage import Collection, Record, Storage
from kinform.testing._watch import Watcher, answer_watch
from kinform.testing._wire import Wire

_JSON = "application/json"
_VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.0+kinform.testing", "platform": "linux/amd64"}
_VERBS = {"POST": "create", "PUT": "replace", "DELETE": "delete"}

Admin = Callable[[web.BaseRequest], Awaitable[web.Response | None]]


class State:
    """What the handlers share with the server's owner."""

    def __init__(self, storage: Storage, *, watch_list: bool, bookmark_interval: float, token: str | None) -> None:
        self.storage = storage
        self.watch_list = watch_list
        self.bookmark_interval = bookmark_interval
        self.token = token
        self.requests: list[Request] = []
        self.faults = FaultBook()
        self.watchers: dict[Watcher, None] = {}
        self.active = 0
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.bell = Bell()


class Handler:
    """Answers every request of a server."""

    def __init__(self, state: State, admin: Admin) -> None:
        self._state = state
        self._admin = admin

    async def __call__(self, exchange: web.BaseRequest) -> web.StreamResponse:
        """One exchange, from the request to the end of the answer."""
        if (special := await self._admin(exchange)) is not None:
            return special
        state = self._state
        request, collection = self._read(exchange)
        with self._recorded(request):
            wire = Wire(exchange, request, state.thawed, state.bell)
            await state.thawed.wait()
            try:
                return await self._answer(exchange, wire, request, collection)
            except _status.Refusal as refusal:
                body = refusal.body()
                if refusal.status is not None and wants_indent(request.headers, request.params):
                    body = indent(body)
                return await wire.answer(refusal.code, refusal.content_type, body, refusal.headers)

    @contextmanager
    def _recorded(self, request: Request) -> Iterator[None]:
        state = self._state
        state.requests.append(request)
        state.active += 1
        state.bell.ring()
        try:
            yield
        finally:
            request.ended = True
            state.active -= 1
            state.bell.ring()

    def _read(self, exchange: web.BaseRequest) -> tuple[Request, Collection | None]:
        request = Request(
            method=exchange.method,
            path=exchange.path,
            params=dict(exchange.rel_url.query),
            headers=exchange.headers,
        )
        collection = self._route(request)
        if collection is not None:
            if request.method == "GET":
                request.verb = "watch" if is_watch(request.params) else "get" if request.name else "list"
            else:
                request.verb = _VERBS.get(request.method, "other")
        return request, collection

    def _route(self, request: Request) -> Collection | None:
        for collection in self._state.storage.collections.values():
            resource = collection.resource
            root = f"{resource.root}/"
            if not request.path.startswith(root):
                continue
            match request.path.removeprefix(root).split("/"):
                case [plural] if plural == resource.plural:
                    request.about = resource
                case [plural, name] if plural == resource.plural and not resource.namespaced:
                    request.about, request.name = resource, name
                case ["namespaces", namespace, plural] if plural == resource.plural and resource.namespaced:
                    request.about, request.namespace = resource, namespace
                case ["namespaces", namespace, plural, name] if plural == resource.plural and resource.namespaced:
                    request.about, request.namespace, request.name = resource, namespace, name
                case _:
                    continue
            return collection
        return None

    async def _answer(
        self, exchange: web.BaseRequest, wire: Wire, request: Request, collection: Collection | None
    ) -> web.StreamResponse:
        state = self._state
        fault = request.fault = state.faults.take(request)
        if (isinstance(fault, Hangup) and fault.after is None) or (isinstance(fault, Stall) and not fault.headers):
            await (wire.hang_up() if isinstance(fault, Hangup) else wire.hang())
        if request.path in ("/healthz", "/livez", "/readyz"):
            return await wire.answer(200, "text/plain", b"ok")
        self._authorize(request, collection)
        if isinstance(fault, Answer) and not (fault.event and request.verb == "watch"):
            raise fault.refusal(request, state.storage.revision)
        if request.path == "/version":
            return await wire.answer(200, _JSON, dumps(_VERSION))
        if collection is None:
            raise self._unknown(request.path)
        wire.trickle = fault if isinstance(fault, Trickle) else None
        match request.verb:
            case "list" | "watch":
                return await self._collection(wire, request, collection, fault)
            case "get":
                return await self._get(wire, request, collection)
            case "create" | "replace" | "delete":
                return await self._write(exchange, wire, request, collection)
            case _:
                raise _status.method_not_allowed()

    def _authorize(self, request: Request, collection: Collection | None) -> None:
        token = self._state.token
        if token is None:
            return
        given = request.headers.get("Authorization")
        if given is None:
            raise _status.forbidden(request.verb, collection.resource if collection else None, request.namespace)
        if given != f"Bearer {token}":
            raise _status.unauthorized()

    def _unknown(self, path: str) -> _status.Refusal:
        # Groups of custom resources are known by their resources alone.
        known = {"/api/"} | {f"/apis/{resource.group}/" for resource in BUILT_IN if resource.group}
        return _status.no_such_resource() if path.startswith(tuple(known)) else _status.no_such_path()

    async def _collection(
        self, wire: Wire, request: Request, collection: Collection, fault: Fault | None
    ) -> web.StreamResponse:
        state = self._state
        shape = negotiate(request.headers, request.params, list_=request.verb == "list")
        options = parse_options(collection.resource, request.namespace, request.params, watch_list=state.watch_list)
        if isinstance(fault, Empty):
            await wire.begin(200, _JSON)
            return await wire.end()
        if request.verb == "list":
            return await answer_list(wire, state.storage, collection, options, shape, fault)
        watcher = Watcher(wire, state.storage, collection, options, shape, fault, state.bookmark_interval)
        return await answer_watch(wire, watcher, state.watchers)

    async def _get(self, wire: Wire, request: Request, collection: Collection) -> web.StreamResponse:
        shape = negotiate(request.headers, request.params, list_=False)
        body = shape.single(collection.resource, self._find(request, collection)) + b"\n"
        return await wire.answer(200, _JSON, indent(body) if shape.pretty else body)

    def _find(self, request: Request, collection: Collection) -> Record:
        key = f"{request.namespace}/{request.name}" if request.namespace else request.name or ""
        record = collection.records.get(key)
        if record is None:
            raise _status.no_such_object(collection.resource, request.name or "")
        return record

    async def _write(
        self, exchange: web.BaseRequest, wire: Wire, request: Request, collection: Collection
    ) -> web.StreamResponse:
        storage, resource = self._state.storage, collection.resource
        sent = await exchange.read()
        if request.verb == "delete":
            record = storage.delete(collection, self._find(request, collection).key)
            if resource.name == "v1/pods":
                return await wire.answer(200, _JSON, Shape().single(resource, record) + b"\n")
            return await wire.answer(200, _JSON, dumps(_status.deleted(resource, record.name, record.uid)) + b"\n")
        obj = self._decode(sent, request, resource)
        metadata = obj["metadata"]
        if request.verb == "create":
            key = f"{request.namespace}/{metadata.get('name')}" if request.namespace else metadata.get("name")
            if key in collection.records:
                raise _status.already_exists(resource, metadata["name"])
        else:
            old = self._find(request, collection)
            if metadata.get("name") != request.name:
                raise _status.bad_request("the name of the object does not match the name on the URL")
            if metadata.get("resourceVersion") not in (None, "", str(old.revision)):
                raise _status.conflict(resource, old.name)
            if storage.same(collection, old, obj):
                return await wire.answer(200, _JSON, Shape().single(resource, old) + b"\n")
        try:
            record = storage.put(collection, obj)
        except ValueError as error:
            raise _status.bad_request(str(error)) from None
        code = 201 if request.verb == "create" else 200
        return await wire.answer(code, _JSON, Shape().single(resource, record) + b"\n")

    def _decode(self, sent: bytes, request: Request, resource: Resource) -> dict[str, dict[str, str]]:
        try:
            obj = msgspec.json.decode(sent, type=dict[str, object])
        except msgspec.DecodeError:
            raise _status.bad_request("the body is no JSON object") from None
        if not isinstance(obj.get("metadata"), dict):
            raise _status.bad_request("the object has no metadata")
        metadata: dict[str, str] = dict(obj["metadata"])  # type: ignore[call-overload]
        if request.namespace:
            if metadata.setdefault("namespace", request.namespace) != request.namespace:
                raise _status.bad_request("the namespace of the object does not match the namespace on the URL")
        elif resource.namespaced:
            raise _status.method_not_allowed()
        return {**obj, "metadata": metadata}  # type: ignore[dict-item]
