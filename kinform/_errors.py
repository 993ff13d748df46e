"""Everything kinform raises, sorted by whose fault it is.

    KinformError
    ├── OptionError          (also ValueError) the caller's: what was passed in cannot mean anything
    ├── StatusError          the server's: it answered, and the answer was no
    │   ├── BadRequestError      400, 405, 406, 415, 422: asking again the same way is no use
    │   ├── UnauthorizedError    401: who are you
    │   ├── ForbiddenError       403: the rights are missing
    │   ├── NotFoundError        404: no such resource (a CRD may yet come)
    │   └── ExpiredError         410, or an RV that the server cannot serve: start over with a list
    ├── TransportError       the network's: refused, reset, cut
    │   └── StalledError         connected, and silent beyond the deadline
    ├── ProtocolError        the wire's: bytes that are no LIST or WATCH body
    ├── SkippedError         the wire's: one object was left out, the stream goes on
    ├── DecodeError          the data's: an object that cannot be decoded to the type asked for
    ├── SnapshotError        the disk's: a snapshot that cannot be written, or must not be read
    └── MemoryLimitError     the collection's: it takes more than it was allowed to

No message ever holds what an object holds, which may be a Secret: resource, key, path, status and byte
offset only.
"""

from __future__ import annotations

from typing import ClassVar


class KinformError(Exception):
    """The root of all errors of kinform."""


class OptionError(KinformError, ValueError):
    """An option that cannot mean anything, refused where it is constructed.

    Attributes:
        field: The option's name, as the caller wrote it (`Scope.namespaces`).
        value: What was passed.
        allowed: What would have been accepted, in words.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: {value!r} is not allowed; expected {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


class StatusError(KinformError):
    """The API server refused, by an HTTP status or by an ERROR event.

    Attributes:
        resource: What was asked for, `"v1/pods"`, with the namespace where there was one.
        status: The HTTP status, or the code of the ERROR event's Status.
        reason: Kubernetes' reason (`"Expired"`), or `""` where the answer was no Status.
        retry_after: Seconds the server asked to wait, or None.
    """

    text: ClassVar[str] = "the server answered"

    def __init__(
        self,
        resource: str,
        status: int,
        reason: str = "",
        *,
        verb: str = "list",
        retry_after: float | None = None,
    ) -> None:
        why = f" {reason}" if reason else ""
        super().__init__(f"{verb} {resource}: {self.text} {status}{why}")
        self.resource = resource
        self.status = status
        self.reason = reason
        self.verb = verb
        self.retry_after = retry_after


class BadRequestError(StatusError):
    """400, 405, 406, 415 or 422: the request itself is wrong, and repeating it cannot help."""


class UnauthorizedError(StatusError):
    """401: credentials are missing, wrong or out of date, also after they were read again."""


class ForbiddenError(StatusError):
    """403: the rights to list or watch this are missing."""


class NotFoundError(StatusError):
    """404: the server knows no such resource, at least for now."""


class ExpiredError(StatusError):
    """410, or a resourceVersion out of the server's reach: only a new list helps."""


class TransportError(KinformError):
    """The connection failed or broke; raised from the HTTP client's own error.

    Attributes:
        reached: Whether there was a connection; False where it could not even be made.
    """

    def __init__(self, message: str, *, reached: bool = True) -> None:
        super().__init__(message)
        self.reached = reached


class StalledError(TransportError):
    """The connection stands, but nothing came within the deadline."""


class ProtocolError(KinformError):
    """The body is neither LIST nor WATCH from here on.

    Attributes:
        offset: The byte of the body at which it went wrong, or None where that is not known.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class SkippedError(KinformError):
    """One object was left out: too large, too deep, or malformed. The stream goes on.

    Attributes:
        key: `"namespace/name"` or `"name"`, or None where it could not be read.
        why: `"oversized"`, `"malformed"`, `"too deep"` or `"unknown event type"`.
        offset: Where the object began in the body, in bytes.
        size: Its size on the wire, in bytes.
    """

    def __init__(self, resource: str, key: str | None, why: str, *, offset: int, size: int) -> None:
        name = key if key is not None else "an object whose key is unknown"
        super().__init__(f"{resource}: left out {name}: {why}, {size} bytes at byte {offset}")
        self.resource = resource
        self.key = key
        self.why = why
        self.offset = offset
        self.size = size


class DecodeError(KinformError):
    """An object that cannot be decoded to the type asked for. Its bytes stay readable through `raw`.

    Attributes:
        key: `"namespace/name"` or `"name"`.
        path: Where in the object it went wrong (`$.spec.replicas`), or `""` where that is not known.
    """

    def __init__(self, key: str, path: str = "") -> None:
        super().__init__(f"{key}: cannot be decoded" + (f" at {path}" if path else ""))
        self.key = key
        self.path = path


class SnapshotError(KinformError):
    """A snapshot that cannot be written, or is refused. Logged, never raised by an informer, which goes on without.

    Attributes:
        path: The file.
        why: What is wrong with it.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"snapshot {path}: {why}")
        self.path = path
        self.why = why


class MemoryLimitError(KinformError):
    """A collection takes more memory than its informer was given: it stops before the kernel stops the process.

    Attributes:
        objects: How many it holds.
        held_bytes: What they take.
        pruned_bytes: What their JSON would take.
        limit_bytes: What was allowed.
    """

    def __init__(self, resource: str, objects: int, held_bytes: int, pruned_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{resource}: {objects} objects take {held_bytes} bytes ({pruned_bytes} as pruned JSON), "
            f"more than memory_limit, {limit_bytes}"
        )
        self.resource = resource
        self.objects = objects
        self.held_bytes = held_bytes
        self.pruned_bytes = pruned_bytes
        self.limit_bytes = limit_bytes
