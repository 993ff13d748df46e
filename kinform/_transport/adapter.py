"""The transport of what a caller passes as `api`."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Coroutine
from typing import Any, Protocol

from kinform._errors import OptionError
from kinform._transport.base import Transport


class ApiClient(Protocol):
    """An `ApiClient` of kubernetes_asyncio, for type checkers."""

    configuration: Any
    rest_client: Any

    def close(self) -> Coroutine[Any, Any, Any]: ...


def as_transport(api: object) -> Transport:
    """Returns `api` if it is a transport, else wraps it.

    Raises:
        OptionError: Neither an ApiClient of kubernetes_asyncio nor a transport; or a transport with another identity
            than `Transport` allows.
    """
    if not isinstance(api, type):
        if isinstance(api, Transport):
            _check_identity(api)
            return api
        client: Any = api
        # The synchronous client has the same methods, but its `close` is no coroutine function.
        if hasattr(client, "call_api") and inspect.iscoroutinefunction(getattr(client, "close", None)):
            from kinform._transport.api_client import ApiClientTransport  # imports aiohttp, as the caller has

            return ApiClientTransport(client)
    raise OptionError(
        "api",
        api,
        "a connection from kinform.connect(), an ApiClient of kubernetes_asyncio, or a kinform.Transport",
    )


def _check_identity(transport: Transport) -> None:
    identity = transport.identity
    try:
        hash(identity)
        weakref.ref(identity)
    except TypeError:
        allowed = "an object that is hashable and weakly referenceable, such as the transport itself"
        raise OptionError("Transport.identity", identity, allowed) from None
