"""Frames of a response body: batches of objects, and control frames.

Converts the scanner's tuples and ValueErrors to named types and ProtocolErrors. Decides nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

from kinform._errors import ProtocolError, StatusCause, StatusError
from kinform._paths.prune_program import Program
from kinform_ext._scan import Batch, Scanner

T = TypeVar("T")

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
    """

    resource_version: str
    page: str = ""


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


class Cause(msgspec.Struct, frozen=True, gc=False):
    """A cause in the details of a Status."""

    reason: str | None = ""
    message: str | None = ""
    field: str | None = ""


class Details(msgspec.Struct, frozen=True, gc=False):
    """The details of a Status. Some servers send null for a text."""

    name: str | None = ""
    group: str | None = ""
    kind: str | None = ""
    uid: str | None = ""
    causes: list[Cause] | None = None
    retry_after_seconds: float | None = msgspec.field(name="retryAfterSeconds", default=None)


class Status(msgspec.Struct, frozen=True, gc=False):
    """A refusal by the server, in an ERROR event or an HTTP answer; texts of any size."""

    code: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0
    reason: str | None = ""
    message: str | None = ""
    details: Details | None = None

    def caused_by(self, reason: str) -> bool:
        """Returns whether a cause has this reason."""
        causes = self.details.causes if self.details else None
        return any(cause.reason == reason for cause in causes or ())

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait, or None."""
        return self.details.retry_after_seconds if self.details else None

    def error(
        self, kind: type[StatusError], resource: str, *, verb: str, retry_after: float | None = None
    ) -> StatusError:
        """Returns the error for the refusal of a request.

        Args:
            kind: The class of the error.
            resource: The requested resource, for the message.
            verb: The verb of the request.
            retry_after: Seconds in the Retry-After header, which take precedence over those of the Status.
        """
        details = self.details or Details()
        return kind(
            resource,
            self.code,
            self.reason or "",
            message=self.message or "",
            details={name: getattr(details, name) or "" for name in ("name", "group", "kind", "uid")},
            causes=(
                StatusCause(each.reason or "", each.message or "", each.field or "") for each in details.causes or ()
            ),
            verb=verb,
            retry_after=retry_after if retry_after is not None else self.retry_after,
        )


Frame = Batch | Bookmark | ListEnd | Skip | Status


class Frames:
    """Splits one response body into frames.

    Buffers at most one object, up to `max_object_bytes`, and the batches of one chunk.

    Args:
        body: The kind of the body.
        program: Selects the fields to keep.
        name: The name of the stream, for errors.
        max_object_bytes: Larger objects are skipped.
    """

    def __init__(
        self, body: Literal["list", "watch"], program: Program | None, *, name: str, max_object_bytes: int
    ) -> None:
        self._what = f"{body} {name}"
        self._scanner = Scanner(body, program, max_object_bytes=max_object_bytes)

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
        case ("LIST_END", int(), _, _, str(resource_version), str(page), _, _):
            return ListEnd(resource_version, page)
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


def _decode_object(raw: bytes, kind: type[T], problem: str) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError(problem) from None


def read_status(code: int, body: bytes) -> Status:
    """Returns the Status in an HTTP answer, with the code of the answer.

    Proxies and old servers send other bodies. Then only the code is known.
    """
    try:
        return msgspec.structs.replace(msgspec.json.decode(body, type=Status), code=code)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Status(code)
