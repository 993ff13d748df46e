"""The certificates of a TLS connection, and its errors in words.

Never shows the text of a certificate or of a key.

Source: Go's `crypto/tls` and client-go's `rest.TLSClientConfig`, for which certificates are accepted.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from typing import NoReturn

from kinform._errors import OptionError
from kinform._transport.access import ClusterAccess


def client_context(access: ClusterAccess) -> ssl.SSLContext:
    """Returns a TLS context that trusts and sends the certificates of `access`.

    Reads files.

    Raises:
        OptionError: A certificate or a key is missing or cannot be loaded.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options |= ssl.OP_NO_RENEGOTIATION  # a write then never waits for a read
    context.set_alpn_protocols(["http/1.1"])
    if access.verify:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as in Go: a trusted CA need not be a root
        _load_trusted(context, access)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load_certificate(context, access)
    return context


def _load_trusted(context: ssl.SSLContext, access: ClusterAccess) -> None:
    if access.ca_data is None and access.ca_file is None:
        context.load_default_certs()
        return
    name = access.ca_file if access.ca_data is None else "inline data"
    try:
        if access.ca_data is None:
            context.load_verify_locations(cafile=access.ca_file)
        else:
            context.load_verify_locations(cadata=access.ca_data)
    except (OSError, TypeError, ValueError) as error:  # TypeError: the data is not ASCII
        allowed = f"PEM certificates as certificate authority; {name} cannot be loaded ({_reason(error)})"
        raise OptionError("connect.target", access.server, allowed) from error


def _load_certificate(context: ssl.SSLContext, access: ClusterAccess) -> None:
    """Loads the client's certificate, if there is one."""
    certificate_name = "inline data" if access.certificate_data is not None else access.certificate_file
    key_name = "inline data" if access.key_data is not None else access.key_file
    if certificate_name is None and key_name is None:
        return
    if certificate_name is None:
        raise OptionError("connect.target", access.server, f"a client certificate for the key ({key_name})")
    try:
        with (
            _pem_path(access.certificate_data, access.certificate_file) as certificate,
            _pem_path(access.key_data, access.key_file) as key,
        ):
            assert certificate is not None
            context.load_cert_chain(certificate, key, password=_refuse_encrypted)
    except (OSError, ValueError) as error:
        names = certificate_name if key_name in (None, certificate_name) else f"{certificate_name} and {key_name}"
        allowed = f"a client certificate and its key as PEM; {names} cannot be loaded ({_reason(error)})"
        raise OptionError("connect.target", access.server, allowed) from error


@contextlib.contextmanager
def _pem_path(data: str | None, path: str | None) -> Iterator[str | None]:
    """Yields the path of a file with the data, or `path` if there is no data.

    OpenSSL loads a client certificate from files only. The file is readable by this user alone, and is removed
    at the end of the block.
    """
    if data is None:
        yield path
        return
    import tempfile  # 0.8 MiB, for the few users who have such a certificate

    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:  # mode 0600
        file.write(data)
        file.flush()
        yield file.name


def _refuse_encrypted() -> NoReturn:
    raise _EncryptedKeyError  # without this, OpenSSL asks for the password on the terminal


class _EncryptedKeyError(ValueError):
    """The private key is encrypted."""


def _reason(error: Exception) -> str:
    """Returns why loading failed, without the text of a file."""
    if isinstance(error, _EncryptedKeyError):
        return "the key is encrypted"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "not PEM"


# --- errors

_PLAIN_ANSWERS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
_REASONS = {
    **dict.fromkeys(_PLAIN_ANSWERS, "the server does not speak TLS on this port"),
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server requires a client certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server refused the handshake; it may require a client certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the server does not accept the client certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the server does not accept the client certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the client certificate has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the client certificate is revoked",
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not trust the CA of the client certificate",
    "TLSV1_ALERT_DECRYPT_ERROR": "the server does not accept the client certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "the server does not accept the client certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server does not speak TLS 1.2 or later",
    "UNSUPPORTED_PROTOCOL": "the server does not speak TLS 1.2 or later",
    "TLSV1_UNRECOGNIZED_NAME": "the server has no certificate for this name",
}


def describe_tls_error(error: ssl.SSLError) -> str:
    """Returns what went wrong in a TLS connection, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    reason = error.reason or "unknown reason"
    return _REASONS.get(reason) or f"TLS failed: {reason.replace('_', ' ').lower()}"
