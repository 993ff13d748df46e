"""The verbs of the Kubernetes API, from `list` to `delete`.

JSON by msgspec: no model of any client is loaded. Knows no store and no watch.
Source: "Kubernetes API verbs" of the Kubernetes API concepts, KEP-555 (server-side apply).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from kinform._checks import require_integer, require_positive
from kinform._connection.exchange import Call, exchange, whole_body
from kinform._connection.listing import list_objects
from kinform._connection.target import Target
from kinform._decoding import DICT, Decoder, T, check_type, decode_object, make_decoder
from kinform._options import Prune, Resource, Scope, WatchOptions
from kinform._spec import CollectionSpec
from kinform._transport.base import Request, Transport

DEFAULT_TIMEOUT = 30.0


class Verbs(Transport):
    """The verbs, over the methods of a `Transport`."""

    def list(
        self,
        resource: Resource | str,
        *,
        type: type[T] = DICT,  # type: ignore[assignment]
        scope: Scope | None = None,
        prune: Prune | None = None,
        page_size: int = 500,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> AsyncGenerator[T, None]:
        """Yields the objects of a collection, which it requests in pages.

        Neither a page nor a response is in memory as a whole, only a chunk of at most 256 KiB and one object.

        The objects of one namespace are those of one moment, even if the list has many pages, and each comes once.
        There are two exceptions. If the server no longer has that moment (410, about five minutes after the first
        page), the rest of the list is in its newest state. If the connection breaks in the first page, the rest of that
        page is. Several namespaces come one after the other, each with its own moment.

        While your program handles an object, kinform reads no further. So a loop may take hours: kinform requests the
        rest of a page again if the server has closed the connection meanwhile. A refusal is raised at once, when the
        iteration reaches it. Leaving the loop by `break` closes the connection; wrap the generator in
        `contextlib.aclosing` if it must be closed before the next statement.

        Args:
            resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
            type: The type of the objects: `dict`, any type that msgspec decodes to, or a model of a Kubernetes client.
            scope: The objects to request. Default: all.
            prune: The fields of each object to keep. Default: all but `metadata.managedFields`.
            page_size: Objects per request. 0: one request.
            timeout: Seconds to wait for the response to a request, and for further data of it.

        Raises:
            OptionError: An argument is not valid, or pruning drops a field that the type requires. Raised by the call.
            StatusError: The server refuses the request.
            TransportError: The connection failed, twice without a further object.
            SkippedError: An object is malformed, or has more than 16 MiB.
            DecodeError: An object does not fit the type.
            ProtocolError: The response is not a LIST.
        """
        require_integer("page_size", page_size, 0, "0 for one page, or a positive number")
        require_positive("timeout", timeout)
        spec = CollectionSpec.of(resource, scope, prune, None, WatchOptions(page_size=page_size))
        spec.check_readable(type, {})
        return _decoded(list_objects(self, spec, timeout=timeout), make_decoder(type))

    async def get(
        self,
        resource: Resource | str,
        key: str,
        *,
        type: type[T] = DICT,  # type: ignore[assignment]
        subresource: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> T:
        """Returns one object in its newest state.

        Args:
            resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
            key: `"namespace/name"`, or `"name"` for a cluster-scoped object.
            type: The type of the object: `dict`, any type that msgspec decodes to, or a model of a Kubernetes client.
            subresource: A subresource, such as `"scale"`.
            timeout: Seconds until the whole response has arrived.

        Raises:
            NotFoundError: There is no such object, as with `kubectl get`.
            StatusError: The server refuses the request.
            TransportError: There was no response.
            DecodeError: The object does not fit the type.
            OptionError: An argument is not valid.
        """
        target = Target.of_key(resource, key, subresource)
        return await self._answer("get", target, Request(path=target.path, params=()), type, timeout)

    async def _answer(self, verb: str, target: Target, request: Request, type: type[T], timeout: float) -> T:
        require_positive("timeout", timeout)
        check_type(type, None)
        body = await exchange(self, Call(verb, str(target), request), whole_body, timeout=timeout)
        return decode_object(make_decoder(type), target.key, body)


async def _decoded(objects: AsyncGenerator[tuple[str, bytes], None], decoder: Decoder[T]) -> AsyncGenerator[T, None]:
    async with aclosing(objects):
        async for key, raw in objects:
            yield decode_object(decoder, key, raw)
