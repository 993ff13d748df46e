"""A small HTTP client for arranging what a test then watches, and for reading answers byte by byte.

Knows resources as kinform writes them and no more of kinform. Repeats nothing and hides no status.
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
"""The parameters that make a watch a WatchList."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer with its whole body, as the server sent it (not unzipped)."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Gives the body decoded."""
        return json.loads(self.body)


class Stream:
    """The frames of an open watch, one by one."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._rest = b""
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def line(self, *, within: float = 15.0) -> bytes:
        """Gives the next line without its newline, or b"" once the server has ended the stream.

        Raises:
            TimeoutError: Nothing came in `within` seconds.
            aiohttp.ClientError: The connection broke.
        """
        async with asyncio.timeout(within):
            while b"\n" not in self._rest:
                chunk = await self._response.content.readany()
                if not chunk:
                    last, self._rest = self._rest, b""
                    return last
                self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        return line

    async def event(self, *, within: float = 15.0) -> Object | None:
        """Gives the next frame decoded, {"type": ..., "object": ...}, or None once the stream has ended."""
        line = await self.line(within=within)
        return json.loads(line) if line else None

    async def change(self, *, within: float = 15.0) -> Object:
        """Gives the next frame that is no bookmark; bookmarks come when the server likes."""
        async with asyncio.timeout(within):
            while (event := await self.event(within=within)) is not None:
                if event["type"] != "BOOKMARK":
                    return event
        raise AssertionError("the stream ended before a change")

    async def rest(self) -> list[Object]:
        """Gives all frames to the end of the stream."""
        events = []
        while (event := await self.event()) is not None:
            events.append(event)
        return events

    async def until(self, kind: str, *, within: float = 15.0) -> list[Object]:
        """Gives the frames up to and with the first of this type; a stream that ends before is an error."""
        events: list[Object] = []
        async with asyncio.timeout(within):
            while not events or events[-1]["type"] != kind:
                event = await self.event(within=within)
                assert event is not None, f"the stream ended before a frame {kind}"
                events.append(event)
        return events


class Admin:
    """A small HTTP client with all rights: it arranges what a test then watches.

    Resources are written as in kinform, `"v1/configmaps"`; keys too, `"namespace/name"` or `"name"`. Objects
    need neither kind nor apiVersion. Reading gives the answer as it is, whatever its status; `create`,
    `replace` and `delete` raise AssertionError where the server refuses.

    Args:
        url: The server.
        token: The bearer token, or None.
        tls: The context for https.

    Attributes:
        made: The names of what was created, by resource and namespace (`""` for none).
    """

    def __init__(self, url: str, token: str | None = None, tls: ssl.SSLContext | bool = True) -> None:
        self._url = url
        self._headers = {"Accept-Encoding": "identity"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._past: list[aiohttp.ClientSession] = []
        self.made: dict[tuple[str, str], list[str]] = {}

    async def close(self) -> None:
        """Closes all that is open, streams included; the next call opens anew."""
        self.renew()
        while self._past:
            await self._past.pop().close()

    def renew(self) -> None:
        """Takes no old connection for the next call; open streams stay. For when the server has gone."""
        if self._session is not None:
            self._past.append(self._session)
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
        body: Object | None = None,
    ) -> Answer:
        """Sends one request and reads the whole answer. A header set to None is left out."""
        async with self._client().request(
            method, self._url + path, params=params, headers=self._merged(headers), json=body
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def list_raw(
        self,
        resource: str,
        *,
        namespace: str | None = None,
        headers: Mapping[str, str | None] | None = None,
        within: float = 60.0,
        **params: object,
    ) -> Answer:
        """Lists; other keyword arguments are query parameters: `limit=2`, `continue_=token`.

        Raises:
            TimeoutError: No answer came in `within` seconds.
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
    ) -> AsyncIterator[Stream]:
        """Watches, whatever the answer's status; arguments as with `list_raw`."""
        query = {"watch": "true", **_query(params)}
        async with self._client().get(
            self._url + path_of(resource, namespace), params=query, headers=self._merged(headers)
        ) as response:
            yield Stream(response)

    async def get(self, resource: str, key: str) -> Answer:
        """Reads one object."""
        return await self.request("GET", _object_path(resource, key))

    async def create(self, resource: str, obj: Object) -> Object:
        """Creates an object (in `metadata.namespace`) and gives it as stored."""
        namespace = obj["metadata"].get("namespace", "")
        self.made.setdefault((resource, namespace), []).append(obj["metadata"]["name"])
        return await self._write("POST", path_of(resource, namespace), resource, obj)

    async def replace(self, resource: str, obj: Object) -> Object:
        """Replaces an object and gives it as stored; without a resourceVersion in it, whatever is there."""
        key = key_of(obj)
        metadata = dict(obj["metadata"])
        if "resourceVersion" not in metadata:
            present = (await self.get(resource, key)).json()
            metadata["resourceVersion"] = present["metadata"]["resourceVersion"]
        return await self._write("PUT", _object_path(resource, key), resource, {**obj, "metadata": metadata})

    async def delete(self, resource: str, key: str) -> None:
        """Deletes an object at once, without grace."""
        query = {"gracePeriodSeconds": "0"}
        answer = await self.request("DELETE", _object_path(resource, key), params=query)
        assert answer.status == 200, f"delete {resource} {key}: {answer.status}"

    async def _write(self, method: str, path: str, resource: str, obj: Object) -> Object:
        group_version, _, plural = resource.rpartition("/")
        body = {"apiVersion": group_version, "kind": KINDS.get(plural, "Widget"), **obj}
        answer = await self.request(method, path, body=body)
        assert answer.status in (200, 201), f"{method} {path}: {answer.status} {answer.body[:500]!r}"
        stored: Object = answer.json()
        return stored

    def _merged(self, headers: Mapping[str, str | None] | None) -> dict[str, str]:
        return {name: value for name, value in {**self._headers, **(headers or {})}.items() if value is not None}


KINDS = {
    "configmaps": "ConfigMap",
    "customresourcedefinitions": "CustomResourceDefinition",
    "namespaces": "Namespace",
    "pods": "Pod",
    "secrets": "Secret",
}


def names(listed: Answer) -> list[str]:
    """Gives the names in a list, in its order."""
    assert listed.status == 200, listed.body
    return [item["metadata"]["name"] for item in listed.json()["items"]]


def heard(events: list[Object]) -> list[tuple[str, str]]:
    """Gives the type and the object's name of each frame; bookmarks have none."""
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


def path_of(resource: str, namespace: str | None = None) -> str:
    """Gives the URL's path of a collection: `"v1/pods"`, `"shop"` gives `/api/v1/namespaces/shop/pods`."""
    group_version, _, plural = resource.rpartition("/")
    root = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def key_of(obj: Object) -> str:
    """Gives `"namespace/name"`, or `"name"` for what has no namespace."""
    metadata = obj["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def _object_path(resource: str, key: str) -> str:
    namespace, _, name = key.rpartition("/")
    return f"{path_of(resource, namespace or None)}/{name}"


def _query(params: Mapping[str, object]) -> dict[str, str]:
    return {name.rstrip("_"): str(value) for name, value in params.items()}
