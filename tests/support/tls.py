"""The TLS certificates of the tests, valid until 2120.

Created for these tests and used nowhere else. `ca.pem` signed `server.pem`, for 127.0.0.1, and the client
certificates `first.pem` and `second.pem`.
"""

from __future__ import annotations

import ssl
from pathlib import Path

CERTIFICATES = Path(__file__).parent / "certificates"


def server_context() -> ssl.SSLContext:
    """Returns the TLS context of a server at 127.0.0.1, with `server.pem`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=CERTIFICATES / "ca.pem")
    context.load_cert_chain(CERTIFICATES / "server.pem")
    return context
