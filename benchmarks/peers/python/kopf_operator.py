"""kopf: the widget operator of docs/examples, as its users would write it.

Each Widget gets a ConfigMap by server-side apply, and a status. A ConfigMap that loses its label or is deleted comes
back. kopf records its progress in annotations of the Widgets. It has no client: this program sends its requests with
aiohttp, which kopf imports. All settings are kopf's defaults.
"""

from __future__ import annotations

import os
import sys
from typing import Any

# It imports the clients that are installed, to log in as they would. Its users do not need them.
sys.modules.update({"kubernetes": None, "kubernetes_asyncio": None})  # type: ignore[dict-item]

import aiohttp  # noqa: E402
import kopf  # noqa: E402

SERVER = os.environ["SERVER"]
LABELS = {"app.kubernetes.io/managed-by": "widget-operator"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}


@kopf.on.startup()
async def startup(memo: kopf.Memo, **_: Any) -> None:
    """Opens the client."""
    memo.session = aiohttp.ClientSession(SERVER)


@kopf.on.cleanup()
async def cleanup(memo: kopf.Memo, **_: Any) -> None:
    """Closes the client."""
    await memo.session.close()


@kopf.on.login()
async def login(**_: Any) -> kopf.ConnectionInfo:
    """Returns how to connect."""
    return kopf.ConnectionInfo(server=SERVER)


@kopf.on.resume("example.com", "v1", "widgets")
@kopf.on.create("example.com", "v1", "widgets")
@kopf.on.update("example.com", "v1", "widgets")
async def reconcile(memo: kopf.Memo, body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:
    """Applies the ConfigMap, and sets the status."""
    about, spec = body.metadata, body.spec
    name = f"{about.name}-widget"
    owner = {"apiVersion": "example.com/v1", "kind": "Widget", "name": about.name, "uid": about["uid"]}
    owner |= {"controller": True, "blockOwnerDeletion": True}
    wanted = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": about.namespace, "name": name, "labels": LABELS, "ownerReferences": [owner]},
        "data": {"size": str(spec["size"]), "color": spec.get("color", "grey")},
    }
    path = f"/api/v1/namespaces/{about.namespace}/configmaps/{name}"
    query = {"fieldManager": "widget-operator", "force": "true"}
    async with memo.session.patch(path, json=wanted, params=query, headers=APPLY) as response:
        response.raise_for_status()
    patch.status["observedGeneration"] = about["generation"]
    patch.status["configMap"] = name


@kopf.on.event("", "v1", "configmaps", labels=LABELS)
async def owned(memo: kopf.Memo, type: str | None, body: kopf.Body, **_: Any) -> None:
    """Makes kopf handle the owner of a deleted ConfigMap again."""
    if type != "DELETED":
        return
    for owner in body.metadata.get("ownerReferences", ()):
        path = f"/apis/example.com/v1/namespaces/{body.metadata.namespace}/widgets/{owner['name']}"
        content = {"metadata": {"annotations": {"example.com/restored": body.metadata["resourceVersion"]}}}
        headers = {"Content-Type": "application/merge-patch+json"}
        async with memo.session.patch(path, json=content, headers=headers) as response:
            response.raise_for_status()


if __name__ == "__main__":
    kopf.run(standalone=True, clusterwide=True)
