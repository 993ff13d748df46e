"""A kube-apiserver with its etcd on loopback, for a test or a test run.

Real TLS with the CA that the server creates, real tokens, RBAC. A test can compact, crash, restart (on the
same port) and freeze it. There are no controllers, no scheduler and no kubelet: objects stay as written,
and a deleted namespace stays in Terminating.
Source: https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/ and etcd's gateway.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.support.controlplane.process import Process
from tests.support.kubeconfig import write_kubeconfig

USERS = {
    "admin": "may do everything (group system:masters)",
    "reader": "may get, list and watch everything",
    "lister": "may get and list everything, and watch nothing",
    "unprivileged": "may do nothing until a test grants it something",
}

START_SECONDS = 60.0
POLL_SECONDS = 0.05


class StartError(Exception):
    """A server did not start; the text ends with the last lines of its log."""


class ControlPlane:
    """A kube-apiserver with an etcd of its own, in a temporary folder.

    Not bound to an event loop: a control plane started in one loop can be used in the next. Two loops must
    not call it at the same time.

    Args:
        binaries: The folder with `kube-apiserver` and `etcd`.
        flags: More flags for the kube-apiserver, such as `--feature-gates=WatchList=false`.

    Attributes:
        url: `https://127.0.0.1:PORT`; stays the same after a restart.
        ca: The file with the CA that signed the server's certificate.
        kubeconfig: A kubeconfig with a context for every user of `USERS` (context and user have the same
            name; admin is current) and one, `anonymous`, without credentials.
        tokens: The bearer token of every user.
        apiserver: The process of the kube-apiserver.
        etcd: The process of the etcd.
        etcd_url: `http://127.0.0.1:PORT` of the etcd, without TLS.
    """

    def __init__(self, binaries: Path, flags: Sequence[str] = ()) -> None:
        self._binaries = binaries
        self._flags = list(flags)
        self.folder = Path(tempfile.mkdtemp(prefix="kinform-plane-"))
        self.tokens = {user: f"token-of-{user}" for user in USERS}
        self.kubeconfig = self.folder / "kubeconfig"
        self.ca = self.folder / "certs" / "apiserver.crt"
        self._write_secrets()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def start(self) -> None:
        """Starts both servers; returns when the API server is ready and RBAC is set up.

        Raises:
            StartError: A server exited or was not ready in time.
        """
        try:
            for attempt in range(3):
                self._choose_ports()
                try:
                    await self._start_etcd()
                    await self.recover()
                    break
                except StartError as error:
                    # A free port can be taken between the choice and the bind.
                    if "address already in use" not in str(error) or attempt == 2:
                        raise
                    self._kill()
            write_kubeconfig(self.kubeconfig, self.url, self.ca, self.tokens)
            await self.grant("reader", ["get", "list", "watch"])
            await self.grant("lister", ["get", "list"])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Kills both servers and removes their folder. Idempotent."""
        self._kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def crash(self) -> None:
        """Kills the API server (SIGKILL): connections are reset, new ones refused."""
        self.apiserver.kill()

    async def recover(self) -> None:
        """Starts the API server on the same port with the same certificate.

        Returns when it is ready.
        """
        self.apiserver.start()
        await self._wait(self.apiserver, self._ready)

    async def restart(self) -> None:
        """Crashes and recovers the API server: about three seconds."""
        await self.crash()
        await self.recover()

    async def freeze(self) -> None:
        """Freezes the API server (SIGSTOP): connections stay open, new ones hang."""
        self.apiserver.freeze()

    async def thaw(self) -> None:
        """Ends `freeze`."""
        self.apiserver.thaw()

    async def repair(self) -> None:
        """Thaws frozen servers and starts killed ones."""
        self.etcd.thaw()
        self.apiserver.thaw()
        if not self.etcd.running:
            await self._start_etcd()
        if not self.apiserver.running:
            await self.recover()

    async def compact(self) -> int:
        """Compacts etcd up to its current revision and returns that revision.

        The watch cache of the API server keeps its history: a watch from an old resourceVersion gets 410
        only after a restart.
        """
        revision = int((await self._etcd_call("/v3/kv/range", {"key": _base64("\0")}))["header"]["revision"])
        await self._etcd_call("/v3/kv/compaction", {"revision": revision, "physical": True})
        return revision

    async def expire_history(self) -> int:
        """Makes every resourceVersion so far too old to watch from, and ends all streams.

        Increments the revision, compacts and restarts. The API server must be running.

        Returns:
            The revision up to which etcd is compacted.
        """
        for _ in range(2):
            await self._etcd_call("/v3/kv/put", {"key": _base64("/kinform/expire"), "value": _base64("")})
        revision = await self.compact()
        await self.restart()
        return revision

    async def grant(
        self,
        user: str,
        verbs: Sequence[str],
        *,
        groups: Sequence[str] = ("*",),
        resources: Sequence[str] = ("*",),
    ) -> None:
        """Grants a user these rights in all namespaces, instead of those of earlier calls.

        The server applies them a moment later: a test must wait for the effect.
        """
        await self.revoke(user)
        name = f"kinform-{user}"
        group = "rbac.authorization.k8s.io"
        rule = {"apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs)}
        role = {"metadata": {"name": name}, "rules": [rule]}
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }
        for plural, body in (("clusterroles", role), ("clusterrolebindings", binding)):
            status = await self._request("POST", f"/apis/{group}/v1/{plural}", body)
            assert status == 201, f"{plural} {name}: {status}"

    async def revoke(self, user: str) -> None:
        """Revokes the rights of `grant`, if there are any."""
        for plural in ("clusterrolebindings", "clusterroles"):
            path = f"/apis/rbac.authorization.k8s.io/v1/{plural}/kinform-{user}"
            status = await self._request("DELETE", path)
            assert status in (200, 404), f"{path}: {status}"

    def tls_context(self) -> ssl.SSLContext:
        """Returns a client's TLS context that trusts only this server's CA."""
        return ssl.create_default_context(cafile=str(self.ca))

    def _kill(self) -> None:
        for name in ("apiserver", "etcd"):
            if (process := getattr(self, name, None)) is not None:
                process.kill()

    def _choose_ports(self) -> None:
        secure, client, peer = _free_ports(3)
        self.url = f"https://127.0.0.1:{secure}"
        self.etcd_url = f"http://127.0.0.1:{client}"
        peer_url = f"http://127.0.0.1:{peer}"
        folder = self.folder
        shutil.rmtree(folder / "etcd", ignore_errors=True)
        self.etcd = Process(
            [
                self._binaries / "etcd",
                "--data-dir", folder / "etcd",
                "--listen-client-urls", self.etcd_url, "--advertise-client-urls", self.etcd_url,
                "--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url,
                "--initial-cluster", f"default={peer_url}",
                "--unsafe-no-fsync",
                "--log-level", "warn",
            ],
            folder / "etcd.log",
        )  # fmt: skip
        self.apiserver = Process(
            [
                self._binaries / "kube-apiserver",
                "--etcd-servers", self.etcd_url,
                "--etcd-compaction-interval", "0",
                "--bind-address", "127.0.0.1", "--secure-port", str(secure),
                # Without it the server looks for a default route, which a sandbox may lack.
                "--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none",
                "--cert-dir", folder / "certs",
                "--service-account-key-file", folder / "accounts.key",
                "--service-account-signing-key-file", folder / "accounts.key",
                "--service-account-issuer", "https://kubernetes.default.svc",
                "--token-auth-file", folder / "tokens.csv",
                "--authorization-mode", "RBAC",
                "--service-cluster-ip-range", "10.0.0.0/24",
                "--disable-admission-plugins", "ServiceAccount",
                *self._flags,
            ],
            folder / "kube-apiserver.log",
        )  # fmt: skip

    def _write_secrets(self) -> None:
        _write_private(self.folder / "accounts.key", _elliptic_key())
        groups = {"admin": ',"system:masters"'}
        lines = [f"{token},{user},{user}{groups.get(user, '')}\n" for user, token in self.tokens.items()]
        _write_private(self.folder / "tokens.csv", "".join(lines))

    async def _start_etcd(self) -> None:
        self.etcd.start()
        await self._wait(self.etcd, self._etcd_ready)

    async def _etcd_ready(self) -> bool:
        async with _session() as session, session.get(f"{self.etcd_url}/health") as response:
            return response.status == 200

    async def _ready(self) -> bool:
        if not self.ca.exists():
            return False
        return await self._request("GET", "/readyz") == 200

    async def _wait(self, process: Process, ready: Callable[[], Awaitable[bool]]) -> None:
        name = Path(process.command[0]).name
        try:
            async with asyncio.timeout(START_SECONDS):
                while True:
                    if not process.running:
                        raise StartError(f"{name} exited at its start; the last lines of its log:\n{process.tail()}")
                    try:
                        if await ready():
                            return
                    except (aiohttp.ClientError, OSError):
                        pass
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            late = f"{name} was not ready in {START_SECONDS:.0f} s; the last lines of its log:"
            raise StartError(f"{late}\n{process.tail()}") from None

    async def _etcd_call(self, path: str, body: dict[str, Any]) -> Any:
        async with _session() as session, session.post(self.etcd_url + path, json=body) as response:
            response.raise_for_status()
            return await response.json()

    async def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> int:
        headers = {"Authorization": f"Bearer {self.tokens['admin']}"}
        async with (
            _session(aiohttp.TCPConnector(ssl=self.tls_context())) as session,
            session.request(method, self.url + path, json=body, headers=headers) as response,
        ):
            return response.status


def _session(connector: aiohttp.TCPConnector | None = None) -> aiohttp.ClientSession:
    # trust_env stays off: a proxy of the environment must not see loopback requests.
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _elliptic_key() -> str:
    """Creates a P-256 private key as PEM (RFC 5915, without the optional public key)."""
    secret = os.urandom(32)
    der = bytes.fromhex("30310201010420") + secret + bytes.fromhex("a00a06082a8648ce3d030107")
    return f"-----BEGIN EC PRIVATE KEY-----\n{base64.b64encode(der).decode()}\n-----END EC PRIVATE KEY-----\n"


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
