"""Makes the client's error for a response whose status is not 2xx.

Some clients do not look at the status of a response that they do not read. Programs expect their `ApiException`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kinform._models.client import Client

MAX_BODY = 1 << 16  # bytes of such a response that are read


def is_refusal(response: Any) -> bool:
    """Returns whether the status of a response is not 2xx."""
    status = getattr(response, "status", None)
    return isinstance(status, int) and not 200 <= status <= 299


def refusal_of(response: Any, body: bytes, client: Client) -> Exception:
    """Returns the ApiException with the status, headers and body of a response."""
    text = body.decode("utf8", "replace")
    cls = client.api_exception
    if hasattr(cls, "from_response"):  # raises the subclass for this status
        known = SimpleNamespace(status=response.status, reason=response.reason, headers=response.headers, data=body)
        try:
            cls.from_response(http_resp=known, body=text, data=None)
        except cls as raised:
            return raised  # type: ignore[no-any-return]
    error: Any = cls(status=response.status, reason=response.reason)
    error.body, error.headers = text, response.headers
    return error  # type: ignore[no-any-return]
