"""The list of peers: how each is started, and why it cannot be.

It has the clients that people would choose, in their best modes and with their defaults. A program that was not built
is reported as absent, with how to build it. No peer is left out silently.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

import msgspec

from benchmarks.harness.process import ROOT, python

PYTHON = ROOT / "build/peers/python/bin/python"
BUILD = "not built: `make peers`, which needs {}"


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A way to follow a collection.

    Attributes:
        name: The name in tables.
        family: The colour in plots: `"kinform"`, `"Rust"`, `"Go"` or `"Python"`.
        command: The program.
        mode: The program's mode.
        options: Further options of the program.
        needs: The requirements of its build.
        module: A module of this interpreter that it imports.
        environment: Variables to set for it.
        max_objects: The most objects it is given, for clients that need minutes for more; None: all.
        metadata: It follows metadata only, and gets a table of its own.
        representative: It represents its family in short runs, and runs all rounds.
    """

    name: str
    family: str
    command: tuple[str, ...]
    mode: str
    options: dict[str, Any] = {}
    needs: str = ""
    module: str = ""
    environment: dict[str, str] = {}
    max_objects: int | None = None
    metadata: bool = False
    representative: bool = False

    @property
    def absent(self) -> str | None:
        """The reason why it cannot be started; None if it can."""
        if self.module and importlib.util.find_spec(self.module) is None:
            return f"not installed: {self.module}, which `make bench` installs"
        return None if os.access(self.command[0], os.X_OK) else BUILD.format(self.needs)


def _kinform(name: str, mode: str, **more: object) -> Peer:
    command = tuple(python("benchmarks/peers/kinform_peer.py", sys.executable))
    return _peer(name, "kinform", command, mode, **more)


def _rust(name: str, mode: str, program: str = "kube-rs", **more: object) -> Peer:
    return _peer(name, "Rust", (str(ROOT / "build/peers/rust" / program),), mode, needs="Rust", **more)


def _go(name: str, mode: str, **more: object) -> Peer:
    return _peer(name, "Go", (str(ROOT / "build/peers/go/client-go"),), mode, needs="Go", **more)


def _python(name: str, file: str, mode: str, **more: object) -> Peer:
    command = tuple(python(f"benchmarks/peers/python/{file}", str(PYTHON)))
    return _peer(name, "Python", command, mode, needs="a Python with venv", **more)


def _peer(name: str, family: str, command: tuple[str, ...], mode: str, **more: object) -> Peer:
    return msgspec.convert({"name": name, "family": family, "command": command, "mode": mode, **more}, Peer)


FEW = {"max_objects": 2_000}

KINFORM = _kinform("kinform", "auto", representative=True)
KINFORM_UVLOOP = _kinform("kinform, uvloop", "auto", options={"uvloop": True}, module="uvloop")
KUBE_RS = _rust("kube-rs, streaming, cleared", "streaming", representative=True)
CLIENT_GO = _go("client-go, WatchList, transform", "watchlist", representative=True)
CLIENT_GO_LIST = _go("client-go, list, transform", "list")
CLIENT_GO_PROTOBUF = _go("client-go, WatchList, transform, protobuf", "protobuf")

PEERS: tuple[Peer, ...] = (
    KINFORM,
    KUBE_RS,
    _rust("kube-rs, streaming, cleared, jemalloc", "streaming", "kube-rs-jemalloc", representative=True),
    _rust("kube-rs, paged, cleared", "paged"),
    _rust("kube-rs, defaults", "plain"),
    CLIENT_GO,
    _go("client-go, WatchList, transform, GOGC=25", "watchlist", environment={"GOGC": "25"}),
    _go("client-go, paged, transform", "paged"),
    CLIENT_GO_LIST,
    _go("client-go, defaults", "plain"),
    _python("json into a dict, paged", "plain.py", "paged", representative=True),
    _python("kubernetes_asyncio, paged", "asyncio_client.py", "paged", **FEW),
    _python("kubernetes SharedInformer", "informer.py", "informer", **FEW),
    _python("lightkube", "lightkube_.py", "watch", **FEW),
    _python("kr8s", "kr8s_.py", "watch", **FEW),
    _python("kopf", "kopf_.py", "events", **FEW),
    _kinform("kinform, metadata only", "metadata", metadata=True),
    _rust("kube-rs, metadata only, cleared", "metadata", metadata=True),
    _go("client-go, metadata only, transform", "metadata", metadata=True),
)
"""The peers of the comparison, in the order of the tables.

`cleared` and `transform` drop managedFields before an object is stored.
"""

CONTROLLERS: tuple[Peer, ...] = (
    _peer("kinform", "kinform", tuple(python("benchmarks/peers/kinform_controller.py")), ""),
    _go("client-go, WatchList, transform", "controller"),
    _python("kopf", "kopf_controller.py", ""),
)
"""The programs of the comparison of controllers: four workers each, where the library has workers."""
