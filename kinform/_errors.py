"""Exceptions of kinform, grouped by the part that is at fault.

    KinformError
    ├── OptionError          caller: an argument is not valid (also a ValueError)
    ├── StatusError          server: it answered with an error status
    │   ├── BadRequestError      400, 405, 406, 415: the request is wrong, a retry cannot succeed
    │   │   └── InvalidError         422: the object or a parameter has a value that is not allowed
    │   ├── UnauthorizedError    401: the credentials are not accepted
    │   ├── ForbiddenError       403: permissions are missing
    │   ├── NotFoundError        404: no such object, or no such resource; a CRD may be installed later
    │   ├── AlreadyExistsError   409: an object with this name exists
    │   ├── ConflictError        409: the object has another version, uid or owner than expected
    │   └── ExpiredError         410, or a resourceVersion the server cannot serve: a new list is needed
    ├── TransportError       network: a connection is refused, reset or cut
    │   └── StalledError         the requested data does not arrive before the deadline
    ├── ProtocolError        response: the body is not a LIST, a WATCH or an object
    ├── SkippedError         response: one object is skipped, the stream continues
    ├── DecodeError          data: an object does not decode to the requested type
    ├── SnapshotError        disk: a snapshot cannot be written, or must not be loaded
    ├── MemoryLimitError     collection: its store takes more memory than `memory_limit`
    ├── EndedError           threads: the `with` block of an object of kinform.sync has ended
    ├── LeadershipLost       election: another process may lead
    └── QueueShutDown        controller: its work queue was shut down, and no key is ready

The word before the colon says where the cause is; below StatusError, it is the HTTP status. Messages name resource,
key, path, status and byte offset, and quote what a server says about a refusal. They never show object contents, which
may be a Secret.
"""

from __future__ import annotations

import copyreg
import os
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

import msgspec

from kinform._plurals import is_built_in, is_cluster_scoped, suggest_built_in, suggest_plural
from kinform._printable import listed, printable, without_documents

# Characters of the texts of a server that an error keeps. The length of a name is limited by Kubernetes.
MAX_REASON = 100
MAX_MESSAGE = 1000
MAX_NAME = 253
MAX_CAUSES = 10

_PLAIN = (str, int, float, os.PathLike, type(None))  # values that an error shows


