"""Sorts the errors of HTTP clients, without importing one.

Source: `client_exceptions.py` of aiohttp, `exceptions.py` of urllib3.
"""

from __future__ import annotations

_LOST = {
    "aiohttp.ClientConnectionError",
    "aiohttp.ClientPayloadError",
    "aiohttp.ClientResponseError",  # the headers cannot be parsed
    "builtins.ConnectionError",
    "urllib3.MaxRetryError",
    "urllib3.ProtocolError",
    "urllib3.NewConnectionError",
    "urllib3.ConnectTimeoutError",
}
_UNREACHED = {
    "aiohttp.ClientConnectorError",
    "aiohttp.ConnectionTimeoutError",
    "urllib3.NewConnectionError",
    "urllib3.ConnectTimeoutError",
}
_PERMANENT = {
    "aiohttp.ClientSSLError",
    "aiohttp.ServerFingerprintMismatch",
    "urllib3.SSLError",
    "urllib3.LocationValueError",
}


def is_lost(error: BaseException) -> bool:
    """Returns whether a connection was lost, or not made, for a reason that may pass."""
    names = _names(error)
    return bool(names & _LOST) and not names & _PERMANENT


def is_read_timeout(error: BaseException) -> bool:
    """Returns whether urllib3 waited too long for data."""
    return "urllib3.ReadTimeoutError" in _names(error)


def is_unreached(error: BaseException) -> bool:
    """Returns whether there was no connection to a server."""
    return bool(_names(error) & _UNREACHED)


def _names(error: BaseException) -> set[str]:
    """Returns `package.Class` for each class of an error, and of one that it wraps."""
    names = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(error).__mro__}
    reason = getattr(error, "reason", None) if "urllib3.MaxRetryError" in names else None
    return names | _names(reason) if isinstance(reason, BaseException) else names
