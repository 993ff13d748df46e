"""Fetches one object, in the form in which a stream of its collection receives it.

The request is a LIST with the field selector `metadata.name`, not a GET of the object. So it needs no other
permission than the stream, the server applies the selectors of the scope, and the answer for a missing object has a
resourceVersion. The API server reads one key of etcd for it.
"""

from __future__ import annotations

import asyncio

import msgspec

from kinform._checks import require_scope
from kinform._errors import ProtocolError, SkippedError, StalledError
from kinform._listwatch.frames import Foreign, Frame, Frames, ListEnd, Skip
from kinform._listwatch.pages import accept_header, name_selector
from kinform._printable import printable
from kinform._sharding import ShardSet
from kinform._spec import CollectionSpec
from kinform._status import STATUS_BYTES, Status, read_status
from kinform._transport.base import Request, Response, Transport
from kinform_ext._scan import Batch


class Fetched(msgspec.Struct, frozen=True, gc=False):
    """The answer of the server.

    Attributes:
        batch: The object alone; None if it does not exist in the scope.
        resource_version: The resourceVersion of the object; without an object: the one at which it was missing.
        state: The resourceVersion of the answer. A watch can start from it.
    """

    batch: Batch | None
    resource_version: str
    state: str


async def fetch(
    transport: Transport, spec: CollectionSpec, key: str, *, name: str, shards: ShardSet | None = None
) -> Fetched:
    """Fetches the newest version of an object.

    Args:
        transport: The transport to the cluster.
        spec: The collection.
        key: The key of the object.
        name: The name of the stream, for messages.
        shards: The shards of the stream; None: all objects. An object of another shard counts as missing.

    Raises:
        SkippedError: The object is still malformed or oversized.
        StatusError: The server refuses the request.
        TransportError: The connection failed, or was silent for `headers_timeout` seconds.
        ProtocolError: The body is not a LIST of this object.
        OptionError: The key has no namespace, but the objects have.
    """
    seconds = spec.options.headers_timeout
    response: Response | None = None
    try:
        async with asyncio.timeout(seconds):
            response = await transport.open(request_of(spec, key))
            if response.status != 200:
                status = read_status(response.status, await response.head(STATUS_BYTES))
                raise status.error(name, verb="list")
            return await read_fetched(response, spec, key, name=name, shards=shards)
    except TimeoutError as error:
        raise StalledError(f"{name}: {printable(key)} did not arrive within {seconds:g} s") from error
    finally:
        if response is not None:
            response.close()


def request_of(spec: CollectionSpec, key: str) -> Request:
    """Returns the request for one object."""
    namespace, _, name = key.rpartition("/")
    scope = spec.scope
    params = [("fieldSelector", name_selector(scope, name))]
    if scope.label_selector:
        params.append(("labelSelector", scope.label_selector))
    return Request(
        path=spec.resource.path(namespace),
        params=tuple(params),
        accept=accept_header(scope, watch=False),
    )


async def read_fetched(
    response: Response, spec: CollectionSpec, key: str, *, name: str, shards: ShardSet | None = None
) -> Fetched:
    """Reads the response to a request for one object, which has the status 200.

    Raises:
        SkippedError: The object is malformed or oversized.
        TransportError: The body broke off.
        ProtocolError: The body is not a LIST of this object.
        OptionError: The key has no namespace, but the objects have.
    """
    frames = Frames(
        "list", spec.prune.program(), name=name, max_object_bytes=spec.options.max_object_bytes, shards=shards
    )
    found: Batch | None = None
    async for chunk in response.chunks():
        for frame in frames.feed(chunk):
            match frame:
                case Batch() if found is None and len(frame) == 1 and frame.key(0) == key:
                    found = frame
                case Batch() if frame.key(0).endswith(f"/{key}"):  # all namespaces were listed
                    require_scope(key, namespaced=True)
                case Foreign():
                    pass
                case Skip():
                    raise SkippedError(name, frame.key or key, frame.reason, offset=frame.offset, size=frame.size)
                case ListEnd():
                    state = frame.resource_version
                    return Fetched(found, found.resource_version(0) if found is not None else state, state)
                case _:
                    raise _unexpected(frame, name, key)
    frames.finish()
    raise ProtocolError(f"list {name}: the body ended before the end of the list")


def _unexpected(frame: Frame, name: str, key: str) -> ProtocolError:
    what = "a Status" if isinstance(frame, Status) else "other objects"
    return ProtocolError(f"list {name}: the server answered {what} to a request for {printable(key)}")
