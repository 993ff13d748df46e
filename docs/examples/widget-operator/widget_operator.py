"""An operator: each Widget gets a ConfigMap with its settings, and a status.

It compares before it writes. A new Widget takes two requests, a Widget that is as it should be takes none: so a restart
with nothing to do writes nothing. The ConfigMap of a deleted Widget is deleted by the garbage collector of Kubernetes.
One replica of several works, and the others stand by.

Environment:
    KUBECONFIG    a kubeconfig; without it the service account of the pod
    PORT          the port of /healthz, /readyz and /metrics; default 8080
    NAMESPACE     the namespace of the Lease; default widget-operator
    POD_NAME      the name of this replica, which no other one has; default the host with a random part
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import msgspec
from prometheus_client import make_wsgi_app

import kinform
import kinform.prometheus
from kinform.controllers import Controller, LeaderElection

WIDGETS, CONFIG_MAPS = "example.com/v1/widgets", "v1/configmaps"
LABELS = {"app.kubernetes.io/managed-by": "widget-operator"}
MAX_AGE = 180
"""Seconds without news after which a copy is too old: the API server sends a bookmark each minute."""


class OwnerReference(msgspec.Struct):
    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    blockOwnerDeletion: bool = False


class Metadata(msgspec.Struct, omit_defaults=True):
    namespace: str
    name: str
    uid: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    ownerReferences: list[OwnerReference] = []


class WidgetSpec(msgspec.Struct):
    size: int
    color: str = "grey"


class WidgetStatus(msgspec.Struct):
    observedGeneration: int = 0
    configMap: str = ""


class Widget(msgspec.Struct):
    metadata: Metadata
    spec: WidgetSpec
    status: WidgetStatus = msgspec.field(default_factory=WidgetStatus)


class ConfigMap(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] = {}
    kind: str = "ConfigMap"


def wanted_map(widget: Widget) -> ConfigMap:
    """Returns the ConfigMap that a Widget should have."""
    about = widget.metadata
    owner = OwnerReference("example.com/v1", "Widget", about.name, about.uid, True, True)
    name = f"{about.name}-widget"
    metadata = Metadata(namespace=about.namespace, name=name, labels=LABELS, ownerReferences=[owner])
    return ConfigMap(metadata, {"size": str(widget.spec.size), "color": widget.spec.color})


def matches(found: ConfigMap, wanted: ConfigMap) -> bool:
    """Returns whether a ConfigMap has all that is wanted.

    It may have more, from other programs.
    """
    return (
        found.data.items() >= wanted.data.items()
        and found.metadata.labels.items() >= wanted.metadata.labels.items()
        and all(owner in found.metadata.ownerReferences for owner in wanted.metadata.ownerReferences)
    )


class WidgetOperator:
    """The informers of the operator, and its reconcile.

    Args:
        api: The connection.
        factory: Makes the informers.
        leader: The election between the replicas; None: there is only one.

    Attributes:
        controller: Calls `reconcile`.
    """

    def __init__(self, api: kinform.Connection, factory: kinform.Factory, leader: LeaderElection | None = None) -> None:
        self._api = api
        self._widgets = factory.informer(
            WIDGETS, type=Widget, prune=kinform.Prune(keep=["metadata.generation", "spec", "status"])
        )
        self._maps = factory.informer(
            CONFIG_MAPS,
            type=ConfigMap,
            scope=kinform.Scope(label_selector=kinform.Selector.labels(LABELS)),
            prune=kinform.Prune(keep=["metadata.labels", "metadata.ownerReferences", "data"]),
        )
        self.controller = Controller(self._widgets, self.reconcile, owns=[self._maps], workers=4, leader=leader)

    async def reconcile(self, key: str) -> None:
        """Makes the ConfigMap and the status of one Widget right."""
        widget = self._widgets.store.get(key)
        if widget is None:
            return
        wanted = wanted_map(widget)
        name = wanted.metadata.name
        found = self._maps.store.get(f"{wanted.metadata.namespace}/{name}")
        if found is None or not matches(found, wanted):
            await self._api.apply(CONFIG_MAPS, wanted, field_manager="widget-operator", force=True)
        status = WidgetStatus(widget.metadata.generation, name)
        if widget.status != status:
            await self._api.patch(WIDGETS, key, {"status": msgspec.to_builtins(status)}, subresource="status")

    def unready(self) -> str:
        """Returns why the copies are not complete and recent; `""` if they are.

        Works in any thread.
        """
        reasons = (informer.health(max_age=MAX_AGE).reason for informer in (self._widgets, self._maps))
        return "; ".join(reason for reason in reasons if reason)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Logs no requests: a probe comes every few seconds."""


@contextmanager
def serving(port: int, unready: Callable[[], str], unhealthy: Callable[[], str]) -> Iterator[int]:
    """Answers probes and scrapes in a thread, and yields the port.

    A stuck event loop does not stop it.
    """
    probes = {"/healthz": unhealthy, "/readyz": unready}
    metrics = make_wsgi_app()

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start_response)
        reason = probes.get(path, lambda: "not found")()
        status = "404 Not Found" if reason == "not found" else "503 Service Unavailable" if reason else "200 OK"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [(reason or "ok").encode()]

    with make_server("", port, answer, _Server, _QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


async def main() -> None:
    """Runs until SIGTERM, which ends it with exit status 0.

    The failure of an informer ends it with another one.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    async with kinform.connect() as api, kinform.Factory(api) as factory:
        lease = f"{os.environ.get('NAMESPACE', 'widget-operator')}/widget-operator"
        election = LeaderElection(api, lease, identity=os.environ.get("POD_NAME"))
        operator = WidgetOperator(api, factory, election)
        kinform.prometheus.register(factory, operator.controller, election)
        with serving(int(os.environ.get("PORT", "8080")), operator.unready, lambda: election.health().reason) as port:
            logging.getLogger("widget-operator").info("probes and metrics at port %d", port)
            await operator.controller.run()


if __name__ == "__main__":
    asyncio.run(main())
