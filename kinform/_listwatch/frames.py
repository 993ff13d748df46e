"""Frames of a response body: batches of objects, and control frames.

Converts the scanner's tuples and ValueErrors to named types and ProtocolErrors. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar

import msgspec

from kinform._errors import ProtocolError
from kinform._paths.prune_program import Program
from kinform._sharding import ShardSet
from kinform._status import Status
from kinform_ext._scan import Batch, Scanner

Decoded = TypeVar("Decoded")

END_OF_INITIAL_EVENTS = "k8s.io/initial-events-end"  # KEP-3157


class Bookmark(msgspec.Struct, frozen=True, gc=False):
    """A BOOKMARK event: the stream has reached this resourceVersion.

    Attributes:
        resource_version: The resourceVersion.
        initial_events_end: The initial events of a WatchList are complete.
    """

    resource_version: str
    initial_events_end: bool = False


class ListEnd(msgspec.Struct, frozen=True, gc=False):
    """The end of a page of a LIST.

    Attributes:
        resource_version: The resourceVersion of the list.
        page: The `continue` token of the next page, or `""` after the last.
        sharded: The server has sent only the objects of the shards that the request named.
    """

    resource_version: str
    page: str = ""
    sharded: bool = False


class Skip(msgspec.Struct, frozen=True, gc=False):
    """An object that was skipped.

    Attributes:
        verb: The event type.
        key: `"namespace/name"` or `"name"`, or None if it could not be read.
        resource_version: Its resourceVersion, or `""`.
        reason: `"oversized"`, `"malformed"`, ...
        offset: Its first byte in the body.
        size: Its bytes in the body.
    """

    verb: str
    key: str | None
    resource_version: str
    reason: str
    offset: int
    size: int


class Foreign(msgspec.Struct, frozen=True, gc=False):
    """Objects of other shards, or with other names, which were dropped.

    Attributes:
        count: The number of objects.
        resource_version: The resourceVersion of the last one; `""` if an object that is kept came after it.
        other_names: The number of those with other names.
    """

    count: int
    resource_version: str
    other_names: int


Frame = Batch | Bookmark | ListEnd | Skip | Foreign | Status


class Frames:
    """Splits one response body into frames.

    Buffers at most one object, up to `max_object_bytes`, and the batches of one chunk.

    Args:
        body: The kind of the body.
        program: Selects the fields to keep.
        name: The name of the stream, for errors.
        max_object_bytes: Larger objects are skipped.
        shards: Objects of other shards are dropped. None: none is.
        names: Objects with other names are dropped. None: none is.
    """

    def __init__(
        self,
        body: Literal["list", "watch"],
        program: Program | None,
        *,
        name: str,
        max_object_bytes: int,
        shards: ShardSet | None = None,
        names: Iterable[str] | None = None,
    ) -> None:
        self._what = f"{body} {name}"
        mask = None if shards is None else shards.mask()
        texts = None if names is None else frozenset(each.encode() for each in names)
        self._scanner = Scanner(body, program, max_object_bytes=max_object_bytes, shards=mask, names=texts)

    def feed(self, chunk: bytes) -> list[Frame]:
        """Takes the next bytes and returns the frames that are complete, in order.

        Raises:
            ProtocolError: The body is not a LIST or not a WATCH. The rest of it cannot be read.
        """
        try:
            return [item if isinstance(item, Batch) else _control_frame(item) for item in self._scanner.feed(chunk)]
        except ValueError as error:
            raise ProtocolError(f"{self._what}: {error}", self._scanner.offset) from error

    def finish(self) -> None:
        """Takes the end of the body.

        Raises:
            ProtocolError: The body ended inside an object or a list.
        """
        try:
            self._scanner.finish()
        except ValueError as error:
            raise ProtocolError(f"{self._what}: {error}", self._scanner.offset) from error


class _BookmarkMetadata(msgspec.Struct, gc=False):
    resourceVersion: str = ""
    annotations: dict[str, str] | None = None


class _BookmarkObject(msgspec.Struct, gc=False):
    metadata: _BookmarkMetadata


def _control_frame(item: tuple[object, ...]) -> Frame:
    match item:
        case ("BOOKMARK", int(), bytes(raw)):
            problem = "malformed BOOKMARK: expected an object with metadata"
            metadata = _decode_object(raw, _BookmarkObject, problem).metadata
            end = (metadata.annotations or {}).get(END_OF_INITIAL_EVENTS) == "true"
            return Bookmark(metadata.resourceVersion, end)
        case ("ERROR", int(), bytes(raw)):
            return _decode_object(raw, Status, "malformed ERROR: expected a Status")
        case ("LIST_END", int(), _, _, str(resource_version), str(page), _, str(shard_selector)):
            return ListEnd(resource_version, page, bool(shard_selector))
        case ("FOREIGN", int(count), str(resource_version), int(other_names)):
            return Foreign(count, resource_version, other_names)
        case (
            "SKIP",
            int(offset),
            str(verb),
            namespace,
            name,
            _,
            str(resource_version),
            str(reason),
            int(size),
        ):
            # A namespace of None could not be read: then the key is unknown. "" is a cluster-scoped object.
            key = None if name is None or namespace is None else f"{namespace}/{name}" if namespace else str(name)
            return Skip(verb, key, resource_version, reason, offset, size)
    raise AssertionError(item[0])


def _decode_object(raw: bytes, kind: type[Decoded], problem: str) -> Decoded:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError(problem) from None
