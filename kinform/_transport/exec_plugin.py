"""Runs the exec plugin of a kubeconfig, which prints credentials.

The plugin gets no terminal: its stdin is empty, and a plugin that must ask the user (`interactiveMode: Always`) is
refused. It must end within 3 minutes. It is killed, with its children, if it does not, if it prints too much, or if
the caller is cancelled. Never shows what it prints on stdout; an error contains the beginning of its stderr.

Source: "Authenticating", section "client-go credential plugins", and the API `client.authentication.k8s.io/v1`
(kubernetes.io); client-go's `plugin/pkg/client/auth/exec/exec.go`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import os
import signal
from pathlib import Path
from typing import Any

import msgspec

from kinform._printable import printable
from kinform._transport.access import ClusterAccess
from kinform._transport.authorization import TOKEN, CredentialError, bearer_token, is_token
from kinform._transport.kubeconfig import Section

TIMEOUT_SECONDS = 180.0  # kubelogin waits as long for a login in the browser
MAX_OUTPUT_BYTES = 1 << 20
MAX_STDERR_BYTES = 4096
MAX_HINT = 1000  # characters
PIPE_SECONDS = 1.0  # a child of the plugin, such as a browser, may hold the pipes for longer

_GROUP = "client.authentication.k8s.io"
_VERSIONS = tuple(f"{_GROUP}/{version}" for version in ("v1", "v1beta1", "v1alpha1"))


async def run_plugin(plugin: Section, cluster: Section, access: ClusterAccess) -> ClusterAccess:
    """Returns the access with the credentials that the plugin prints.

    Args:
        plugin: The field `exec` of the user.
        cluster: The cluster, whose description a plugin with `provideClusterInfo` gets.
        access: The access without the plugin. Its client certificate stays, if the plugin gives none.

    Raises:
        OptionError: A field of the plugin is not valid.
        CredentialError: The plugin cannot be run or failed, or its output is not valid.
        OSError: The file with the cluster's CA cannot be read.
    """
    version = plugin.text("apiVersion")
    if version not in _VERSIONS:
        raise plugin.error("apiVersion", f"one of {', '.join(_VERSIONS)}")
    if plugin.text("interactiveMode") not in ("", "Never", "IfAvailable"):
        raise plugin.error("interactiveMode", "Never or IfAvailable, since the plugin gets no terminal,")
    command = plugin.text("command")
    if not command:
        raise plugin.error("command", "the name or the path of a program")
    if os.sep in command:
        command = plugin.file("command")
    name = printable(command)
    spec: dict[str, Any] = {"interactive": False}
    if plugin.flag("provideClusterInfo"):
        spec["cluster"] = _describe_cluster(cluster, access)
    try:
        info = msgspec.json.encode({"apiVersion": version, "kind": "ExecCredential", "spec": spec}).decode()
    except (TypeError, ValueError):  # YAML has more types than JSON
        raise cluster.error("extensions", "values that JSON has, too,") from None
    environment = {**os.environ, **_variables(plugin), "KUBERNETES_EXEC_INFO": info}
    try:
        output = await _run([command, *plugin.texts("args")], environment)
    except _StartError as error:
        hint = printable(" ".join(plugin.text("installHint").split()), MAX_HINT)
        raise CredentialError(f"exec plugin {name}: {error}" + (f". {hint}" if hint else "")) from None
    except CredentialError as error:
        raise CredentialError(f"exec plugin {name}: {error}") from None
    return _with_credentials(access, output, name, version)


class _StartError(CredentialError):
    """The plugin cannot be started: the installation may be missing."""


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime.datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: _Status


def _with_credentials(access: ClusterAccess, output: bytes, name: str, version: str) -> ClusterAccess:
    def error(text: str) -> CredentialError:
        return CredentialError(f"exec plugin {name}: its output {text}")

    try:
        credential = msgspec.json.decode(output, type=_ExecCredential)
    except (msgspec.DecodeError, UnicodeDecodeError):  # their texts may contain a token
        raise error("is not an ExecCredential with a status") from None
    if credential.kind != "ExecCredential" or credential.api_version != version:
        raise error(f"is not an ExecCredential of {version}")
    status = credential.status
    token = (status.token or "").strip()
    certificate, key = status.client_certificate_data or None, status.client_key_data or None
    if not token and not certificate and not key:
        raise error("has neither a token nor a client certificate")
    if token and not is_token(token):
        raise error(f"has a token that is not {TOKEN}")
    if (certificate is None) != (key is None):
        raise error("has a client certificate without a key, or a key without a certificate")
    expires = status.expiration_timestamp
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=datetime.UTC)
    access = msgspec.structs.replace(access, authorization=bearer_token(token) if token else None, expires=expires)
    if certificate is None:
        return access
    return msgspec.structs.replace(
        access, certificate_file=None, certificate_data=certificate, key_file=None, key_data=key
    )


def _variables(plugin: Section) -> dict[str, str]:
    variables = {}
    for variable in plugin.sections("env"):
        name = variable.text("name")
        if not name or "=" in name:
            raise variable.error("name", "the name of an environment variable")
        variables[name] = variable.text("value")
    return variables


def _describe_cluster(cluster: Section, access: ClusterAccess) -> dict[str, Any]:
    """Returns the `spec.cluster` of an ExecCredential."""
    ca = b""
    if access.ca_data is not None:
        ca = access.ca_data.encode()
    elif access.ca_file is not None:
        ca = Path(access.ca_file).read_bytes()
    fields = {
        "server": access.server,
        "tls-server-name": access.tls_server_name,
        "insecure-skip-tls-verify": not access.verify,
        "certificate-authority-data": base64.b64encode(ca).decode(),
        "proxy-url": access.proxy_url,
        "disable-compression": cluster.flag("disable-compression"),
    }
    described: dict[str, Any] = {name: value for name, value in fields.items() if value}
    for extension in cluster.sections("extensions"):
        if extension.text("name") == f"{_GROUP}/exec":
            described["config"] = extension.fields.get("extension")
    return described


async def _run(command: list[str], environment: dict[str, str]) -> bytes:
    """Runs a command without a terminal and returns its stdout."""
    # A session of its own, so that its children can be killed, too, and that it cannot open the terminal.
    start = asyncio.get_running_loop().subprocess_exec(
        _Process, *command, stdin=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True
    )
    starting = asyncio.ensure_future(start)
    try:
        await asyncio.wait({starting})  # if this is cancelled, `starting` is not: asyncio would spare the children
        transport, process = starting.result()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await process.done.wait()
        if not process.too_long:
            await asyncio.wait({process.pipes}, timeout=PIPE_SECONDS)
    except TimeoutError:
        raise CredentialError(f"it did not end within {TIMEOUT_SECONDS:g} s") from None
    except OSError as error:
        raise _StartError(error.strerror or type(error).__name__) from None
    finally:
        await _end(starting)
    if process.too_long:
        raise CredentialError(f"it printed more than {MAX_OUTPUT_BYTES} bytes")
    if returncode := transport.get_returncode():
        text = printable(process.errors.decode(errors="replace").strip(), MAX_STDERR_BYTES)
        raise CredentialError(f"it returned {returncode}" + (f". {text}" if text else ""))
    return bytes(process.output)


async def _end(starting: asyncio.Future[tuple[asyncio.SubprocessTransport, _Process]]) -> None:
    """Kills a process that still runs, with its children, and closes its pipes."""
    try:
        transport, process = await starting
    except OSError:
        return
    try:
        if transport.get_returncode() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            await process.exited.wait()
    finally:
        transport.close()


class _Process(asyncio.SubprocessProtocol):
    """Collects what a process prints.

    Attributes:
        output: Its stdout.
        errors: The beginning of its stderr.
        too_long: Whether it printed more than MAX_OUTPUT_BYTES.
        exited: Set when it has exited.
        done: Set when it has exited, or printed too much.
        pipes: Done when stdout and stderr are closed, which may be earlier or later.
    """

    def __init__(self) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self.too_long = False
        self.exited = asyncio.Event()
        self.done = asyncio.Event()
        self.pipes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open_pipes = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.errors += data[: MAX_STDERR_BYTES - len(self.errors)]
        elif len(self.output) + len(data) <= MAX_OUTPUT_BYTES:
            self.output += data
        else:
            self.too_long = True
            self.done.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open_pipes.discard(fd)
        if not self._open_pipes and not self.pipes.done():
            self.pipes.set_result(None)

    def process_exited(self) -> None:
        self.exited.set()
        self.done.set()
