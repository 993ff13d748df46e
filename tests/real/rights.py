"""Rights of a user in the namespace of a test, on a real kube-apiserver."""

from __future__ import annotations

from tests.support.clusters import RealCluster

RBAC = "rbac.authorization.k8s.io"


async def grant_one(real: RealCluster, user: str, *verbs: str) -> None:
    """Grants rights on one object, the config map `a`, in the namespace of the test."""
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": list(verbs)}
    await real.api.create(f"{RBAC}/v1/roles", {"kind": "Role", **real.build_object("one"), "rules": [rule]})
    binding = {
        "kind": "RoleBinding",
        **real.build_object("one"),
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "one"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }
    await real.api.create(f"{RBAC}/v1/rolebindings", binding)
