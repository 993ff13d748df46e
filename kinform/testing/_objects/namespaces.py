"""Namespaces: a few of the platform, some hundred of products, then tenants."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, metadata_field_set
from kinform.testing._objects.random_values import between, chance, past_time, pick, resource_version, timestamp, uid
from kinform.testing._objects.topology import namespace_at

_MANAGERS = {"system": "helm", "tenant": "tenant-operator"}


def namespaces(seed: int) -> Iterator[Object]:
    """Yields namespaces without end.

    About 710 B of JSON each, 410 B without managedFields.
    """
    for number in itertools.count():
        yield namespace(seed, number)


def namespace(seed: int, number: int) -> Object:
    """Returns a namespace."""
    about, rng = namespace_at(seed, number), random.Random(f"{seed} namespace {number}")
    created = timestamp(past_time(rng, 700))
    labels, annotations = {"kubernetes.io/metadata.name": about.name}, dict[str, str]()
    if about.stage == "system":
        labels |= {"pod-security.kubernetes.io/enforce": "privileged", "example.com/platform": "true"}
    else:
        labels["example.com/team"] = about.team
        if about.stage != "tenant":
            labels |= {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("audit", "enforce", "warn")}
            annotations["example.com/product"] = about.product
        annotations["example.com/contact"] = f"{about.team}@example.com"
    if about.stage == "tenant":
        annotations["example.com/cost-centre"] = f"{between(rng, 1000, 1400)}"
    elif chance(rng, 0.6):
        labels["mesh.example.net/injection"] = pick(rng, ("enabled", "enabled", "disabled"))
    metadata: Object = {
        "name": about.name,
        "uid": uid(rng),
        "resourceVersion": resource_version(rng),
        "creationTimestamp": created,
    }
    metadata["labels"] = dict(sorted(labels.items()))
    if annotations:
        metadata["annotations"] = dict(sorted(annotations.items()))
    manager = _MANAGERS.get(about.stage, "kubectl-create")
    metadata["managedFields"] = [entry(manager, created, {"f:metadata": metadata_field_set(metadata)})]
    return {"metadata": metadata, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
