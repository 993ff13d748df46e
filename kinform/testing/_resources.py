"""The resources that the simulator serves: names, paths, and field selectors.

Knows no objects. The field labels are those that kube-apiserver registers for each kind.
"""

from __future__ import annotations

import re

import msgspec

from kinform.testing._objects.kinds import Kind

_NAME = re.compile(r"(?:(?P<group>[a-z0-9.-]+)/)?(?P<version>v[0-9]+(?:(?:alpha|beta)[0-9]+)?)/(?P<plural>[a-z0-9-]+)")
_COMMON_FIELDS = ("metadata.name", "metadata.namespace")


class ServedResource(msgspec.Struct, frozen=True, kw_only=True):
    """The definition of a resource."""

    group: str
    """`""` for the core group."""
    version: str
    plural: str
    kind: str
    namespaced: bool
    status: bool = False
    """Its objects have a status, which only the subresource `status` can write."""
    generation: bool = False
    """Its objects have a generation, which counts the changes outside of metadata and status."""
    unconditional: bool = True
    """A replace needs no resourceVersion."""
    custom: bool = False
    """Defined by a CRD: a different LIST envelope, sorted keys, and items with kind and apiVersion."""
    fields: tuple[str, ...] = ()
    """Field labels in addition to metadata.name and metadata.namespace."""

    @property
    def api_version(self) -> str:
        """`"v1"` or `"apps/v1"`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def name(self) -> str:
        """`"v1/pods"`: the name in calls."""
        return f"{self.api_version}/{self.plural}"

    @property
    def root(self) -> str:
        """The path of its group and version: `/api/v1` or `/apis/apps/v1`."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def qualified(self) -> str:
        """`"pods"` or `"deployments.apps"`: the name in messages."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def object_kind(self) -> Kind:
        """The kind of its objects."""
        return Kind(self.name, self.kind, self.custom)

    @property
    def unsupported(self) -> str:
        """The message for a field label that is not supported, with `{label}` in it."""
        if self.custom or self.fields:
            return "field label not supported: {label}"
        return '"{label}" is not a known field selector: only "metadata.name", "metadata.namespace"'

    def selectable(self) -> frozenset[str]:
        """Returns the field labels that a selector may use."""
        return frozenset(_COMMON_FIELDS + self.fields)


def parse_name(name: str) -> tuple[str, str, str]:
    """Splits `"apps/v1/deployments"` into group, version and plural.

    Raises:
        ValueError: The name has another form.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not a resource: expected 'v1/pods' or 'group/version/plural'")
    return match["group"] or "", match["version"], match["plural"]


def _built_in(name: str, kind: str, *fields: str, namespaced: bool = True, **more: bool) -> ServedResource:
    group, version, plural = parse_name(name)
    return ServedResource(
        group=group, version=version, plural=plural, kind=kind, namespaced=namespaced, fields=fields, **more
    )


BUILT_IN: tuple[ServedResource, ...] = (
    _built_in(
        "v1/pods",
        "Pod",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
        status=True,
        generation=True,
    ),
    _built_in("v1/namespaces", "Namespace", "status.phase", namespaced=False, status=True),
    _built_in("v1/nodes", "Node", "spec.unschedulable", namespaced=False, status=True),
    _built_in(
        "v1/events",
        "Event",
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    _built_in(
        "events.k8s.io/v1/events",
        "Event",
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingController",
        "type",
    ),
    _built_in("v1/configmaps", "ConfigMap"),
    _built_in("v1/secrets", "Secret", "type"),
    _built_in("v1/services", "Service", "spec.clusterIP", "spec.type", status=True),
    _built_in("v1/serviceaccounts", "ServiceAccount"),
    _built_in("apps/v1/deployments", "Deployment", status=True, generation=True),
    _built_in("batch/v1/jobs", "Job", "status.successful", status=True, generation=True),
    _built_in("coordination.k8s.io/v1/leases", "Lease", unconditional=False),
    _built_in("discovery.k8s.io/v1/endpointslices", "EndpointSlice", generation=True),
    _built_in("rbac.authorization.k8s.io/v1/clusterroles", "ClusterRole", namespaced=False),
    _built_in("rbac.authorization.k8s.io/v1/clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _built_in("rbac.authorization.k8s.io/v1/roles", "Role"),
    _built_in("rbac.authorization.k8s.io/v1/rolebindings", "RoleBinding"),
)
"""The resources that every server has."""
