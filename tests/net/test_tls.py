"""TLS: the certificates of both sides, and errors in words."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kinform._errors import OptionError, TransportError
from kinform._transport.access import ClusterAccess
from kinform._transport.base import Request
from kinform._transport.http_client import HttpClient
from kinform._transport.tls import client_context
from tests.net.http1_peer import Peer
from tests.net.tls_peer import TlsPeer
from tests.support.loops import on_each_loop
from tests.support.scripted_server import ScriptedServer, scripted_server
from tests.support.tls import CERTIFICATES, server_context
from tests.support.transports import call

PODS = Request(path="/api/v1/pods", params=())
CA = str(CERTIFICATES / "ca.pem")
OTHER_CA = str(CERTIFICATES / "other-ca.pem")
FIRST = str(CERTIFICATES / "first.pem")
SECRET = "hunter2"


def split_pem(path: str) -> tuple[str, str]:
    """Returns certificate and key of a PEM file with both."""
    text = Path(path).read_text()
    start = text.index("-----BEGIN PRIVATE KEY")
    return (text[:start], text[start:]) if start else (text[text.index("-----BEGIN CERT") :], text)


def access(url: str = "https://api.example", **options: Any) -> ClusterAccess:
    return ClusterAccess(server=url, **({"ca_file": CA} | options))


async def status_of(access: ClusterAccess) -> int:
    """Sends one request and returns the status of the response."""
    client = HttpClient(access)
    try:
        return (await call(client, "GET", "/api/v1/pods")).status
    finally:
        client.close()


# --- servers


@asynccontextmanager
async def one_connection() -> AsyncIterator[tuple[str, Callable[[], Awaitable[Peer]]]]:
    """Listens for one connection; yields the URL, and a function that accepts."""
    peers: list[Peer] = []

    async def accept() -> Peer:
        peers.append(Peer((await asyncio.get_running_loop().sock_accept(listener))[0]))
        return peers[-1]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", accept
    for peer in peers:
        peer.close()


@asynccontextmanager
async def tls_server(name: str = "server", **options: Any) -> AsyncIterator[ScriptedServer]:
    """Runs a server; the options are attributes of its TLS context."""
    context = server_context()
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")
    for option, value in options.items():
        setattr(context, option, value)
    async with scripted_server(tls=context) as server:
        yield server


# --- contexts


def test_a_context_verifies_and_speaks_http_1() -> None:
    context = client_context(access())
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_the_system_is_trusted_without_a_ca(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", OTHER_CA)
    context = client_context(access(ca_file=None))
    assert [dict(field[0] for field in ca["subject"]) for ca in context.get_ca_certs()] == [
        {"commonName": "kinform tests, another CA"}
    ]


def test_ca_data_has_precedence_over_a_file() -> None:
    context = client_context(access(ca_file=OTHER_CA, ca_data=Path(CA).read_text()))
    assert [ca["subject"] for ca in context.get_ca_certs()] == [((("commonName", "kinform tests"),),)]


def test_without_verification_a_ca_is_not_read() -> None:
    context = client_context(access(verify=False, ca_file="no such file"))
    assert context.verify_mode == ssl.CERT_NONE
    assert not context.check_hostname


@pytest.mark.parametrize("valid", [True, False])
def test_inline_data_is_in_a_private_file_while_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, valid: bool
) -> None:
    modes: list[int] = []
    load = ssl.SSLContext.load_cert_chain

    def recording(context: ssl.SSLContext, *paths: str, password: Any) -> None:
        modes.extend(stat.S_IMODE(os.stat(path).st_mode) for path in paths)
        load(context, *paths, password=password)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", recording)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    certificate, key = split_pem(FIRST)
    options = access(certificate_data=certificate, key_data=key if valid else SECRET)
    if valid:
        client_context(options)
    else:
        with pytest.raises(OptionError):
            client_context(options)
    assert modes == [0o600, 0o600]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "names", [("file", "file"), ("data", "data"), ("file", "data"), ("data", "file"), ("file", None)]
)
def test_certificate_and_key_are_files_or_data(tmp_path: Path, names: tuple[str, str | None]) -> None:
    certificate, key = split_pem(FIRST)
    (tmp_path / "key.pem").write_text(key)
    options: dict[str, Any] = {"certificate_file": FIRST} if names[0] == "file" else {"certificate_data": certificate}
    if names[1] is not None:
        options |= {"key_file": str(tmp_path / "key.pem")} if names[1] == "file" else {"key_data": key}
    client_context(access(**options))


BAD_CONTEXTS = {
    "CA file that is missing": ({"ca_file": "/no/ca.pem"}, r"/no/ca\.pem .*No such file"),
    "CA file that is a directory": ({"ca_file": "/"}, "/ cannot be loaded"),
    "CA data that is empty": ({"ca_data": ""}, "inline data cannot be loaded"),
    "CA data without PEM": ({"ca_data": SECRET}, "inline data cannot be loaded"),
    "CA data that is not ASCII": ({"ca_data": f"{SECRET} é"}, "inline data cannot be loaded"),
    "certificate that is missing": ({"certificate_file": "/no.pem", "key_data": SECRET}, r"/no\.pem .*No such file"),
    "certificate without a key": ({"certificate_data": split_pem(FIRST)[0]}, "certificate and its key"),
    "key without a certificate": ({"key_data": SECRET}, "a client certificate for the key"),
    "certificate without PEM": ({"certificate_data": SECRET, "key_data": SECRET}, "inline data cannot be loaded"),
    "certificate that is not ASCII": ({"certificate_data": f"{SECRET} é\udc80", "key_data": "x"}, "cannot be loaded"),
    "key of another certificate": (
        {"certificate_file": FIRST, "key_file": str(CERTIFICATES / "second.pem")},
        "key values mismatch",
    ),
}


@pytest.mark.parametrize(("options", "message"), BAD_CONTEXTS.values(), ids=BAD_CONTEXTS)
def test_certificates_that_cannot_be_loaded_are_a_clear_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        client_context(access(**options))
    assert caught.value.field == "connect.target"
    assert SECRET not in str(caught.value)


def test_an_encrypted_key_is_refused_without_a_prompt(tmp_path: Path) -> None:
    encrypted = tmp_path / "encrypted.pem"
    command = ["openssl", "pkcs8", "-topk8", "-passout", f"pass:{SECRET}", "-in", FIRST, "-out", str(encrypted)]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(OptionError, match="the key is encrypted"):
        client_context(access(certificate_file=FIRST, key_file=str(encrypted)))


def test_inline_data_needs_a_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/directory")
    certificate, key = split_pem(FIRST)
    with pytest.raises(OptionError, match="No such file or directory"):
        client_context(access(certificate_data=certificate, key_data=key))


# --- the certificate of the server


REFUSED = {
    "unknown CA": ("server", {"ca_file": OTHER_CA}, "self-signed certificate in certificate chain"),
    "wrong name": ("named", {"ca_file": OTHER_CA}, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    "wrong server name": (
        "server",
        {"tls_server_name": "api.example"},
        "Hostname mismatch, certificate is not valid for 'api.example'",
    ),
    "expired": ("expired", {"ca_file": OTHER_CA}, "certificate has expired"),
}


@pytest.mark.parametrize(("name", "options", "message"), REFUSED.values(), ids=REFUSED)
@on_each_loop
async def test_a_certificate_that_is_not_valid_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    async with tls_server(name) as server:
        with pytest.raises(TransportError, match=f"certificate verify failed: {message}") as caught:
            await status_of(access(server.url, **options))
        assert not caught.value.reached
    assert not server.requests


@on_each_loop
async def test_tls_server_name_replaces_the_host_of_the_url() -> None:
    async with tls_server("named") as server:
        assert await status_of(access(server.url, ca_file=OTHER_CA, tls_server_name="api.internal")) == 200


@on_each_loop
async def test_without_verification_any_certificate_is_accepted() -> None:
    async with tls_server("expired") as server:
        assert await status_of(access(server.url, verify=False, ca_file=None)) == 200


@on_each_loop
async def test_a_trusted_certificate_need_not_be_a_root() -> None:
    async with tls_server() as server:
        assert await status_of(access(server.url, ca_file=str(CERTIFICATES / "server.pem"))) == 200


@on_each_loop
async def test_a_server_name_that_no_certificate_has_is_refused() -> None:
    async with tls_server() as server:
        for name in (".example", "a..b", ("x" * 60 + ".") * 5):
            with pytest.raises(TransportError) as caught:
                await status_of(access(server.url, tls_server_name=name))
            assert not caught.value.reached


# --- the certificate of the client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("certificate", "message"),
    [(None, "requires? a client certificate"), ("stranger", "does not trust the CA of the client certificate")],
)
@on_each_loop
async def test_a_bad_client_certificate_is_a_clear_error(
    version: ssl.TLSVersion, certificate: str | None, message: str
) -> None:
    context = server_context()
    context.verify_mode, context.minimum_version, context.maximum_version = ssl.CERT_REQUIRED, version, version
    path = certificate and str(CERTIFICATES / f"{certificate}.pem")
    async with one_connection() as (url, accept):
        waiting = asyncio.create_task(status_of(access(url, certificate_file=path)))
        peer = TlsPeer(await accept(), context)
        with pytest.raises(ssl.SSLError):
            await peer.handshake()  # sends an alert
        with pytest.raises(TransportError, match=message):
            await waiting


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@on_each_loop
async def test_a_client_certificate_is_sent(version: ssl.TLSVersion) -> None:
    async with tls_server(verify_mode=ssl.CERT_REQUIRED, minimum_version=version, maximum_version=version) as server:
        assert await status_of(access(server.url, certificate_file=FIRST)) == 200
    certificate: Any = server.requests[0].client_certificate
    assert certificate["subject"] == ((("commonName", "first"),),)


# --- servers that speak something else


@on_each_loop
async def test_a_plain_server_behind_an_https_url_is_a_clear_error() -> None:
    answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    async with one_connection() as (url, accept):
        waiting = asyncio.create_task(status_of(access(url)))
        peer = await accept()
        await peer.receive()
        await peer.send(answer)
        with pytest.raises(TransportError, match="the server does not speak TLS on this port"):
            await waiting


@on_each_loop
async def test_a_tls_server_behind_an_http_url_is_an_error() -> None:
    async with tls_server() as server:
        with pytest.raises(TransportError) as caught:
            await status_of(ClusterAccess(server=server.url.replace("https", "http")))
        assert caught.value.reached
