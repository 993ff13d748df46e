"""The clients that the drop-in serves, and functions that answer from a script."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec


class Client(msgspec.Struct, frozen=True):
    """A client library.

    Attributes:
        name: Its package, such as `"kubernetes_asyncio"`.
    """

    name: str

    @property
    def client(self) -> Any:
        return importlib.import_module(f"{self.name}.client")

    @property
    def original(self) -> Any:
        """The Watch of the client."""
        return importlib.import_module(f"{self.name}.watch").Watch

    @property
    def api_exception(self) -> Any:
        return self.client.ApiException

    def connect(self, url: str, *, ca: str | None = None, token: str | None = None) -> Any:
        """Returns an ApiClient for a server."""
        configuration = self.client.Configuration(host=url)
        configuration.ssl_ca_cert = ca
        api_client = self.client.ApiClient(configuration)
        if token is not None:
            api_client.set_default_header("Authorization", f"Bearer {token}")
        return api_client


SYNC_CLIENT = Client("kubernetes")
ASYNC_CLIENTS = [Client("kubernetes_asyncio"), Client("kubernetes.aio")]


def event(type: str, name: str, version: str | None, **fields: Any) -> dict[str, Any]:
    """Returns an event about a namespace."""
    metadata = {"name": name} if version is None else {"name": name, "resourceVersion": version}
    return {"type": type, "object": {"metadata": metadata, **fields}}


def error(code: int, reason: str = "Gone", message: str = "too old") -> dict[str, Any]:
    """Returns an ERROR event."""
    return {"type": "ERROR", "object": {"code": code, "reason": reason, "message": message}}


class Response:
    """A response that has only `readline`, `close` and `release`.

    Args:
        lines: Events, lines as bytes, and exceptions. After the last one, the body has ended.
    """

    def __init__(self, lines: Iterable[Any]) -> None:
        self._lines = [json.dumps(line).encode() + b"\n" if isinstance(line, dict) else line for line in lines]
        self.content = self
        self.reads = self.closed = self.released = 0

    async def readline(self) -> bytes:
        self.reads += 1
        if not self._lines:
            return b""
        line = self._lines.pop(0)
        if isinstance(line, BaseException):
            raise line
        assert isinstance(line, bytes)
        return line

    def close(self) -> None:
        self.closed += 1

    def release(self) -> None:
        self.released += 1


class SyncResponse:
    """A response that has only `stream`, `close` and `release_conn`.

    Args:
        chunks: Events, bytes, strings, and exceptions. After the last one, the body has ended.
    """

    def __init__(self, chunks: Iterable[Any]) -> None:
        self._chunks = [json.dumps(chunk).encode() + b"\n" if isinstance(chunk, dict) else chunk for chunk in chunks]
        self.closed = self.released = 0

    def stream(self, amt: None, decode_content: bool) -> Iterator[Any]:
        assert (amt, decode_content) == (None, False)
        while self._chunks:
            chunk = self._chunks.pop(0)
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk

    def close(self) -> None:
        self.closed += 1

    def release_conn(self) -> None:
        self.released += 1


class FakeSyncApi:
    """An API object of the synchronous client, whose functions answer from a script.

    Attributes:
        calls: The arguments of each call.
        opened: The responses that were returned.
    """

    def __init__(self, *responses: Any) -> None:
        known = (SyncResponse, BaseException)
        self.responses = [each if isinstance(each, known) else SyncResponse(each) for each in responses]
        self.opened: list[SyncResponse] = []
        self.calls: list[dict[str, Any]] = []

    def list_namespace(self, *args: Any, **kwargs: Any) -> Any:
        """Lists.

        :rtype: V1NamespaceList
        """
        return self._answer(kwargs)

    def list_custom(self, *args: Any, **kwargs: Any) -> Any:
        """Lists.

        :rtype: object
        """
        return self._answer(kwargs)

    def list_untyped(self, *args: Any, **kwargs: Any) -> Any:
        return self._answer(kwargs)

    def read_namespaced_pod_log(self, *args: Any, **kwargs: Any) -> Any:
        """Reads a log.

        :param follow: Follow the log.
        :rtype: str
        """
        return self._answer(kwargs)

    def _answer(self, kwargs: dict[str, Any]) -> Any:
        self.calls.append(dict(kwargs))
        assert self.responses, "a request that the test does not expect"
        response = self.responses.pop(0)
        if isinstance(response, BaseException):
            raise response
        self.opened.append(response)
        return response


class FakeApi:
    """An API object of a client. Each of its functions answers from the same script.

    Attributes:
        calls: The arguments of each call.
        responses: The results of the next calls.
    """

    def __init__(self, client: Client, *responses: Any) -> None:
        self.api_client = object.__new__(client.client.ApiClient)
        self.responses = [each if isinstance(each, Response | BaseException) else Response(each) for each in responses]
        self.opened: list[Response] = []
        self.calls: list[dict[str, Any]] = []

    async def list_namespace(self, *args: Any, **kwargs: Any) -> Any:
        """Lists.

        :rtype: V1NamespaceList
        """
        return self._answer(kwargs)

    async def list_custom(self, *args: Any, **kwargs: Any) -> Any:
        """Lists.

        :rtype: object
        """
        return self._answer(kwargs)

    async def list_untyped(self, *args: Any, **kwargs: Any) -> Any:
        return self._answer(kwargs)

    async def read_namespaced_pod_log(self, *args: Any, **kwargs: Any) -> Any:
        """Reads a log.

        :param follow: Follow the log.
        :rtype: str
        """
        return self._answer(kwargs)

    def _answer(self, kwargs: dict[str, Any]) -> Any:
        self.calls.append(dict(kwargs))
        assert self.responses, "a request that the test does not expect"
        response = self.responses.pop(0)
        if isinstance(response, BaseException):
            raise response
        self.opened.append(response)
        return response


async def collect(watch: Any, count: int) -> list[Any]:
    """Returns the next `count` events."""
    return [await anext(watch) for _ in range(count)]


async def exhaust(watch: Any) -> list[Any]:
    """Returns all events until the end."""
    return [event async for event in watch]
