"""A drop-in for `watch.Watch` of the synchronous client, `kubernetes`.

    from kinform.sync import watch       # was: from kubernetes import watch

    w = watch.Watch()
    for event in w.stream(v1.list_pod_for_all_namespaces, label_selector="app=web"):
        event["type"], event["object"].metadata.name, event["raw_object"]

It calls the function of the client and reads the body of its response, as `kinform.watch` does. It has no store.
"""

from __future__ import annotations

import inspect
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from kinform._watch.events import ModelReader, WatchEvent, decode
from kinform._watch.failures import is_read_timeout
from kinform._watch.functions import (
    PYDOC_FOLLOW_PARAM,
    PYDOC_RETURN_LABEL,
    SYNC_CLIENTS,
    TYPE_LIST_SUFFIX,
    USE_ASYNC_WATCH,
    client_of,
    follows_a_log,
    is_method_of_a_client,
    require_client,
    require_return_type,
    return_type_of,
    wrong_answer,
)
from kinform._watch.parser import parse_event
from kinform._watch.recovery import Ended, OnExpired, Silent
from kinform._watch.refusals import MAX_BODY, is_refusal, refusal_of
from kinform._watch.seen import Listed
from kinform._watch.stream import Options, WatchStream

__all__ = ["PYDOC_FOLLOW_PARAM", "PYDOC_RETURN_LABEL", "TYPE_LIST_SUFFIX", "Watch"]


