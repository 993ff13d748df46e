"""Measures an idle process: its memory, its idle watches, the import of kinform.

The process is that of `benchmarks.peers`: one informer with one handler, on an empty collection. Its memory depends on
how it connects: by a URL, by a kubeconfig, or as in a pod, with the files and variables of a service account. A process
with many informers on that collection has as many idle watches, each with its TLS connection. A program without kinform
has as many, so that the difference is what kinform adds to OpenSSL.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.harness.process import ROOT, SERVER, Process, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spread, spreads
from benchmarks.harness.text import Column, rows
from benchmarks.harness.waiting import wait_until_idle
from benchmarks.peers.catalogue import KINFORM
from tests.support.kubeconfig import write_kubeconfig

MANY_INFORMERS, OPENSSL_WATCHES = "benchmarks/store/many.py", "benchmarks/store/openssl_watches.py"
WATCHES = 200
IMPORTS = 10
IDLE_TIMEOUT = 60.0
TOKEN = "not-a-secret"
IMPORT = "import time; start = time.perf_counter(); import kinform; print(time.perf_counter() - start)"


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields one record."""
    served = {"resource": "pods", "objects": 0, "seed": options.seed, "corpus": None}
    with (
        Process(python(SERVER), **served) as plain,
        Process(python(SERVER), **served, tls=True) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        about = server.do("open")
        found = {
            "plain": _resident({"url": plain.do("open")["url"]}),
            "tls": _resident({"url": about["url"], "ca": about["ca"]}),
            "kubeconfig": _resident({"url": _kubeconfig(Path(folder), about)}),
            "in_cluster": _resident({"url": None, "account": folder}, _pod(Path(folder), about)),
        }
        informers = {"url": about["url"], "ca": about["ca"], "resource": about["resource"]}
        found["watch"] = _each_watch(server, lambda count: {"informers": count} | informers, MANY_INFORMERS)
        sockets = {"url": about["url"], "ca": about["ca"], "path": about["path"]}
        found["openssl"] = _each_watch(server, lambda count: {"watches": count} | sockets, OPENSSL_WATCHES)
    figures = spreads([found]) | {"import": spread([_import_seconds() for _ in range(IMPORTS + 1)][1:])}
    yield {"record": "idle", "watches": WATCHES, "figures": figures}


def _kubeconfig(folder: Path, about: dict[str, Any]) -> str:
    write_kubeconfig(folder / "kubeconfig", about["url"], Path(about["ca"]), {"reader": TOKEN})
    return str(folder / "kubeconfig")


def _pod(folder: Path, about: dict[str, Any]) -> dict[str, str]:
    """Writes the files of a pod's service account. Returns the variables of the pod."""
    (folder / "token").write_text(TOKEN)
    shutil.copy(about["ca"], folder / "ca.crt")
    address = urlsplit(about["url"])
    service = {"KUBERNETES_SERVICE_HOST": str(address.hostname), "KUBERNETES_SERVICE_PORT": str(address.port)}
    return service | {"KUBECONFIG": "", "HOME": str(folder)}  # so that no kubeconfig is found


def _resident(given: dict[str, Any], environment: dict[str, str] | None = None) -> int:
    """The memory of a process with one informer and one handler."""
    with Process(KINFORM.command, environment=environment, **given, resource="v1/pods") as process:
        process.do("connect")
        process.do("sync")
        wait_until_idle(process.gauge, IDLE_TIMEOUT)
        return process.gauge.rss()


def _each_watch(server: Process, options: Callable[[int], dict[str, Any]], program: str) -> float:
    """The memory of one more watch in a process with many."""
    sizes = []
    for count in (1, WATCHES):
        before = _watches(server)
        with Process(python(program), **options(count)) as process:
            process.do("count")  # answers when all watches have sent their state
            wait_until_idle(process.gauge, IDLE_TIMEOUT)
            if _watches(server) - before != count:
                raise SystemExit(f"store: {program} has more or fewer than {count} watches; no figures are reported")
            sizes.append(process.gauge.rss())
    return (sizes[1] - sizes[0]) / (WATCHES - 1)


def _watches(server: Process) -> int:
    counts = server.do("request_counts")
    return int(counts.get("watch", 0) + counts.get("stream", 0))


def _import_seconds() -> float:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    return float(subprocess.check_output([sys.executable, "-P", "-c", IMPORT], env=environment))


COLUMNS: tuple[Column, ...] = (
    ("memory with one informer, a URL with plain HTTP", "plain", "MiB"),
    ("memory with one informer, a URL with TLS", "tls", "MiB"),
    ("memory with one informer, a kubeconfig with TLS", "kubeconfig", "MiB"),
    ("memory with one informer, in a pod", "in_cluster", "MiB"),
    (f"memory of each of {WATCHES} idle watches, TLS", "watch", "KiB"),
    (f"memory of each of {WATCHES} idle TLS watches without kinform", "openssl", "KiB"),
    ("`import kinform`: elapsed time", "import", "ms"),
)


def table(records: list[Record]) -> str:
    """Formats the records for a terminal."""
    return "\n".join(line for each in records for line in ("idle process", *rows(COLUMNS, each["figures"])))
