"""Answers that refuse a request: Status objects of Kubernetes, and plain texts.

Source: "Response Status Kind" of the API conventions, and the answers of kube-apiserver 1.36.
"""

from __future__ import annotations

from typing import Any

from kinform.testing._encoding import dumps
from kinform.testing._resources import ServedResource

StatusBody = dict[str, Any]


class Refusal(Exception):
    """An answer that refuses a request. Handlers raise it, and the server sends it.

    Attributes:
        code: The HTTP status.
        status: The Status object, or None if the body is plain text.
        text: The plain text.
        headers: Additional headers (`Retry-After`).
    """

    def __init__(
        self, code: int, *, status: StatusBody | None = None, text: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.text = text
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    @property
    def content_type(self) -> str:
        """The media type of the body."""
        return "text/plain" if self.status is None else "application/json"

    def body(self) -> bytes:
        """Returns the body of an HTTP answer."""
        return f"{self.text}\n".encode() if self.status is None else dumps(self.status) + b"\n"

    def as_status(self) -> StatusBody:
        """Returns the Status for an ERROR event; for a plain text a new one."""
        if self.status is not None:
            return self.status
        return make_status(self.code, "InternalError", self.text)


def make_status(
    code: int, reason: str, message: str, *, details: dict[str, Any] | None = None, continue_: str = ""
) -> StatusBody:
    """Returns a Status of failure with the key order of kube-apiserver."""
    status: StatusBody = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {"continue": continue_} if continue_ else {},
        "status": "Failure",
        "message": message,
    }
    if reason:
        status["reason"] = reason
    if details is not None:
        status["details"] = details
    status["code"] = code
    return status


def _refuse(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> Refusal:
    return Refusal(code, status=make_status(code, reason, message, details=details))


def bad_request(message: str) -> Refusal:
    """Returns 400 Bad Request."""
    return _refuse(400, "BadRequest", message)


def unauthorized() -> Refusal:
    """Returns 401 Unauthorized."""
    return _refuse(401, "Unauthorized", "Unauthorized")


def forbidden(
    verb: str, resource: ServedResource | None, namespace: str | None, user: str = "system:anonymous"
) -> Refusal:
    """Returns 403 Forbidden with the message of the RBAC authorizer."""
    if resource is None:
        return _refuse(403, "Forbidden", f'forbidden: User "{user}" cannot {verb} this path', {})
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = (
        f'{resource.qualified} is forbidden: User "{user}" cannot {verb} resource "{resource.plural}" '
        f'in API group "{resource.group}" {where}'
    )
    return _refuse(403, "Forbidden", message, _about(resource))


def _about(resource: ServedResource, name: str = "") -> dict[str, Any]:
    about = {"name": name, "group": resource.group, "kind": resource.plural}
    return {field: value for field, value in about.items() if value}


def no_such_resource() -> Refusal:
    """Returns 404 for an unknown resource of a known group."""
    return _refuse(404, "NotFound", "the server could not find the requested resource", {})


def no_such_path() -> Refusal:
    """Returns 404 for any other path, as plain text."""
    return Refusal(404, text="404 page not found")


def no_such_object(resource: ServedResource, name: str) -> Refusal:
    """Returns 404 for an object."""
    return _refuse(404, "NotFound", f'{resource.qualified} "{name}" not found', _about(resource, name))


def method_not_allowed() -> Refusal:
    """Returns 405 Method Not Allowed."""
    return _refuse(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def not_acceptable() -> Refusal:
    """Returns 406: the server supports none of the requested media types."""
    return _refuse(406, "NotAcceptable", "only the following media types are accepted: application/json")


def already_exists(resource: ServedResource, name: str) -> Refusal:
    """Returns 409 for a create."""
    return _refuse(409, "AlreadyExists", f'{resource.qualified} "{name}" already exists', _about(resource, name))


def conflict(resource: ServedResource, name: str) -> Refusal:
    """Returns 409 for a replace with an outdated resourceVersion."""
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": the object has been modified'
    return _refuse(409, "Conflict", message, _about(resource, name))


def invalid(*causes: tuple[str, str, str]) -> Refusal:
    """Returns 422 for parameters. A cause is a field, a reason and a message."""
    errors = ", ".join(f"{field}: {message}" for field, _, message in causes)
    errors = errors if len(causes) == 1 else f"[{errors}]"
    details = {
        "group": "meta.k8s.io",
        "kind": "ListOptions",
        "causes": [{"reason": reason, "message": message, "field": field} for field, reason, message in causes],
    }
    return _refuse(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {errors}', details)


def unreadable_version(message: str) -> Refusal:
    """Returns 500 without a reason, for a WATCH from an invalid resourceVersion."""
    return _refuse(500, "", f"resourceVersion: {message}")


def expired(message: str, continue_: str = "") -> Refusal:
    """Returns 410, for a page with a token for the inconsistent rest."""
    return Refusal(410, status=make_status(410, "Expired", message, continue_=continue_))


def too_many_requests(retry_after: int | None, *, plain: bool) -> Refusal:
    """Returns 429: plain text, as priority and fairness answers, or a Status."""
    message = "Too many requests, please try again later."
    if plain:
        return Refusal(429, text=message, retry_after=retry_after)
    return Refusal(429, status=_retryable(429, "TooManyRequests", message, retry_after), retry_after=retry_after)


def internal_error(message: str) -> Refusal:
    """Returns 500 Internal Server Error."""
    return _refuse(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


def unavailable(retry_after: int | None, *, plain: bool) -> Refusal:
    """Returns 503 Service Unavailable."""
    message = "the server is currently unable to handle the request"
    if plain:
        return Refusal(503, text=message, retry_after=retry_after)
    return Refusal(503, status=_retryable(503, "ServiceUnavailable", message, retry_after), retry_after=retry_after)


def too_large(requested: int, current: int) -> Refusal:
    """Returns 504 for a resourceVersion that this server has not reached."""
    message = f"Timeout: Too large resource version: {requested}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    status = make_status(504, "Timeout", message, details={"causes": causes, "retryAfterSeconds": 1})
    return Refusal(504, status=status, retry_after=1)


def deleted(resource: ServedResource, name: str, uid: str) -> StatusBody:
    """Returns the Status of success for a DELETE."""
    details = {**_about(resource, name), "uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _retryable(code: int, reason: str, message: str, retry_after: int | None) -> StatusBody:
    details = None if retry_after is None else {"retryAfterSeconds": retry_after}
    return make_status(code, reason, message, details=details)