class Watch:
    """Streams the events of a function of the synchronous client.

    Behaves as the `Watch` of the client, but does not hang, survives lost connections, and builds models on demand:
    docs/reference/watch.md lists all differences.

    Guarantees: events come in the order of the server, and none is lost while a stream continues. Two requests are at
    least half a second apart, so the end of a stream is not reported earlier than this after its last request.

    One Watch has one stream at a time. Only `stop` may be called from another thread.

    Args:
        return_type: The type of `event["object"]`: a class or name of a model, or `"object"` for dicts. None: the
            return type of the function.
        on_expired: As for `kinform.watch.Watch`.
        idle_timeout: As for `kinform.watch.Watch`. Has an effect only for a method of an API object, and without
            `_request_timeout`.
        dedup: As for `kinform.watch.Watch`.
        newest: As for `kinform.watch.Watch`.

    Raises:
        OptionError: An argument is not valid.

    Attributes:
        resource_version: The resourceVersion to continue from, or None.
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
        require_return_type(return_type)
        self._raw_return_type = return_type
        self._options = Options(on_expired=on_expired, idle_timeout=idle_timeout, dedup=dedup, newest=newest)
        self._stopped = threading.Event()
        self._lock = threading.Lock()  # the response is not closed while `stop` uses its socket
        self._response: Any = None

    def stop(self) -> None:
        """Ends the stream before its next event. Wakes a thread that waits for data.

        A thread that waits for the headers of a response is not woken.
        """
        self._stopped.set()
        with self._lock:
            if self._response is not None:
                _shut_down(self._response)

    def get_return_type(self, func: Callable[..., Any]) -> Any:
        """Returns the type of `event["object"]` for a function: a class, a name, or ""."""
        return self._raw_return_type or return_type_of(func, client_of(func, None, SYNC_CLIENTS))

    def get_watch_argument_name(self, func: Callable[..., Any]) -> str:
        """Returns the argument that makes a function stream: `"watch"` or `"follow"`."""
        return "follow" if follows_a_log(func) else "watch"

    def unmarshal_event(self, data: str | bytes, return_type: Any) -> WatchEvent | None:
        """Returns the event of a line, or None for an empty line.

        Remembers the resourceVersion if there is a return type.

        Raises:
            ProtocolError: The line is not JSON, or not a watch event.
            ApiException: The line is a Status or an ERROR event.
        """
        line = data.encode() if isinstance(data, str) else data
        if not line or line.isspace():
            return None
        reader = ModelReader(return_type, client_of(None, return_type, SYNC_CLIENTS))
        event = parse_event(line, reader, strict=False)
        if return_type and event.resource_version:
            self.resource_version = event.resource_version
        return event

    def stream(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Yields the events of a function, or the lines of a log without their line feeds.

        Returns a generator: no request is sent before the first step. Leaving its loop releases the connection.

        Args:
            func: A function of the client, such as `v1.list_namespaced_pod`, or any function that takes the arguments
                below and returns a response of urllib3.
            args: Its arguments.
            kwargs: Its keyword arguments. `watch=True` and `_preload_content=False` are added, or `follow=True` for the
                log of a pod. Without `timeout_seconds`, the stream has no end if a resourceVersion is known.
                `deserialize=False`: yield the dicts of the lines, and do not continue after a connection.

        Raises:
            ApiException: The server refuses the request, or sent an ERROR event. After a 410, see `on_expired`.
            ProtocolError: The body is not a stream of watch events.
            HTTPError: The connection failed. The class is that of urllib3.
            TypeError: The function belongs to an asyncio client, which `kinform.watch` serves.
        """
        require_client(func, client_of(func, None, SYNC_CLIENTS).package, SYNC_CLIENTS)  # before an `async for` fails
        return self._stream(func, args, kwargs)

    def __aiter__(self) -> NoReturn:
        raise TypeError(f"the Watch of kinform.sync.watch needs `for`; {USE_ASYNC_WATCH}")

    async def __aenter__(self) -> NoReturn:
        self.__aiter__()

    async def __aexit__(self, *_: object) -> None:
        """Is looked up before `__aenter__`, and never called."""

    def _stream(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
        self._stopped.clear()
        deserialize = kwargs.pop("deserialize", True)
        if "resource_version" in kwargs:
            self.resource_version = kwargs["resource_version"]
        stream = WatchStream(
            func,
            args,
            kwargs,
            return_type=self._raw_return_type or None if deserialize else "",
            clients=SYNC_CLIENTS,
            options=self._options,
            blocking=True,
        )
        limited = _limit_requests(stream, func)
        while True:
            try:
                for event in self._events(stream, limited):
                    yield event if deserialize or stream.log else decode(event.line)
            except Exception as error:
                if self._stopped.is_set():
                    return  # `stop` ended the connection
                self._recover(stream, Silent(str(error)) if limited and is_read_timeout(error) else error)
            if self._stopped.is_set():
                return

    def _events(self, stream: WatchStream, limited: bool) -> Iterator[Any]:
        """Yields the events of one connection. `limited`: the silence is limited."""
        if stream.recovery.relisting:
            self._relist(stream)
            yield from self._take(stream)
        with self._request(stream, stream.func) as response:
            stream.recovery.answered()
            asked = time.monotonic()
            socket_of = _socket_of(response) if limited else None
            if socket_of is not None:
                socket_of.settimeout(stream.recovery.patience(asked))
            for chunk in _chunks(response):
                stream.recovery.arrived(asked, time.monotonic())
                stream.lines.feed(chunk)
                yield from self._take(stream)
                if self._stopped.is_set():
                    return
                asked = time.monotonic()
                if socket_of is not None:
                    socket_of.settimeout(stream.recovery.patience(asked, cut=stream.lines.cut))
            if stream.end():
                yield from self._take(stream)
            raise Ended

    def _take(self, stream: WatchStream) -> Iterator[Any]:
        """Yields the events of the lines that are ready."""
        ready = stream.lines.ready
        while ready and not self._stopped.is_set():
            event = stream.take(ready.popleft())
            self.resource_version = stream.recovery.resource_version or self.resource_version
            if event is not None:
                yield event

    def _relist(self, stream: WatchStream) -> None:
        """Requests a list, and makes lines of its differences to the known objects."""
        listed = Listed()
        while True:
            with self._request(stream, stream.list_func(listed)) as response:
                for chunk in response.stream(MAX_BODY):
                    listed.feed(chunk)
            listed.end_page()
            if not listed.token:
                break
        stream.compare(listed)

    @contextmanager
    def _request(self, stream: WatchStream, func: Callable[[], Any]) -> Iterator[Any]:
        """Yields a successful response; raises the ApiException of any other."""
        stream.recovery.sending(time.monotonic())
        response = func()
        if inspect.isawaitable(response):
            if inspect.iscoroutine(response):
                response.close()
            raise wrong_answer(func, SYNC_CLIENTS)
        with self._lock:
            self._response = response
        try:
            if is_refusal(response):
                raise refusal_of(response, response.read(MAX_BODY), stream.client)
            yield response
        finally:
            with self._lock:
                self._response = None
            response.close()
            response.release_conn()

    def _recover(self, stream: WatchStream, error: Exception) -> None:
        """Waits until the next request may be sent, or stops the stream; or raises."""
        now = time.monotonic()
        final = stream.recovery.judge(error, now, cut=stream.lines.cut)
        stream.lines.clear()
        self._stopped.wait(stream.recovery.wait(now))
        if isinstance(final, Ended):
            self._stopped.set()
        elif final is not None and not self._stopped.is_set():
            raise final


def _limit_requests(stream: WatchStream, func: Callable[..., Any]) -> bool:
    """Limits the silence before the headers, and returns whether it could.

    Changes nothing if the caller limits it, or if the function may not have the argument `_request_timeout`.
    """
    arguments = stream.func.keywords
    if "_request_timeout" in arguments or stream.log or not is_method_of_a_client(func):
        return False
    seconds = stream.recovery.patience(0.0) if stream.tracked or arguments.get("timeout_seconds") else None
    if seconds is not None:
        arguments["_request_timeout"] = (seconds, seconds)
    return seconds is not None


def _socket_of(response: Any) -> Any:
    """Returns the socket of a response, or None if it is not known."""
    return getattr(getattr(response, "connection", None), "sock", None)


def _shut_down(response: Any) -> None:
    """Ends the connection of a response: a thread that reads from it gets the end."""
    # Suppressed: it is closed, or has no socket.
    with suppress(OSError, ValueError, AttributeError, TypeError), socket.socket(fileno=os.dup(response.fileno())) as s:
        s.shutdown(socket.SHUT_RDWR)


def _chunks(response: Any) -> Iterator[bytes]:
    """Yields the bytes of a response of urllib3 as they arrive."""
    if getattr(response, "chunked", None) is False and hasattr(response, "read1"):  # `stream` waits for its end
        while chunk := response.read1(MAX_BODY, decode_content=False):
            yield chunk
        return
    for chunk in response.stream(amt=None, decode_content=False):
        yield chunk.encode() if isinstance(chunk, str) else chunk
