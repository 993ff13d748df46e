"""The values of the Authorization header: a token, a password, or a token file.

A token file is read for each request, because a rotation replaces it. Errors never show a token.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path


class CredentialError(OSError):
    """An exec plugin, an auth provider or a token file gave no credentials.

    The text contains no credentials.
    """


MAX_TOKEN_BYTES = 64 << 10  # as for all headers together
TOKEN = "a bearer token: printable ASCII without spaces"


def is_token(token: object) -> bool:
    """Returns whether this is a `TOKEN`, so that it cannot break a header."""
    return isinstance(token, str) and token.isascii() and token.isprintable() and token != "" and " " not in token


def bearer_token(token: str) -> Callable[[], str]:
    """Returns the authorization with a token that does not rotate."""
    return lambda: f"Bearer {token}"


def basic_password(username: str, password: str) -> Callable[[], str]:
    """Returns the authorization with a user name and a password (RFC 7617, in UTF-8)."""
    encoded = base64.b64encode(f"{username}:{password}".encode()).decode()
    return lambda: f"Basic {encoded}"


def token_file(path: str | Path) -> Callable[[], str]:
    """Returns the authorization with the token in a file, read for each request.

    It raises OSError if the file cannot be read, and CredentialError if it contains no token.
    """

    def read() -> str:
        with open(path, "rb", opener=_open_without_waiting) as file:
            found = file.read(MAX_TOKEN_BYTES + 1)
        token = found.decode("ascii", "replace").strip()
        if len(found) > MAX_TOKEN_BYTES or not is_token(token):
            raise CredentialError(f"{path} does not contain {TOKEN}")
        return f"Bearer {token}"

    return read


def _open_without_waiting(path: str, flags: int) -> int:
    """Opens a file. A FIFO would otherwise block the event loop."""
    return os.open(path, flags | os.O_NONBLOCK)
