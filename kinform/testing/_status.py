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
    verb = {"replace": "update", "apply": "patch"}.get(verb, verb)
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


def already_exists(resource: ServedResource, name: str, *, terminating: bool) -> Refusal:
    """Returns 409 for a create."""
    before = "object is being deleted: " if terminating else ""
    message = f'{before}{resource.qualified} "{name}" already exists'
    return _refuse(409, "AlreadyExists", message, _about(resource, name))


def conflict(resource: ServedResource, name: str, why: str = "") -> Refusal:
    """Returns 409 for an outdated resourceVersion, or for another precondition."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return _refuse(409, "Conflict", message, _about(resource, name))


def apply_conflict(conflicts: list[tuple[str, str, str]]) -> Refusal:
    """Returns 409 for an apply.

    A conflict is a manager, the apiVersion of its update (`""` for an apply), and a field.
    """
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{manager}"' + (f" using {api_version}" if api_version else ""),
            "field": field,
        }
        for manager, api_version, field in conflicts
    ]
    number = f"{len(causes)} conflict{'s' if len(causes) > 1 else ''}"
    texts = [f"{cause['message']}: {cause['field']}" for cause in causes]
    message = f"Apply failed with {number}: {texts[0]}" if len(texts) == 1 else f"Apply failed with {number}: {texts}"
    return _refuse(409, "Conflict", message, {"causes": causes})


def invalid_object(resource: ServedResource, name: str, field: str, reason: str, message: str) -> Refusal:
    """Returns 422 for a field of an object."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = {"name": name, "group": resource.group, "kind": resource.kind}
    return _refuse(
        422,
        "Invalid",
        f'{kind} "{name}" is invalid: {field}: {message}',
        {
            **{key: value for key, value in details.items() if value},
            "causes": [{"reason": reason, "message": message, "field": field}],
        },
    )


def unprocessable() -> Refusal:
    """Returns 422 for a JSON Patch that cannot be applied."""
    return _refuse(422, "Invalid", "the server rejected our request due to an error in our request", {})


def merge_key_missing(key: str) -> Refusal:
    """Returns 500 for a strategic merge patch with a list element without its key."""
    return _refuse(500, "", f"map does not contain declared merge key: {key}")


def unsupported_media_type(accepted: str) -> Refusal:
    """Returns 415 for the Content-Type of a patch."""
    message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return _refuse(415, "UnsupportedMediaType", message)


def wrong_version_on_create() -> Refusal:
    """Returns 500 for a create with a resourceVersion."""
    return _refuse(500, "", "resourceVersion should not be set on objects to be created")


def invalid(*causes: tuple[str, str, str], kind: str = "ListOptions") -> Refusal:
    """Returns 422 for parameters. A cause is a field, a reason and a message."""
    errors = ", ".join(f"{field}: {message}" for field, _, message in causes)
    errors = errors if len(causes) == 1 else f"[{errors}]"
    details = {
        "group": "meta.k8s.io",
        "kind": kind,
        "causes": [{"reason": reason, "message": message, "field": field} for field, reason, message in causes],
    }
    return _refuse(422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {errors}', details)


def unreadable_version(message: str) -> Refusal:
    """Returns 500 without a reason, for a WATCH from an invalid resourceVersion."""
    return _refuse(500, "", f"resourceVersion: {message}")


def invalid_shards(message: str) -> Refusal:
    """Returns 500 without a reason, for an invalid shard selector."""
    return _refuse(500, "", f"invalid shard selector: {message}")


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
