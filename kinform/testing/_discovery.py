"""Discovery: the groups, the versions and the resources that the server has.

Source: "API Discovery", unaggregated (kubernetes.io), and the answers of kube-apiserver 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kinform.testing._resources import ServedResource

_SHORT_NAMES = {
    "v1/configmaps": ["cm"],
    "v1/events": ["ev"],
    "v1/namespaces": ["ns"],
    "v1/nodes": ["no"],
    "v1/pods": ["po"],
    "v1/serviceaccounts": ["sa"],
    "v1/services": ["svc"],
    "apps/v1/deployments": ["deploy"],
}
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_STATUS_VERBS = ["get", "patch", "update"]


def discover(path: str, resources: Iterable[ServedResource]) -> dict[str, Any] | None:
    """Returns the answer to a request for discovery, or None if it is another one.

    Args:
        path: The path of the request: `/api`, `/apis`, or that of a group, or of a version.
        resources: The resources of the server.
    """
    path = path.rstrip("/")
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    groups: dict[str, dict[str, None]] = {}
    for resource in resources:
        if resource.group:
            groups.setdefault(resource.group, {})[resource.version] = None
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*each) for each in groups.items()]}
    for group, versions in groups.items():
        if path == f"/apis/{group}":
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}
    found = [resource for resource in resources if resource.root == path]
    if not found and path != "/api/v1":
        return None
    group_version = path.removeprefix("/apis/").removeprefix("/api/")
    listed = [entry for resource in found for entry in _entries(resource)]
    return {"kind": "APIResourceList", "groupVersion": group_version, "resources": listed}


def _group(name: str, versions: Iterable[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _entries(resource: ServedResource) -> Iterator[dict[str, Any]]:
    """Yields the entry of a resource, and that of its status if it has one."""
    about = {"namespaced": resource.namespaced, "kind": resource.kind}
    names = _SHORT_NAMES.get(resource.name)
    short = {"shortNames": names} if names else {}
    yield {"name": resource.plural, "singularName": resource.kind.lower(), **about, "verbs": _VERBS, **short}
    if resource.status:
        yield {"name": f"{resource.plural}/status", "singularName": "", **about, "verbs": _STATUS_VERBS}