class KinformError(Exception):
    """Base class of all kinform exceptions.

    Every one can be copied and pickled, with all its attributes. So it also passes from a worker process to its parent.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception would call the class with the message alone.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class OptionError(KinformError, ValueError):
    """An argument is not valid. Options are checked when they are constructed.

    The text shows the value. If the value is a dict, bytes or another object, which may be a Secret, the text shows
    only its type.

    Attributes:
        field: Name of the option, for example `"Scope.namespaces"`.
        value: The value that was passed. In a copy: its text, if it cannot be pickled.
        allowed: The accepted values, in words.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: {_shown(value)} is not allowed; expected {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed

    def __reduce__(self) -> tuple[Any, ...]:
        import pickle  # most programs never need it

        make, arguments, attributes = super().__reduce__()
        try:
            pickle.dumps(self.value)
        except Exception:  # such as that of a lambda
            attributes = attributes | {"value": _shown(self.value)}
        return make, arguments, attributes


def _shown(value: object) -> str:
    """Returns the text of a value; the type alone of what may be a Secret."""
    if isinstance(value, list | tuple | AbstractSet):
        is_plain = all(isinstance(each, _PLAIN) for each in value)
    else:
        is_plain = isinstance(value, _PLAIN) or callable(value) or type(value).__module__.partition(".")[0] == "kinform"
    return repr(value) if is_plain else f"<{type(value).__name__}>"


class StatusCause(msgspec.Struct, frozen=True, gc=False):
    """A cause that the server gives for its answer.

    Attributes:
        reason: The reason, such as `"FieldValueInvalid"`; or `""`.
        message: The explanation for people, or `""`.
        field: The path of the field that caused it, or `""`.
    """

    reason: str = ""
    message: str = ""
    field: str = ""


class StatusError(KinformError):
    """The API server answered with an HTTP error status, or sent an ERROR watch event.

    `reason`, `message`, `details` and `causes` are the words of the server. They are empty if the answer is not a
    Kubernetes Status, such as the answer of a proxy. Control characters in them are escaped, long texts are cut, and
    at most ten causes are kept. `{...}` stands for text in braces, which may be an object.

    Attributes:
        resource: The requested resource, with its namespace and its selectors if it has them:
            `"v1/pods in shop (labels app=web)"`. For one object: `"v1/pods shop/web-0"`.
        status: The HTTP status, or the code in the ERROR event.
        reason: The Kubernetes reason, such as `"Expired"`.
        message: The explanation for people. It names users, permissions and fields.
        details: The object or resource that the answer is about: any of `"name"`, `"group"`, `"kind"` and `"uid"`.
        causes: The causes.
        verb: The verb of the request: `"list"`, `"watch"`, `"get"`, `"create"`, `"apply"`, `"patch"`, `"replace"` or
            `"delete"`.
        retry_after: Seconds to wait, as requested by the server, or None.
    """

    def __init__(
        self,
        resource: str,
        status: int,
        reason: str = "",
        *,
        message: str = "",
        details: Mapping[str, str] = {},
        causes: Iterable[StatusCause] = (),
        verb: str = "list",
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        self.resource = resource
        self.status = status
        self.reason = printable(reason, MAX_REASON)
        self.message = printable(without_documents(message), MAX_MESSAGE)
        self.details = {
            name: printable(details[name], MAX_NAME) for name in ("name", "group", "kind", "uid") if details.get(name)
        }
        self.causes = tuple(
            StatusCause(
                printable(cause.reason, MAX_REASON),
                printable(without_documents(cause.message), MAX_MESSAGE),
                printable(cause.field, MAX_NAME),
            )
            for cause in islice(causes, MAX_CAUSES)
        )
        why = f" {self.reason}" if self.reason else ""
        if self.message and self.message != self.reason:
            why += f": {self.message}"
        super().__init__(f"{verb} {resource}: the server answered {status}{why}" + (f"; {hint}" if hint else ""))
        self.verb = verb
        self.retry_after = retry_after


class BadRequestError(StatusError):
    """400, 405, 406 or 415: the request is wrong, and a retry cannot succeed."""


class InvalidError(BadRequestError):
    """422: the object, the patch or a parameter has a value that is not allowed.

    `causes` names the fields.
    """


class UnauthorizedError(StatusError):
    """401: the credentials are missing, wrong or expired.

    After the first 401 kinform reads the credentials again and retries at once.
    """


class ForbiddenError(StatusError):
    """403: a permission is missing, or a quota or a policy forbids the write."""


class NotFoundError(StatusError):
    """404: the object does not exist, or the server does not know the resource.

    If the object does not exist, `details` has its name. A CRD may be installed later. If the server does not know the
    resource, the message has the likely reason.
    """

    def __str__(self) -> str:
        hint = "" if self.details.get("name") else self._likely_reason()
        return super().__str__() + (f"; {hint}" if hint else "")

    def _likely_reason(self) -> str:
        resource, _, where = self.resource.partition(" ")
        path, _, word = resource.rpartition("/")
        plural = suggest_plural(path.rpartition("/")[0], word)
        if plural not in ("", word):
            is_custom = not suggest_built_in(f"{plural}.{path.rpartition('/')[0]}")
            crd = "the server may not have its CRD, or this group and version; " if is_custom else ""
            return f"{crd}did you mean {path}/{plural}?"
        if is_cluster_scoped(resource) and (where.startswith("in ") or "/" in where):
            return f"{word} have no namespace: leave it out"
        if is_built_in(resource):
            return ""
        if "." in path:  # the group of a custom resource has a dot
            return "is its CRD installed, and does the server have this group and version?"
        meant = suggest_built_in(word)
        return f"did you mean {meant}?" if meant else ""


class AlreadyExistsError(StatusError):
    """409: an object with this name exists, or still exists while it is being deleted."""


class ConflictError(StatusError):
    """409: the object is not in the expected state.

    Its resourceVersion or uid is another one, so read it again before the next attempt. For `apply`: other managers own
    some fields, which `causes` lists.
    """


class ExpiredError(StatusError):
    """410, or a resourceVersion the server cannot serve: a new list is needed.

    Attributes:
        rest: The `continue` token for the rest of the list in its newest state; `""` if the server sent none.
    """

    rest = ""


class TransportError(KinformError):
    """The connection failed.

    `__cause__` is the error of the HTTP client, if there was one.

    Attributes:
        reached: False if the server got nothing of the request; True if it may have got it.
    """

    def __init__(self, message: str, *, reached: bool = True) -> None:
        super().__init__(message)
        self.reached = reached


class StalledError(TransportError):
    """The requested data did not arrive before the deadline."""


class ProtocolError(KinformError):
    """The response body is not valid.

    Attributes:
        offset: Offset of the first invalid byte in the body, or None if unknown.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class SkippedError(KinformError):
    """An object is skipped, for the reason in `why`.

    The stream continues with the next object. `synced` and `wait_for` raise it with all `keys` if these objects could
    not be fetched before the timeout.

    Attributes:
        resource: The resource, with its namespace and its selectors if it has them: see `StatusError`.
        key: `"namespace/name"` or `"name"`; None if the key cannot be read. The first of several keys.
        keys: All keys. Instead of keys that cannot be read, it has one `"(unknown keys)"`.
        why: `"oversized"`, `"malformed"`, `"too deep"` (nested too deeply) or `"unknown event type"`. From `synced` and
            `wait_for`: the time that passed.
        offset: Offset of the object in the response body, in bytes; None from `synced` and `wait_for`.
        size: Size of the object on the wire, in bytes; None from `synced` and `wait_for`.
    """

    def __init__(
        self,
        resource: str,
        key: str | None,
        why: str,
        *,
        offset: int | None = None,
        size: int | None = None,
        keys: Sequence[str] = (),
    ) -> None:
        name = "an object with an unreadable key"
        if len(keys) > 1:
            name = listed(keys)
        elif key is not None:
            name = printable(key)
        where = "" if offset is None else f", {size} bytes at byte {offset}"
        super().__init__(f"{resource}: skipped {name}: {why}{where}")
        self.resource = resource
        self.key = key
        self.keys = tuple(keys) or (() if key is None else (key,))
        self.why = why
        self.offset = offset
        self.size = size


class DecodeError(KinformError):
    """An object does not decode to the requested type. `raw` still returns its bytes.

    Attributes:
        key: `"namespace/name"` or `"name"`.
        path: Path of the field of the type that does not fit, `$.spec.replicas`; `""` if unknown. Keys of a dict are
            contents of the object: the path has `[...]` instead.
        why: `"missing"`, `"expected int, got str"`, `"unknown field"`, or `""` for other reasons.
    """

    def __init__(self, key: str, path: str = "", why: str = "") -> None:
        what = f"{printable(key)}: cannot be decoded"
        super().__init__(what + (f" at {path}" if path else "") + (f": {why}" if why else ""))
        self.key = key
        self.path = path
        self.why = why


class SnapshotError(KinformError):
    """A snapshot cannot be written, or must not be loaded.

    An informer raises it at its start if the folder does not exist, if kinform must not replace the file, or if another
    informer uses the path. All other errors are logged, and the informer continues without the snapshot.

    Attributes:
        path: Path of the file.
        why: The reason.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"snapshot {path}: {why}")
        self.path = path
        self.why = why


class MemoryLimitError(KinformError):
    """The store takes more memory than `memory_limit`.

    kinform compares `stats().memory.held_bytes` with the limit. If a stream exceeds it, the informer fails, and
    does not start again within its block.

    Attributes:
        resource: The resource, with its namespaces and its selectors if it has them: see `StatusError`.
        objects: Number of objects in the store, including those of an unfinished list.
        held_bytes: Bytes that the store takes: `stats().memory.held_bytes`.
        pruned_bytes: Bytes of the objects as pruned JSON.
        limit_bytes: The limit, in bytes.
    """

    def __init__(self, resource: str, objects: int, held_bytes: int, pruned_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{resource}: the memory.held_bytes of {objects} objects is {held_bytes}, "
            f"more than the memory_limit of {limit_bytes} bytes; their pruned JSON has {pruned_bytes} bytes"
        )
        self.resource = resource
        self.objects = objects
        self.held_bytes = held_bytes
        self.pruned_bytes = pruned_bytes
        self.limit_bytes = limit_bytes


class EndedError(KinformError):
    """The `with` block of an object has ended, before or during a call from a thread.

    Exported by `kinform.sync`.
    """


class LeadershipLost(KinformError):
    """The leadership was lost, and the body of the `leading()` block was cancelled.

    Exported by `kinform.controllers`. `__cause__` is the last error of a renewal, if there was one.

    Attributes:
        name: The key of the Lease: `"namespace/name"`.
        why: The reason: the Lease was not renewed in time, or another candidate holds it.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"leadership of {name} lost: {why}")
        self.name = name
        self.why = why


class QueueShutDown(KinformError):
    """A work queue was shut down, and no key is ready. It ends the loop of a worker."""


def release_frames(error: BaseException | None) -> None:
    """Removes the tracebacks of an error that is kept, and those of its causes.

    The frames of a traceback hold all their local variables: connections, bodies, and the error that was kept before.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


# Tracebacks and logs name errors as programs import them. They can be pickled by these names.
for _found in list(vars().values()):
    if isinstance(_found, type) and issubclass(_found, KinformError):
        _found.__module__ = "kinform"
EndedError.__module__ = "kinform.sync"
LeadershipLost.__module__ = QueueShutDown.__module__ = "kinform.controllers"
