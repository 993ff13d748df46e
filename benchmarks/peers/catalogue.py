"""Which peers there are, how each is started, and why one cannot be.

What is listed is what people would pick, in its best modes and as it comes. A program that was not built is told as
absent, with what would build it; nothing is left out in silence.
"""

from __future__ import annotations

import os
import sys

import msgspec

from benchmarks.harness.process import ROOT, python

PYTHON = ROOT / "build/peers/python/bin/python"
BUILD = "not built: `make peers`, which needs {}"


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """One way to follow a collection.

    Attributes:
        name: What tables call it.
        family: What plots colour alike: `"kinform"`, `"Rust"`, `"Go"` or `"Python"`.
        command: The program.
        mode: What it is told to be.
        needs: What has to be there to build it.
        environment: Variables that are set for it.
        most: Objects, at most, that it is given: those that take minutes for more.
        metadata: It follows names, labels and annotations alone: a row of its own kind.
        background: It works on after a phase, and is waited for.
        quick: It is among those that stand for their family where there is little time.
    """

    name: str
    family: str
    command: tuple[str, ...]
    mode: str
    needs: str = ""
    environment: dict[str, str] = {}
    most: int | None = None
    metadata: bool = False
    background: bool = False
    quick: bool = False

    @property
    def absent(self) -> str | None:
        """Why it cannot be started; None: it can."""
        return None if os.access(self.command[0], os.X_OK) else BUILD.format(self.needs)


def _ours(name: str, mode: str, **more: object) -> Peer:
    command = tuple(python("benchmarks/peers/kinform_peer.py", sys.executable))
    return msgspec.convert(
        {"name": name, "family": "kinform", "command": command, "mode": mode, "background": True, **more}, Peer
    )


def _rust(name: str, mode: str, program: str = "kube-rs", **more: object) -> Peer:
    command = (str(ROOT / "build/peers/rust" / program),)
    return msgspec.convert(
        {"name": name, "family": "Rust", "command": command, "mode": mode, "needs": "Rust", **more}, Peer
    )


def go(name: str, mode: str, **more: object) -> Peer:
    command = (str(ROOT / "build/peers/go/client-go"),)
    return msgspec.convert(
        {"name": name, "family": "Go", "command": command, "mode": mode, "needs": "Go", **more}, Peer
    )


def _python(name: str, file: str, mode: str, **more: object) -> Peer:
    command = tuple(python(f"benchmarks/peers/python/{file}", str(PYTHON)))
    return msgspec.convert(
        {"name": name, "family": "Python", "command": command, "mode": mode, "needs": "a Python with venv", **more},
        Peer,
    )


SLOW = 2_000

OURS = _ours("kinform", "auto", quick=True)

PEERS: tuple[Peer, ...] = (
    OURS,
    _rust("kube-rs, streaming, cleared", "streaming", quick=True),
    _rust("kube-rs, streaming, cleared, jemalloc", "streaming", "kube-rs-jemalloc"),
    _rust("kube-rs, paged, cleared", "paged"),
    _rust("kube-rs, as it comes", "plain"),
    go("client-go, WatchList, transform", "watchlist", quick=True),
    go("client-go, WatchList, transform, GOGC=25", "watchlist", environment={"GOGC": "25"}),
    go("client-go, paged, transform", "paged"),
    go("client-go, list, transform", "list"),
    go("client-go, as it comes", "plain"),
    _python("json into a dict, paged", "plain.py", "paged", quick=True),
    _python("kubernetes_asyncio, paged", "asyncio_client.py", "paged", most=SLOW),
    _python("kubernetes SharedInformer", "informer.py", "informer", most=SLOW),
    _python("lightkube", "lightkube_.py", "watch", most=SLOW),
    _python("kr8s", "kr8s_.py", "watch", most=SLOW),
    _python("kopf", "kopf_.py", "index", most=SLOW),
    _ours("kinform, metadata only", "metadata", metadata=True),
    _rust("kube-rs, metadata only, cleared", "metadata", metadata=True),
    go("client-go, metadata only, transform", "metadata", metadata=True),
)
"""In the order in which tables have them."""
