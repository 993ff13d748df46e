"""Guesses the plural of a resource from a kind or a singular, for hints in errors.

Source: the pluralization of kubebuilder and of client-go's `UnsafeGuessKindToResource`; the resources in the groups of
the API reference of Kubernetes whose names have no dot.
"""

from __future__ import annotations

import re

_BUILT_IN = {
    "": (
        "bindings componentstatuses configmaps endpoints events limitranges namespaces nodes persistentvolumeclaims "
        "persistentvolumes pods podtemplates replicationcontrollers resourcequotas secrets serviceaccounts services"
    ),
    "apps": "controllerrevisions daemonsets deployments replicasets statefulsets",
    "autoscaling": "horizontalpodautoscalers",
    "batch": "cronjobs jobs",
    "policy": "poddisruptionbudgets",
}


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
    if "." not in group and plural not in _BUILT_IN.get(group, "").split():
        return ""
    return plural
