"""Guesses the resource that a caller means by another name, for hints in errors.

Source: the pluralization of kubebuilder and of client-go's `UnsafeGuessKindToResource`; the resources in the groups of
the API reference of Kubernetes whose names have no dot.
"""

from __future__ import annotations

import re

# Groups and versions, with their resources. Where two have a resource, the first one is suggested.
_BUILT_IN = {
    "v1": (
        "bindings componentstatuses configmaps endpoints events limitranges namespaces nodes persistentvolumeclaims "
        "persistentvolumes pods podtemplates replicationcontrollers resourcequotas secrets serviceaccounts services"
    ),
    "apps/v1": "controllerrevisions daemonsets deployments replicasets statefulsets",
    "autoscaling/v2": "horizontalpodautoscalers",
    "batch/v1": "cronjobs jobs",
    "policy/v1": "poddisruptionbudgets",
    "admissionregistration.k8s.io/v1": "mutatingwebhookconfigurations validatingwebhookconfigurations",
    "apiextensions.k8s.io/v1": "customresourcedefinitions",
    "apiregistration.k8s.io/v1": "apiservices",
    "certificates.k8s.io/v1": "certificatesigningrequests",
    "coordination.k8s.io/v1": "leases",
    "discovery.k8s.io/v1": "endpointslices",
    "events.k8s.io/v1": "events",
    "networking.k8s.io/v1": "ingressclasses ingresses networkpolicies",
    "node.k8s.io/v1": "runtimeclasses",
    "rbac.authorization.k8s.io/v1": "clusterrolebindings clusterroles rolebindings roles",
    "scheduling.k8s.io/v1": "priorityclasses",
    "storage.k8s.io/v1": "csidrivers csinodes storageclasses volumeattachments",
}
_CLUSTER_SCOPED = """
apiservices certificatesigningrequests clusterrolebindings clusterroles componentstatuses csidrivers csinodes
customresourcedefinitions ingressclasses mutatingwebhookconfigurations namespaces nodes persistentvolumes
priorityclasses runtimeclasses storageclasses validatingwebhookconfigurations volumeattachments
"""


def plural_of(word: str) -> str:
    """Returns the likely plural in lower case. A plural stays as it is."""
    word = word.lower()
    if re.search(r"[^aeiou]y$", word):
        return f"{word[:-1]}ies"
    if re.search(r"(ss|x|z|ch|sh)$", word):
        return f"{word}es"
    return word if word.endswith("s") else f"{word}s"


def suggest_plural(group: str, word: str) -> str:
    """Returns the plural that was likely meant, or `""` if no guess is good enough.

    Args:
        group: The group of the resource, `""` for the core group. A guess in a group of Kubernetes must exist there.
        word: The word in the place of the plural.
    """
    plural = plural_of(word)
    if "." not in group and not any(plural in plurals.split() for plurals in _plurals_of(group)):
        return ""
    return plural


def suggest_built_in(name: str) -> str:
    """Returns the resource of Kubernetes that has this name, or `""`.

    Args:
        name: A plural, singular or kind, `"pods"`; or with the group, `"deployments.apps"`, as kubectl accepts it.
    """
    word, _, group = name.partition(".")
    plural = plural_of(word)
    for api_version, plurals in _BUILT_IN.items():
        if plural in plurals.split() and (not group or group == api_version.rpartition("/")[0]):
            return f"{api_version}/{plural}"
    return ""


def is_built_in(resource: str) -> bool:
    """Returns whether a resource is one of Kubernetes."""
    api_version, _, plural = resource.rpartition("/")
    return plural in _BUILT_IN.get(api_version, "").split()


def is_cluster_scoped(resource: str) -> bool:
    """Returns whether a resource is one of Kubernetes whose objects have no namespace."""
    return is_built_in(resource) and resource.rpartition("/")[2] in _CLUSTER_SCOPED.split()


def _plurals_of(group: str) -> list[str]:
    return [plurals for api_version, plurals in _BUILT_IN.items() if api_version.rpartition("/")[0] == group]
