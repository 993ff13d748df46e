"""Discovery: the server's version and resources.

Some clients ask for them before they list. Only what they need is here: namespaces, which every server has, and the
served resource.
"""

from __future__ import annotations

from typing import Any

import msgspec

from benchmarks.harness.collection import Collection


def discovery(path: str, collection: Collection) -> bytes | None:
    """Returns the response if the path is one of discovery.

    Some clients append a slash.
    """
    path = path.rstrip("/")
    kind = collection.kind
    group, _, version = kind.api_version.rpartition("/")
    resources = {"/api/v1": {"namespaces": _resource("namespaces", "Namespace", False)}}
    plural = kind.resource.rpartition("/")[2]
    namespaced = "/" in next(iter(collection.items), "")
    group_path = f"/{'apis' if group else 'api'}/{kind.api_version}"
    resources.setdefault(group_path, {})[plural] = _resource(plural, kind.kind, namespaced)
    versions = {"groupVersion": kind.api_version, "version": version}
    groups = [{"name": group, "versions": [versions], "preferredVersion": versions}] if group else []
    responses: dict[str, dict[str, Any]] = {
        "/version": {"major": "1", "minor": "35", "gitVersion": "v1.35.0", "platform": "linux/amd64"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
    }
    for at, found in resources.items():
        responses[at] = {"kind": "APIResourceList", "apiVersion": "v1", "resources": list(found.values())}
        responses[at]["groupVersion"] = at.split("/", 2)[2]
    return msgspec.json.encode(responses[path]) if path in responses else None


def _resource(plural: str, kind: str, namespaced: bool) -> dict[str, Any]:
    verbs = ("delete", "get", "list", "patch", "watch")
    return {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": verbs}
