"""A mutating webhook: one heartbeat lease for each namespace, and few writes.

It keeps no state, and asks no server: each answer follows from the request alone. It changes only leases that carry the
label of heartbeats, outside of the namespaces of Kubernetes. The selectors of its configuration select the same leases,
so that the API server does not ask about others.

Environment:
    RENEWAL_SECONDS     renewals that come sooner after the last one are not written; default 10
    TLS_CERT, TLS_KEY   PEM files of the certificate and its key
    PORT                default 8443
"""

from __future__ import annotations

import base64
import json
import os
import ssl
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

LABEL = ("coarse-leases.example.com/kind", "heartbeat")
SYSTEM_PREFIX = "kube-"
"""Namespaces with this prefix belong to Kubernetes: kube-system, and kube-node-lease with the leases of the nodes."""
HOLDER_FIELDS = ("holderIdentity", "leaseTransitions", "acquireTime")
RENEWAL = web.AppKey("RENEWAL", timedelta)

Object = dict[str, Any]


def patch(request: Object, renewal: timedelta) -> list[Object]:
    """Returns the JSON patch for an AdmissionRequest.

    It is empty for leases that are not heartbeats.

    CREATE: the lease gets the name of its namespace's lease. CREATE and UPDATE: it has no holder. UPDATE: a renewal
    that comes too soon keeps the last renewTime. If nothing else differs, the API server writes nothing to etcd.
    """
    lease, namespace = request["object"], request.get("namespace", "")
    if not is_heartbeat(lease, namespace):
        return []
    operations = []
    if request["operation"] == "CREATE":
        operations.append({"op": "add", "path": "/metadata/name", "value": f"ns-lease-{namespace}"})
        if "generateName" in lease["metadata"]:
            operations.append({"op": "remove", "path": "/metadata/generateName"})
    spec = lease.get("spec") or {}
    operations += [{"op": "remove", "path": f"/spec/{field}"} for field in HOLDER_FIELDS if field in spec]
    last = ((request.get("oldObject") or {}).get("spec") or {}).get("renewTime")
    if last and is_too_soon(last, spec.get("renewTime"), renewal):
        operations.append({"op": "replace", "path": "/spec/renewTime", "value": last})
    return operations


def is_heartbeat(lease: Object, namespace: str) -> bool:
    """Returns whether a lease has the label, and is not one of Kubernetes."""
    labels = lease["metadata"].get("labels") or {}
    return labels.get(LABEL[0]) == LABEL[1] and bool(namespace) and not namespace.startswith(SYSTEM_PREFIX)


def is_too_soon(last: str, this: str | None, renewal: timedelta) -> bool:
    """Compares two times of the clients' clocks.

    A time before the last one is not too soon: a clock was set.
    """
    if this is None:
        return False
    since = datetime.fromisoformat(this) - datetime.fromisoformat(last)
    return timedelta(0) < since < renewal


async def mutate(request: web.Request) -> web.Response:
    """Answers an AdmissionReview. It always allows the request."""
    review = await request.json()
    asked = review["request"]
    answer: Object = {"uid": asked["uid"], "allowed": True}
    if operations := patch(asked, request.app[RENEWAL]):
        answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}
    return web.json_response({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer})


async def healthz(request: web.Request) -> web.Response:
    """Answers the probes: it has nothing to wait for."""
    return web.Response(text="ok")


def application(renewal: timedelta) -> web.Application:
    """Builds the web application."""
    app = web.Application()
    app[RENEWAL] = renewal
    app.add_routes([web.post("/mutate", mutate), web.get("/healthz", healthz)])
    return app


def main() -> None:
    """Serves until SIGTERM."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    renewal = timedelta(seconds=float(os.environ.get("RENEWAL_SECONDS", "10")))
    web.run_app(application(renewal), port=int(os.environ.get("PORT", "8443")), ssl_context=context)


if __name__ == "__main__":
    main()
