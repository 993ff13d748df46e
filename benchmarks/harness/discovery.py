"""What an API server says of itself: its version and the resources it has, for clients that ask before they list.

Only as much as those need: namespaces, which every server has, and what is served.
"""

from __future__ import annotations

from typing import Any

import msgspec

from benchmarks.harness.collection import Collection


def discovery(path: str, collection: Collection) -> bytes | None:
    """The answer, if the path is one of discovery; some clients end it in a slash."""
    path = path.rstrip("/")
    kind = collection.kind
    group, _, version = kind.api_version.rpartition("/")
    resources = {"/api/v1": {"namespaces": _resource("namespaces", "Namespace", False)}}
    plural = kind.resource.rpartition("/")[2]
    namespaced = "/" in next(iter(collection.items), "")
    where = f"/{'apis' if group else 'api'}/{kind.api_version}"
    resources.setdefault(where, {})[plural] = _resource(plural, kind.kind, namespaced)
    one = {"groupVersion": kind.api_version, "version": version}
    groups = [{"name": group, "versions": [one], "preferredVersion": one}] if group else []
    told: dict[str, dict[str, Any]] = {
        "/version": {"major": "1", "minor": "35", "gitVersion": "v1.35.0", "platform": "linux/amd64"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
    }
    for at, found in resources.items():
        told[at] = {"kind": "APIResourceList", "apiVersion": "v1", "resources": list(found.values())}
        told[at]["groupVersion"] = at.split("/", 2)[2]
    return msgspec.json.encode(told[path]) if path in told else None


def _resource(plural: str, kind: str, namespaced: bool) -> dict[str, Any]:
    verbs = ("delete", "get", "list", "patch", "watch")
    return {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": verbs}
