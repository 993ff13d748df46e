"""The Status with which a server refuses a request, and the error that it becomes.

Source: "Response Status Kind" of the Kubernetes API conventions; the order of the checks is that of apimachinery's
`errors.Is...`, which look at the reason before the code.
"""

from __future__ import annotations

import re
import time
from typing import Annotated

import msgspec

from kinform._errors import (
    AlreadyExistsError,
    BadRequestError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    StatusCause,
    StatusError,
    UnauthorizedError,
)

STATUS_BYTES = 64 << 10
"""The bytes of a refusal that are read."""


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


class ListPosition(msgspec.Struct, frozen=True, gc=False):
    """The place where an expired list can continue, from the metadata of a Status."""

    page: str | None = msgspec.field(name="continue", default="")


class Status(msgspec.Struct, frozen=True, gc=False):
    """A refusal by the server, in an ERROR event or an HTTP answer; texts of any size."""

    code: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0
    reason: str | None = ""
    message: str | None = ""
    details: Details | None = None
    metadata: ListPosition | None = None

    def caused_by(self, reason: str) -> bool:
        """Returns whether a cause has this reason."""
        causes = self.details.causes if self.details else None
        return any(cause.reason == reason for cause in causes or ())

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait, or None."""
        return self.details.retry_after_seconds if self.details else None

    @property
    def kind(self) -> type[StatusError]:
        """The class of the error."""
        too_large = self.caused_by("ResourceVersionTooLarge") or "Too large resource version" in (self.message or "")
        if self.code == 410 or self.reason in ("Expired", "Gone") or too_large:
            return ExpiredError
        if self.code == 409:
            return AlreadyExistsError if self.reason == "AlreadyExists" else ConflictError
        return _KINDS.get(self.code, StatusError)

    def error(self, resource: str, *, verb: str, retry_after: float | None = None, hint: str = "") -> StatusError:
        """Returns the error for the refusal of a request.

        Args:
            resource: The requested resource, for the message.
            verb: The verb of the request.
            retry_after: Seconds in the Retry-After header, which take precedence over those of the Status.
            hint: The likely mistake, for the message; or `""`.
        """
        details = self.details or Details()
        error = self.kind(
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
            hint=hint,
        )
        if isinstance(error, ExpiredError) and self.metadata is not None:
            error.rest = self.metadata.page or ""
        return error


_KINDS: dict[int, type[StatusError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: BadRequestError,
    406: BadRequestError,
    415: BadRequestError,
    422: InvalidError,
}


def read_status(code: int, body: bytes) -> Status:
    """Returns the Status in an HTTP answer, with the code of the answer.

    Proxies and old servers send other bodies. Then only the code is known.
    """
    try:
        return msgspec.structs.replace(msgspec.json.decode(body, type=Status), code=code)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Status(code)


def read_retry_after(header: str | None) -> float | None:
    """Returns the seconds of a Retry-After header: a number or a date.

    Source: RFC 9110, 10.2.3.
    """
    if not header:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d*)?", header.strip()):
        return float(header)
    import email.utils  # 0.4 MiB with what it imports, for a form that the API server never sends

    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
