"""A drop-in for `watch.Watch` of kubernetes_asyncio and of `kubernetes.aio`.

    from kinform import watch            # was: from kubernetes_asyncio import watch

    async with watch.Watch() as w:
        async for event in w.stream(v1.list_pod_for_all_namespaces, label_selector="app=web"):
            event["type"], event["object"].metadata.name, event["raw_object"]

It calls the function of the client and reads the body of its response, so any function of the client works. It has no
store. For a copy of a collection, use `kinform.Informer`.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, NoReturn, Self

from kinform._errors import KinformError
from kinform._watch.events import ModelReader, WatchEvent
from kinform._watch.functions import (
    ASYNC_CLIENTS,
    PYDOC_FOLLOW_PARAM,
    PYDOC_RETURN_LABEL,
    TYPE_LIST_SUFFIX,
    USE_SYNC_WATCH,
    client_of,
    follows_a_log,
    require_return_type,
    return_type_of,
    wrong_answer,
)
from kinform._watch.parser import parse_event
from kinform._watch.recovery import Ended, OnExpired, Silent
from kinform._watch.refusals import MAX_BODY, is_refusal, refusal_of
from kinform._watch.seen import Listed
from kinform._watch.stream import Options, WatchStream

_NO_STREAM = "this Watch has no stream yet: call its `stream(function, ...)` first"

__all__ = ["PYDOC_FOLLOW_PARAM", "PYDOC_RETURN_LABEL", "TYPE_LIST_SUFFIX", "Watch"]


class Watch:
    """Streams the events of a function, over any number of connections.

    Behaves as the `Watch` of the clients, but does not hang, survives lost connections, and builds models on demand:
    docs/reference/watch.md lists all differences.

    Guarantees: events come in the order of the server, and none is lost while a stream continues. Two requests are at
    least half a second apart, so the end of a stream is not reported earlier than this after its last request.

    One Watch has one stream at a time. It belongs to the event loop of its first request, and is not thread-safe.

    Args:
        return_type: The type of `event["object"]`: a class or name of a model, `"object"` for dicts, or `"str"` for the
            lines of a log. None: the return type of the function.
        on_expired: The reaction to a 410. `"raise"`: without `timeout_seconds` one more request, then `ApiException`.
            `"replay"`: all objects come again as ADDED. Deletions in between are not reported. `"diff"`: the function
            is called as a list, and its differences to the events so far come as ADDED, MODIFIED and DELETED. Such a
            DELETED has the last known object, and `event["synthetic"]` is True. The Watch keeps the JSON of all
            objects for this.
        idle_timeout: Seconds without an expected byte, after which a connection is replaced; None: never. It is three
            times as long for a connection that has bookmarks only. Has an effect only without `timeout_seconds`. Never
            for logs.
        dedup: True: drop an ADDED or MODIFIED if the object is the same as in its last event. Takes about 200 bytes for
            each object.
        newest: False: remember the last resourceVersion instead of the largest one.

    Raises:
        OptionError: An argument is not valid.

    Attributes:
        resource_version: The resourceVersion to continue from, or None.
        resp: The open response, or None.
    """

    def __init__(
        self,
        return_type: Any = None,
        *,
        on_expired: OnExpired = "raise",
        idle_timeout: float | None = 30.0,
        dedup: bool = False,
        newest: bool = True,
    ) -> None:
        self.resource_version: Any = None
        self.resp: Any = None
        require_return_type(return_type)
        self._raw_return_type = return_type
        self._options = Options(on_expired=on_expired, idle_timeout=idle_timeout, dedup=dedup, newest=newest)
        self._stop = False
        self._started: WatchStream | None = None

    def stream(self, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Self:
        """Returns this Watch as the stream of a function. Sends no request yet.

        Args:
            func: A function of a client, such as `v1.list_namespaced_pod`, or any function that takes the arguments
                below and returns a response of aiohttp.
            args: Its arguments.
            kwargs: Its keyword arguments. `watch=True` and `_preload_content=False` are added, or `follow=True` for the
                log of a pod. Without `timeout_seconds`, the stream has no end.

        Raises:
            TypeError: The function belongs to the synchronous client, which `kinform.sync.watch` serves.
        """
        self._drop_response()
        self._stop = False
        if "resource_version" in kwargs:
            self.resource_version = kwargs["resource_version"]
        self._started = WatchStream(
            func, args, kwargs, return_type=self._raw_return_type or None, clients=ASYNC_CLIENTS, options=self._options
        )
        return self

    @property
    def func(self) -> Callable[[], Awaitable[Any]]:
        """The function, with the arguments of the next request.

        Raises:
            AttributeError: `stream` was not called yet.
        """
        if self._started is None:
            raise AttributeError(f"func: {_NO_STREAM}")
        return self._started.func

    @property
    def return_type(self) -> Any:
        """The type of `event["object"]` in the stream.

        Raises:
            AttributeError: `stream` was not called yet.
        """
        if self._started is None:
            raise AttributeError(f"return_type: {_NO_STREAM}")
        return self._started.return_type

    def stop(self) -> None:
        """Ends the stream before its next event. Does not wake a task that waits for it."""
        self._stop = True

    def get_return_type(self, func: Callable[..., Any]) -> Any:
        """Returns the type of `event["object"]` for a function: a class, a name, or ""."""
        return self._raw_return_type or return_type_of(func, client_of(func, None, ASYNC_CLIENTS))

    def get_watch_argument_name(self, func: Callable[..., Any]) -> str:
        """Returns the argument that makes a function stream: `"watch"` or `"follow"`."""
        return "follow" if follows_a_log(func) else "watch"

    def unmarshal_event(self, data: str | bytes, response_type: Any) -> WatchEvent:
        """Returns the event of a line, and remembers its resourceVersion.

        Raises:
            ProtocolError: The line is not JSON, or not a watch event.
            ApiException: The line is a Status or an ERROR event.
        """
        reader = ModelReader(response_type, client_of(None, response_type, ASYNC_CLIENTS))
        event = parse_event(data.encode() if isinstance(data, str) else data, reader)
        self.resource_version = event.resource_version or self.resource_version
        return event

    def __aiter__(self) -> Self:
        return self

    def __iter__(self) -> NoReturn:
        raise TypeError(f"the Watch of kinform.watch needs `async for`; {USE_SYNC_WATCH}")

    async def __anext__(self) -> Any:
        try:
            return await self.next()
        except BaseException:
            await self.close()
            raise

    async def next(self) -> Any:
        """Returns the next event, or the next line of a log.

        If it is cancelled, no event is lost, and it can be called again.

        Raises:
            StopAsyncIteration: The stream has ended.
            KinformError: There is no stream, because `stream` was not called.
            ApiException: The server refuses the request, or sent an ERROR event. After a 410, see `on_expired`.
            ProtocolError: The body is not a stream of watch events.
            TypeError: The function did not return an awaitable.
            TimeoutError: The time of `_request_timeout` is over, in a stream with `timeout_seconds`.
            aiohttp.ClientError: The connection failed.
        """
        stream, ready = self._stream, self._stream.lines.ready
        while True:
            try:
                if self.resp is None and not ready:
                    await self._open()
                if self._stop:
                    raise StopAsyncIteration
                if self.resp is not None and not ready:
                    await self._read()
                event = stream.take(ready.popleft()) if ready else None
                self.resource_version = stream.recovery.resource_version or self.resource_version
            except StopAsyncIteration:
                raise
            except Exception as error:
                await self._recover(error)
            else:
                if event is not None:
                    return event

    async def close(self) -> None:
        """Releases the connection. The Watch can be used again."""
        if self.resp is not None:
            self.resp.release()
            self.resp = None
            self._stream.lines.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def _stream(self) -> WatchStream:
        if self._started is None:
            raise KinformError(_NO_STREAM)
        return self._started

    async def _open(self) -> None:
        if self._stream.recovery.relisting:
            await self._relist()
        else:
            self.resp = await self._request(self._stream.func)
            self._stream.recovery.answered()

    async def _request(self, func: Callable[[], Awaitable[Any]]) -> Any:
        """Returns a successful response; raises the ApiException of any other."""
        self._stream.recovery.sending(time.monotonic())
        answer = func()
        if not inspect.isawaitable(answer):
            raise wrong_answer(func, ASYNC_CLIENTS)
        response = await self._in_time(answer)
        if not is_refusal(response):
            return response
        body = b""
        try:
            while len(body) < MAX_BODY and (chunk := await self._in_time(response.content.read(MAX_BODY))):
                body += chunk
        finally:
            response.close()
        raise refusal_of(response, body, self._stream.client)

    async def _read(self) -> None:
        """Reads until a line is ready.

        Raises:
            Ended: The body has ended.
        """
        content, stream = self.resp.content, self._stream
        whole_lines = not _is_stream_reader(content)  # such as a fake with `readline` only, which aiohttp limits
        while not stream.lines.ready:
            asked = time.monotonic()
            data = await self._in_time(content.readline() if whole_lines else content.readany())
            if not data:
                if not stream.end():
                    raise Ended
                return
            stream.recovery.arrived(asked, time.monotonic())
            if whole_lines:
                stream.lines.ready.append(data)
            else:
                stream.lines.feed(data)

    async def _relist(self) -> None:
        """Requests a list, and makes lines of its differences to the known objects."""
        listed = Listed()
        while True:
            response = await self._request(self._stream.list_func(listed))
            try:
                while chunk := await self._in_time(response.content.readany()):
                    listed.feed(chunk)
            finally:
                response.close()
            listed.end_page()
            if not listed.token:
                break
        self._stream.compare(listed)

    async def _recover(self, error: Exception) -> None:
        """Waits until the next request may be sent; or raises if the stream ends."""
        recovery, now = self._stream.recovery, time.monotonic()
        final = recovery.judge(error, now, cut=self._stream.lines.cut)
        if final is None:
            self._drop_response()
        await asyncio.sleep(recovery.wait(now))
        if self._stop or isinstance(final, Ended):
            raise StopAsyncIteration
        if final is not None:
            raise final

    def _drop_response(self) -> None:
        if self.resp is not None:
            self.resp.close()
            self.resp = None
            self._stream.lines.clear()

    async def _in_time(self, awaitable: Awaitable[Any]) -> Any:
        """Awaits something of the server; raises Silent if it takes too long."""
        seconds = self._stream.recovery.patience(time.monotonic(), cut=self._stream.lines.cut)
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                return await awaitable
        except TimeoutError:
            if deadline.expired():
                raise Silent(f"the server sent nothing for {seconds:.0f} s") from None
            raise


def _is_stream_reader(content: Any) -> bool:
    aiohttp = sys.modules.get("aiohttp")
    return aiohttp is not None and isinstance(content, aiohttp.StreamReader)
