"""Lists a collection once: page by page, and object by object.

Neither a page nor a response is in memory as a whole. Never watches, and stores nothing.
Source: "Retrieving large results sets in chunks" of the Kubernetes API concepts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

from kinform._connection.exchange import Call, exchange
from kinform._errors import ExpiredError, ProtocolError, SkippedError, StalledError, StatusError, TransportError
from kinform._listwatch.capabilities import capabilities_of
from kinform._listwatch.frames import Foreign, Frames, ListEnd, Skip
from kinform._listwatch.pages import MAX_UNASKED_OBJECTS, Pages, accept_header, page_params, selector_params
from kinform._sharding import ShardSet, is_about_selector
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
    for namespace in spec.scope.fixed_namespaces or ("",):
        pages, token, empty = Pages(), "", 0
        while True:
            page = _Page(transport, spec, namespace, token, timeout=timeout)
            async with aclosing(page.objects()) as objects:
                async for key, raw in objects:
                    yield key, raw
            if not (token := page.next_token):
                break
            pages.first_key = next(iter(page.keys), "")
            empty = 0 if page.keys or page.foreign else empty + 1
            if pages.end_page(token) or empty == MAX_EMPTY_PAGES:
                raise ProtocolError(f"list {page.name}: the pages of the list have no end")


class _Page:
    """A page of a list, with its repetitions.

    Args:
        transport: The transport to the cluster.
        spec: The collection.
        namespace: The namespace, `""` for all.
        token: The `continue` token of the page, `""` for the first one.
        timeout: See `list_objects`.

    Attributes:
        name: The name of the list, for messages.
        keys: The keys of the objects that came, in their order.
        foreign: Number of objects of other shards, or with other names, that came.
        next_token: The token of the next page; `""` at the end of the list, and before the end of the page.
    """

    def __init__(
        self, transport: Transport, spec: CollectionSpec, namespace: str, token: str, *, timeout: float
    ) -> None:
        self.name = spec.name(namespace)
        self.keys: dict[str, None] = {}
        self.foreign = 0
        self.next_token = ""
        self._transport = transport
        self._spec = spec
        self._namespace = namespace
        self._token = token
        self._timeout = timeout

    async def objects(self) -> AsyncGenerator[tuple[str, bytes], None]:
        """Yields key and pruned JSON of each object, once."""
        expired, fruitless = False, 0
        while True:
            before = len(self.keys)
            try:
                async with aclosing(self._request()) as batches:
                    async for batch in batches:
                        for found in self._new_objects(batch):
                            yield found
                return
            except ExpiredError as error:
                if expired or not error.rest:
                    raise
                expired, self._token = True, error.rest
            except TransportError:
                fruitless = fruitless + 1 if len(self.keys) == before else 0
                if fruitless > 1:
                    raise

    def _new_objects(self, batch: Batch) -> Iterator[tuple[str, bytes]]:
        """Yields the objects that did not come before."""
        for i in range(len(batch)):
            key = batch.key(i)
            if key not in self.keys:
                self.keys[key] = None
                yield key, batch.raw(i)
        self._check_end()

    def _check_end(self) -> None:
        limit = self._spec.options.page_size
        if limit and len(self.keys) + self.foreign > limit + MAX_UNASKED_OBJECTS:
            raise ProtocolError(f"list {self.name}: a page of the list has no end")

    async def _request(self) -> AsyncGenerator[Batch, None]:
        """Requests the page once, and yields its batches."""
        name, options, shards = self.name, self._spec.options, self._spec.shards
        response = await self._open(shards)
        frames = Frames(
            "list",
            self._spec.prune.program(),
            name=name,
            max_object_bytes=options.max_object_bytes,
            shards=shards,
            names=self._spec.scope.names,
        )
        try:
            chunks = aiter(response.chunks())
            while True:
                for frame in frames.feed(await self._next(chunks, frames)):
                    match frame:
                        case Batch():
                            yield frame
                        case Foreign(count):
                            self.foreign += count
                            self._check_end()
                        case ListEnd():
                            self.next_token = frame.page
                            return
                        case Skip():
                            raise SkippedError(name, frame.key, frame.reason, offset=frame.offset, size=frame.size)
                        case _:
                            raise ProtocolError(f"list {name}: the server answered no LIST")
                await asyncio.sleep(0)  # a body that has already arrived would block the loop
        finally:
            response.close()

    async def _open(self, shards: ShardSet | None) -> Response:
        """Opens the page; without `shardSelector` if the server refuses it."""
        options, scope = self._spec.options, self._spec.scope
        capabilities = capabilities_of(self._transport)

        async def send(shards: ShardSet | None) -> Response:
            request = Request(
                path=self._spec.resource.path(self._namespace),
                params=(*selector_params(scope, shards), *page_params(options.page_size, self._token)),
                accept=accept_header(scope, watch=False),
                gzip=options.compression == "gzip",
            )
            return await exchange(self._transport, Call("list", self.name, request), _unread, timeout=self._timeout)

        if shards is None or capabilities.without_shards:
            return await send(None)
        try:
            return await send(shards)
        except StatusError as error:
            if error.status not in (400, 422) and not (error.status == 500 and is_about_selector(error.message)):
                raise
        response = await send(None)
        capabilities.refuses_shards(self.name)
        return response

    async def _next(self, chunks: AsyncIterator[bytes], frames: Frames) -> bytes:
        """Returns the next chunk.

        Raises:
            StalledError: It does not arrive in time.
            ProtocolError: The body has ended.
        """
        try:
            async with asyncio.timeout(self._timeout):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise StalledError(f"list {self.name}: no data for {self._timeout:g} s") from error
        if chunk is None:
            frames.finish()
            raise ProtocolError(f"list {self.name}: the body ended before the end of the list")
        return chunk


async def _unread(response: Response) -> Response:
    return response
