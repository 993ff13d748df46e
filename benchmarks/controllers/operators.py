"""The memory of an operator: the example of the documentation, and one on kopf.

Each is a program of its own: docs/examples/widget-operator, and `benchmarks.peers.python.kopf_operator`. It runs
against the simulator in another process, with no widgets (`idle`) and with all of them. It runs until all ConfigMaps
and all statuses are right, which is compared, and then until it is at rest. After that it is started again, with
everything in place (`restarted`): that is what an operator does for most of its life.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.harness.arguments import selected
from benchmarks.harness.process import ROOT, python
from benchmarks.harness.results import Record
from benchmarks.harness.spread import spreads
from benchmarks.harness.text import Column
from benchmarks.harness.waiting import wait_until_idle
from benchmarks.peers.catalogue import PYTHON
from benchmarks.peers.compare import progress
from benchmarks.peers.phase import CPU_TICK, Figures
from kinform.cli._process_memory import Gauge

PROGRAMS = {
    "kinform": tuple(python("docs/examples/widget-operator/widget_operator.py", sys.executable)),
    "kopf": tuple(python("benchmarks/peers/python/kopf_operator.py", str(PYTHON))),
}
COLUMNS: tuple[Column, ...] = (
    ("idle", "idle.rss", "MiB"),
    ("converged, at rest", "converged.rss", "MiB"),
    ("restarted, at rest", "restarted.rss", "MiB"),
    ("beyond idle", "beyond_idle", "MiB"),
    ("writes a widget", "writes_a_widget", ""),
    ("writes at a restart", "restarted.writes", ""),
    ("CPU seconds", "converged.cpu_seconds", "s"),
)
WIDGETS, CONFIG_MAPS = "/apis/example.com/v1/widgets", "/api/v1/configmaps"
SECONDS = 900.0
"""The time in which a program must converge."""
REST_SECONDS = 30.0
"""The time after which its memory is read, even if it is not at rest: kopf sends requests again and again."""


def measure(options: argparse.Namespace) -> Iterator[Record]:
    """Yields a record for each program.

    Raises:
        SystemExit: A program did not converge.
    """
    for name, command in PROGRAMS.items():
        if not selected(name, options):
            continue
        about = {"benchmark": options.benchmark, "record": "operators", "peer": name, "widgets": options.widgets}
        if not os.access(command[0], os.X_OK):
            yield about | {"absent": "not built: `make peers`, which needs a Python with venv"}
            continue
        rounds = []
        for number in range(options.rounds):
            progress(f"{name}, operators, round {number + 1}")
            rounds.append(_round(name, command, options.widgets))
        yield about | {"figures": spreads(rounds)}  # type: ignore[arg-type]


ELECTION = ("coordination.k8s.io/v1/leases", "events.k8s.io/v1/events")
"""The resources that only the election writes to. kopf writes to `v1/events`."""


def _round(name: str, command: Sequence[str], widgets: int) -> Figures:
    found = Figures()
    with _simulator() as url:
        with _operator(command, url) as gauge:
            _rest(name, gauge)
            found["idle.rss"] = gauge.rss()
        for number in range(widgets):
            _send(url, "POST", "/apis/example.com/v1/namespaces/shop/widgets", _widget(number))
        before = _writes(url)
        with _operator(command, url) as gauge:
            _converge(name, url, widgets)
            _rest(name, gauge)
            found["converged.rss"], found["converged.cpu_seconds"] = gauge.rss(), gauge.cpu_seconds()
        found["writes_a_widget"] = (_writes(url) - before) / widgets
        before = _writes(url)
        with _operator(command, url) as gauge:
            _rest(name, gauge)
            found["restarted.rss"], found["restarted.cpu_seconds"] = gauge.rss(), max(gauge.cpu_seconds(), CPU_TICK)
        found["restarted.writes"] = float(_writes(url) - before)
    assert found["converged.rss"] is not None
    assert found["idle.rss"] is not None
    found["beyond_idle"] = found["converged.rss"] - found["idle.rss"]
    return found


def _widget(number: int) -> Any:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"namespace": "shop", "name": f"widget-{number:05}"},
        "spec": {"size": number % 100 + 1, "color": ("blue", "green", "grey")[number % 3]},
    }


def _converge(name: str, url: str, widgets: int) -> None:
    """Waits until all ConfigMaps and statuses are right."""
    deadline = time.monotonic() + SECONDS
    while (wrong := _wrong(url, widgets)) and time.monotonic() < deadline:
        time.sleep(2)
    if wrong:
        raise SystemExit(f"controllers: the operator of {name} has left {wrong} of {widgets} widgets wrong")


def _wrong(url: str, widgets: int) -> int:
    """Counts the widgets without the right ConfigMap or status."""
    statistics = _send(url, "GET", "/_kinform/stats")
    if statistics["objects"].get("v1/configmaps", 0) < widgets:  # cheap, while the operator works
        return widgets - int(statistics["objects"].get("v1/configmaps", 0))
    maps = {each["metadata"]["name"]: each for each in _send(url, "GET", CONFIG_MAPS)["items"]}
    wrong = 0
    for widget in _send(url, "GET", WIDGETS)["items"]:
        name, spec = f"{widget['metadata']['name']}-widget", widget["spec"]
        found = maps.get(name, {})
        owners = [owner["uid"] for owner in found.get("metadata", {}).get("ownerReferences", [])]
        right = found.get("data") == {"size": str(spec["size"]), "color": spec["color"]}
        right = right and owners == [widget["metadata"]["uid"]]
        wrong += not (right and widget.get("status", {}).get("configMap") == name)
    return wrong


def _writes(url: str) -> int:
    """Counts the writes that the simulator has received, without those of an election."""
    writes = _send(url, "GET", "/_kinform/stats")["writes"]
    return sum(number for resource, number in writes.items() if resource not in ELECTION)


def _rest(name: str, gauge: Gauge) -> None:
    if wait_until_idle(gauge, REST_SECONDS) is None:
        progress(f"{name} did not come to rest")


def _send(url: str, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url + path, data, {"Content-Type": "application/json"}, method=method)) as response:
        return json.load(response)


@contextmanager
def _simulator() -> Iterator[str]:
    """Runs the simulator, and yields its URL."""
    served = ["--custom-resource", "example.com/v1/widgets=Widget"]
    command = [sys.executable, "-m", "kinform.testing", *served]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.terminate()


@contextmanager
def _operator(command: Sequence[str], url: str) -> Iterator[Gauge]:
    """Runs an operator, and yields the gauge of its process. Drops its log."""
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(url)))
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "SERVER": url, "PORT": "0", "PYTHONPATH": str(ROOT)}
        with (
            (Path(folder) / "log").open("wb") as log,
            subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
        ):
            try:
                yield Gauge(process.pid)
            finally:
                process.send_signal(signal.SIGTERM)


def _kubeconfig(url: str) -> Any:
    context = {"name": "simulator", "context": {"cluster": "simulator", "user": "tester"}}
    return {
        "clusters": [{"name": "simulator", "cluster": {"server": url}}],
        "users": [{"name": "tester", "user": {}}],
        "contexts": [context],
        "current-context": "simulator",
    }
