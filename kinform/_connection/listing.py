"""Lists a collection once: page by page, and object by object.

Neither a page nor a response is in memory as a whole. Never watches, and stores nothing.
Source: "Retrieving large results sets in chunks" of the Kubernetes API concepts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from kinform._connection.exchange import Call, exchange
from kinform._errors import ExpiredError, ProtocolError, SkippedError, StalledError, TransportError
from kinform._listwatch.frames import Foreign, Frame, Frames, ListEnd, Skip
from kinform._listwatch.pages import MAX_UNASKED_OBJECTS, Pages, accept_header, page_params, selector_params
from kinform._spec import CollectionSpec
from kinform._transport.base import Request, Response, Transport
from kinform_ext._scan import Batch

MAX_EMPTY_PAGES = 2_000
"""The most pages in a row without an object."""


async def list_objects(
    transport: Transport, spec: CollectionSpec, *, timeout: float
) -> AsyncGenerator[tuple[str, bytes], None]:
    """Yields key and pruned JSON of each object, one namespace after the other.

    Requests a page again that breaks off or expires, and yields only the objects of it that did not come before.

    Args:
        transport: The transport to the cluster.
        spec: The collection.
        timeout: Seconds to wait for the response to a request, and for each further chunk of it.

    Raises:
        StatusError: The server refuses a page.
        TransportError: A page broke off twice in a row without a further object.
        SkippedError: An object is malformed or oversized.
        ProtocolError: The response is not a LIST, or the pages have no end.
    """
    limit = spec.options.page_size
    for namespace in spec.scope.namespaces or ("",):
        name = spec.name(namespace)
        pages, token, expired, empty = Pages(), "", False, 0
        while True:
            came, foreign, end, fruitless = set[str](), 0, None, 0
            while end is None:
                before = len(came)
                try:
                    async with aclosing(_page(transport, spec, namespace, token, timeout)) as page:
                        async for frame in page:
                            match frame:
                                case Batch():
                                    for i in range(len(frame)):
                                        key = frame.key(i)
                                        if key not in came:
                                            pages.first_key = pages.first_key or key
                                            came.add(key)
                                            yield key, frame.raw(i)
                                case Foreign(count):
                                    foreign += count
                                case ListEnd():
                                    end = frame
                            if limit and len(came) + foreign > limit + MAX_UNASKED_OBJECTS:
                                raise ProtocolError(f"list {name}: a page of the list has no end")
                except ExpiredError as error:
                    if expired or not error.rest:
                        raise
                    expired, token = True, error.rest
                except TransportError:
                    fruitless = fruitless + 1 if len(came) == before else 0
                    if fruitless > 1:
                        raise
            if not end.page:
                break
            empty = 0 if came or foreign else empty + 1
            if pages.end_page(end.page) or empty == MAX_EMPTY_PAGES:
                raise ProtocolError(f"list {name}: the pages of the list have no end")
            token, expired, pages.first_key = end.page, False, ""


async def _page(
    transport: Transport, spec: CollectionSpec, namespace: str, token: str, timeout: float
) -> AsyncGenerator[Batch | Foreign | ListEnd, None]:
    """Yields the batches of a page, then its end."""
    name, shards = spec.name(namespace), spec.shards
    request = Request(
        path=spec.resource.path(namespace),
        params=(*selector_params(spec.scope, shards), *page_params(spec.options.page_size, token)),
        accept=accept_header(spec.scope, watch=False),
        gzip=spec.options.compression == "gzip",
    )
    response = await exchange(transport, Call("list", name, request), _unread, timeout=timeout)
    frames = Frames(
        "list", spec.prune.program(), name=name, max_object_bytes=spec.options.max_object_bytes, shards=shards
    )
    try:
        chunks = aiter(response.chunks())
        while True:
            try:
                async with asyncio.timeout(timeout):
                    chunk = await anext(chunks, None)
            except TimeoutError as error:
                raise StalledError(f"list {name}: no data for {timeout:g} s") from error
            if chunk is None:
                frames.finish()
                raise ProtocolError(f"list {name}: the body ended before the end of the list")
            for frame in frames.feed(chunk):
                yield _checked(frame, name)
                if isinstance(frame, ListEnd):
                    return
            await asyncio.sleep(0)  # a body that has already arrived would block the loop
    finally:
        response.close()


async def _unread(response: Response) -> Response:
    return response


def _checked(frame: Frame, name: str) -> Batch | Foreign | ListEnd:
    match frame:
        case Batch() | Foreign() | ListEnd():
            return frame
        case Skip():
            raise SkippedError(name, frame.key, frame.reason, offset=frame.offset, size=frame.size)
    raise ProtocolError(f"list {name}: the server answered no LIST")
