"""What a body says, piece by piece: batches of objects, and the control frames between them.

The one place where the scanner's plain tuples and ValueErrors become names and ProtocolErrors. Knows nothing
of what to do about any of them.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from kinform._errors import ProtocolError
from kinform._options import Resource
from kinform._paths.prune_program import Program
from kinform_ext._scan import Batch, Scanner

T = TypeVar("T")

END_OF_INITIAL_EVENTS = "k8s.io/initial-events-end"  # KEP-3157


class Bookmark(msgspec.Struct, frozen=True, gc=False):
    """The stream has reached this resourceVersion."""

    resource_version: str
    initial_events_end: bool = False


class ListEnd(msgspec.Struct, frozen=True, gc=False):
    """One page of a LIST is complete; `page` is the token of the next, or `""`."""

    resource_version: str
    page: str = ""


class Skip(msgspec.Struct, frozen=True, gc=False):
    """An object that was left out. `key` is None where it could not be read."""

    verb: str
    key: str | None
    resource_version: str
    reason: str
    offset: int
    size: int


class Cause(msgspec.Struct, frozen=True, gc=False):
    """One of the causes in a Status."""

    reason: str = ""
    field: str = ""


class Details(msgspec.Struct, frozen=True, gc=False):
    """The details of a Status, as far as an informer acts on them."""

    causes: list[Cause] | None = None
    retry_after_seconds: float | None = msgspec.field(name="retryAfterSeconds", default=None)


class Status(msgspec.Struct, frozen=True, gc=False):
    """The server's refusal, from an ERROR event or an HTTP answer."""

    code: int = 0
    reason: str = ""
    message: str = ""
    details: Details | None = None

    def caused_by(self, reason: str) -> bool:
        """Whether one of the causes bears this reason."""
        causes = self.details.causes if self.details else None
        return any(cause.reason == reason for cause in causes or ())

    @property
    def retry_after(self) -> float | None:
        """Seconds the server asks to wait."""
        return self.details.retry_after_seconds if self.details else None


Frame = Batch | Bookmark | ListEnd | Skip | Status


class Frames:
    """Cuts one response body into frames.

    Holds at most the object in hand, bounded by `max_object_bytes`, and one batch a chunk.
    """

    def __init__(
        self,
        body: Literal["list", "watch"],
        resource: Resource,
        program: Program | None,
        *,
        max_object_bytes: int,
        kind: str = "",
    ) -> None:
        self._scanner = Scanner(
            body,
            program,
            max_object_bytes=max_object_bytes,
            kind=kind,
            api_version=resource.api_version if kind else "",
        )

    def feed(self, chunk: bytes) -> list[Frame]:
        """Takes the next bytes; returns what is complete, in order.

        Raises:
            ProtocolError: The body is no LIST or no WATCH; nothing of it can be trusted from here on.
        """
        try:
            return [item if isinstance(item, Batch) else _control(item) for item in self._scanner.feed(chunk)]
        except ValueError as error:
            raise ProtocolError(str(error), self._scanner.offset) from error

    def finish(self) -> None:
        """The body has ended.

        Raises:
            ProtocolError: It ended in the middle.
        """
        try:
            self._scanner.finish()
        except ValueError as error:
            raise ProtocolError(str(error), self._scanner.offset) from error


class _BookmarkMetadata(msgspec.Struct, gc=False):
    resourceVersion: str = ""
    annotations: dict[str, str] | None = None


class _BookmarkObject(msgspec.Struct, gc=False):
    metadata: _BookmarkMetadata


def _control(item: tuple[object, ...]) -> Frame:
    match item:
        case ("BOOKMARK", int(), bytes(raw)):
            metadata = _decode(raw, _BookmarkObject).metadata
            end = (metadata.annotations or {}).get(END_OF_INITIAL_EVENTS) == "true"
            return Bookmark(metadata.resourceVersion, end)
        case ("ERROR", int(), bytes(raw)):
            return _decode(raw, Status)
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
            # A name without its namespace is no key: None is a namespace that could not be read, "" that there is none.
            unknown = name is None or namespace is None
            key = None if unknown else f"{namespace}/{name}" if namespace else str(name)
            return Skip(verb, key, resource_version, reason, offset, size)
    raise AssertionError(item[0])


def _decode(raw: bytes, type: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError(f"a control frame that is no {type.__name__.strip('_')}") from None


def read_status(code: int, body: bytes) -> Status:
    """The Status in an HTTP answer. Proxies and old servers answer in other ways: then only the code is known."""
    try:
        return msgspec.structs.replace(msgspec.json.decode(body, type=Status), code=code)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Status(code)
