"""A small HTTP client with which a test writes objects and reads raw responses.

Uses kinform's notation of resources and nothing else of kinform. Never retries, never hides a status.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import hdrs

Object = dict[str, Any]

WATCH_LIST: Object = {
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}
"""The query parameters that turn a watch into a WatchList."""


@dataclass(frozen=True)
class HttpResponse:
    """An HTTP response with its whole body as the server sent it (not decompressed)."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Returns the decoded body."""
        return json.loads(self.body)


class AdminWatch:
    """The frames of an open watch, read one by one."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._buffer = b""
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def line(self, *, within: float = 15.0) -> bytes:
        """Returns the next line without its newline, or b"" at the end of the stream.

        Raises:
            TimeoutError: No line came in `within` seconds.
            aiohttp.ClientError: The connection broke.
        """
        async with asyncio.timeout(within):
            while b"\n" not in self._buffer:
                chunk = await self._response.content.readany()
                if not chunk:
                    line, self._buffer = self._buffer, b""
                    return line
                self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    async def event(self, *, within: float = 15.0) -> Object | None:
        """Returns the next decoded frame, or None at the end of the stream.

        A frame is `{"type": ..., "object": ...}`.
        """
        line = await self.line(within=within)
        return json.loads(line) if line else None

    async def change(self, *, within: float = 15.0) -> Object:
        """Returns the next frame that is not a bookmark.

        The server decides when it sends bookmarks.
        """
        async with asyncio.timeout(within):
            while (event := await self.event(within=within)) is not None:
                if event["type"] != "BOOKMARK":
                    return event
        raise AssertionError("the stream ended before the next change")

    async def rest(self) -> list[Object]:
        """Returns all frames until the end of the stream."""
        events = []
        while (event := await self.event()) is not None:
            events.append(event)
        return events

    async def until(self, kind: str, *, within: float = 15.0) -> list[Object]:
        """Returns the frames up to and including the first of this type.

        Fails if the stream ends before.
        """
        events: list[Object] = []
        async with asyncio.timeout(within):
            while not events or events[-1]["type"] != kind:
                event = await self.event(within=within)
                assert event is not None, f"the stream ended before a frame of type {kind}"
                events.append(event)
        return events


class AdminClient:
    """A client that creates, replaces and deletes the objects that a test watches.

    Resources are written as in kinform, `"v1/configmaps"`; so are keys, `"namespace/name"` or `"name"`.
    Objects need neither kind nor apiVersion. `list_raw`, `watch` and `get` return the response with any
    status. `create`, `replace` and `delete` raise AssertionError if the server refuses.

    Args:
        url: The server.
        token: The bearer token, or None.
        tls: The TLS context for https.

    Attributes:
        created: The names of the created objects, by resource and namespace (`""` for none).
    """

    def __init__(self, url: str, token: str | None = None, tls: ssl.SSLContext | bool = True) -> None:
        self._url = url
        self._headers = {"Accept-Encoding": "identity"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._old_sessions: list[aiohttp.ClientSession] = []
        self.created: dict[tuple[str, str], list[str]] = {}

    async def close(self) -> None:
        """Closes all connections and streams; the next call opens a new connection."""
        self.reconnect()
        while self._old_sessions:
            await self._old_sessions.pop().close()

    def reconnect(self) -> None:
        """Makes the next call open a new connection; for use after a crash of the server.

        Open streams stay open.
        """
        if self._session is not None:
            self._old_sessions.append(self._session)
            self._session = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
                timeout=aiohttp.ClientTimeout(total=None, connect=10, sock_read=60),
                skip_auto_headers=[hdrs.USER_AGENT],
                auto_decompress=False,
            )
        return self._session

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str | None] | None = None,
        body: Object | list[Object] | bytes | None = None,
    ) -> HttpResponse:
        """Sends one request and reads the whole response; omits a header that is None.

        A body that is not bytes is sent as JSON. Its Content-Type is `application/json` unless `headers` has another.
        """
        if body is not None:
            headers = {"Content-Type": "application/json", **(headers or {})}
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self._client().request(
            method, self._url + path, params=params, headers=self._merge_headers(headers), data=body
        ) as response:
            return HttpResponse(response.status, response.headers, await response.read())

    async def list_raw(
        self,
        resource: str,
        *,
        namespace: str | None = None,
        headers: Mapping[str, str | None] | None = None,
        within: float = 60.0,
        **params: object,
    ) -> HttpResponse:
        """Lists a resource.

        Other keyword arguments are query parameters: `limit=2`, `continue_=token`.

        Raises:
            TimeoutError: No response came in `within` seconds.
        """
        async with asyncio.timeout(within):
            return await self.request("GET", path_of(resource, namespace), params=_query(params), headers=headers)

    @asynccontextmanager
    async def watch(
        self,
        resource: str,
        *,
        namespace: str | None = None,
        headers: Mapping[str, str | None] | None = None,
        **params: object,
    ) -> AsyncIterator[AdminWatch]:
        """Watches a resource, with any status; arguments as in `list_raw`."""
        query = {"watch": "true", **_query(params)}
        async with self._client().get(
            self._url + path_of(resource, namespace), params=query, headers=self._merge_headers(headers)
        ) as response:
            yield AdminWatch(response)

    async def get(self, resource: str, key: str) -> HttpResponse:
        """Reads one object."""
        return await self.request("GET", _object_path(resource, key))

    async def create(self, resource: str, obj: Object) -> Object:
        """Creates an object in its `metadata.namespace` and returns it as stored."""
        namespace = obj["metadata"].get("namespace", "")
        self.created.setdefault((resource, namespace), []).append(obj["metadata"]["name"])
        return await self._write("POST", path_of(resource, namespace), resource, obj)

    async def replace(self, resource: str, obj: Object) -> Object:
        """Replaces an object and returns it as stored.

        Replaces any version if the object has no resourceVersion.
        """
        key = key_of(obj)
        metadata = dict(obj["metadata"])
        if "resourceVersion" not in metadata:
            current = (await self.get(resource, key)).json()
            metadata["resourceVersion"] = current["metadata"]["resourceVersion"]
        return await self._write("PUT", _object_path(resource, key), resource, {**obj, "metadata": metadata})

    async def delete(self, resource: str, key: str) -> None:
        """Deletes an object without a grace period."""
        query = {"gracePeriodSeconds": "0"}
        response = await self.request("DELETE", _object_path(resource, key), params=query)
        assert response.status == 200, f"delete {resource} {key}: {response.status}"

    async def _write(self, method: str, path: str, resource: str, obj: Object) -> Object:
        group_version, _, plural = resource.rpartition("/")
        body = {"apiVersion": group_version, "kind": KINDS.get(plural, "Widget"), **obj}
        response = await self.request(method, path, body=body)
        assert response.status in (200, 201), f"{method} {path}: {response.status} {response.body[:500]!r}"
        stored: Object = response.json()
        return stored

    def _merge_headers(self, headers: Mapping[str, str | None] | None) -> dict[str, str]:
        return {name: value for name, value in {**self._headers, **(headers or {})}.items() if value is not None}


KINDS = {
    "clusterrolebindings": "ClusterRoleBinding",
    "clusterroles": "ClusterRole",
    "configmaps": "ConfigMap",
    "customresourcedefinitions": "CustomResourceDefinition",
    "namespaces": "Namespace",
    "pods": "Pod",
    "roles": "Role",
    "secrets": "Secret",
    "serviceaccounts": "ServiceAccount",
}


def names(listed: HttpResponse) -> list[str]:
    """Returns the names of the objects in a list, in its order."""
    assert listed.status == 200, listed.body
    return [item["metadata"]["name"] for item in listed.json()["items"]]


def types_and_names(events: list[Object]) -> list[tuple[str, str]]:
    """Returns type and object name of each frame; the name of a bookmark is empty."""
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


def path_of(resource: str, namespace: str | None = None) -> str:
    """Returns the URL path of a collection, `/api/v1/namespaces/shop/pods`."""
    group_version, _, plural = resource.rpartition("/")
    root = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def key_of(obj: Object) -> str:
    """Returns `"namespace/name"`, or `"name"` for a cluster-scoped object."""
    metadata = obj["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def _object_path(resource: str, key: str) -> str:
    namespace, _, name = key.rpartition("/")
    return f"{path_of(resource, namespace or None)}/{name}"


def _query(params: Mapping[str, object]) -> dict[str, str]:
    return {name.rstrip("_"): str(value) for name, value in params.items()}
