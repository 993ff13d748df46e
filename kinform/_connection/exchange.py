"""Exchanges with the server: a request, its repetitions, and the response.

Repeats a request only if it cannot have taken effect: a read once after a failed connection, a write once if the server
got nothing of it, each after a 401 with other credentials, and each after a 429 if the server says how long to wait.
Never repeats a write that may have reached the server.
Source: client-go's `rest.Request` for the status 429; RFC 9110, 9.2.2, for repeated requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from kinform._errors import ProtocolError, StalledError, StatusError, TransportError
from kinform._status import STATUS_BYTES, read_retry_after, read_status
from kinform._transport.base import Request, Response, Transport

Result = TypeVar("Result")

MAX_WAITS = 10
"""The most waits in a row because of 429."""
MAX_BODY_BYTES = 16 << 20
"""The most bytes in the response to a request for one object."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """A request, and the words for it in messages.

    Attributes:
        verb: The verb: `"get"`.
        about: The object or the collection: `"v1/pods shop/web-0"`.
        request: The request.
        hint: The likely mistake if the server does not know the path; or `""`.
    """

    verb: str
    about: str
    request: Request
    hint: str = ""

    @property
    def is_read(self) -> bool:
        """True if the request changes nothing, so that it can be sent twice."""
        return self.request.method == "GET"

    def __str__(self) -> str:
        return f"{self.verb} {self.about}"


async def exchange(
    transport: Transport, call: Call, take: Callable[[Response], Awaitable[Result]], *, timeout: float
) -> Result:
    """Sends a request until it has an answer, and returns what `take` makes of it.

    Args:
        transport: The transport to the cluster.
        call: The request.
        take: Gets the response if it has a status of success, and has to read or close it. It may get a second one, if
            it raises a TransportError.
        timeout: Seconds for all of it.

    Raises:
        StatusError: The server refuses the request.
        TransportError: There was no response, or it broke off.
        Exception: An error that `take` raises.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    failed = refreshed = False
    waits = 0
    try:
        async with asyncio.timeout_at(deadline):
            while True:
                try:
                    response = await transport.open(call.request)
                    if 200 <= response.status < 300:
                        return await take(response)
                    error = await _refusal(call, response)
                except TransportError as failure:
                    if failed or (failure.reached and not call.is_read):
                        raise
                    failed = True
                    continue
                if error.status == 401 and not refreshed:
                    refreshed = True
                    if await transport.refresh_credentials():
                        continue
                wait = error.retry_after
                if error.status != 429 or wait is None or waits == MAX_WAITS or loop.time() + wait >= deadline:
                    raise error
                waits += 1
                await asyncio.sleep(wait)
    except TimeoutError as error:
        unknown = "" if call.is_read else ", and the server may have carried it out"
        raise StalledError(f"{call}: no complete response within {timeout:g} s{unknown}") from error


async def whole_body(response: Response) -> bytes:
    """Returns the body of a small response, and closes it.

    Raises:
        TransportError: The body broke off.
        ProtocolError: The body has more than MAX_BODY_BYTES.
    """
    parts, size = list[bytes](), 0
    try:
        async for chunk in response.chunks():
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise ProtocolError(f"the response has more than {MAX_BODY_BYTES} bytes")
            parts.append(chunk)
    finally:
        response.close()
    return b"".join(parts)


async def _refusal(call: Call, response: Response) -> StatusError:
    """Returns the error for a response without success, and closes it."""
    try:
        status = read_status(response.status, await response.head(STATUS_BYTES))
    finally:
        response.close()
    wait = read_retry_after(response.headers.get("Retry-After"))
    is_unknown = status.code in (404, 405) and not (status.details and status.details.name)
    return status.error(call.about, verb=call.verb, retry_after=wait, hint=call.hint if is_unknown else "")
