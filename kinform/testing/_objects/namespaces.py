"""Namespaces: a few of the platform, some hundred of products and their stages, then tenants without end."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, of_metadata
from kinform.testing._objects.random_values import age, between, chance, moment, pick, uid, version
from kinform.testing._objects.topology import place


def namespaces(seed: int) -> Iterator[Object]:
    """Without end. About 710 B of JSON each, 410 B without managedFields."""
    for number in itertools.count():
        yield namespace(seed, number)


def namespace(seed: int, number: int) -> Object:
    """One of them."""
    where, rng = place(seed, number), random.Random(f"{seed} namespace {number}")
    begun = moment(age(rng, 700))
    labels, annotations = {"kubernetes.io/metadata.name": where.name}, dict[str, str]()
    if where.stage == "system":
        labels |= {"pod-security.kubernetes.io/enforce": "privileged", "example.com/platform": "true"}
    else:
        labels["example.com/team"] = where.team
        if where.stage != "tenant":
            labels |= {f"pod-security.kubernetes.io/{each}": "restricted" for each in ("audit", "enforce", "warn")}
            annotations["example.com/product"] = where.product
        annotations["example.com/contact"] = f"{where.team}@example.com"
    if where.stage == "tenant":
        annotations["example.com/cost-centre"] = f"{between(rng, 1000, 1400)}"
    elif chance(rng, 0.6):
        labels["mesh.example.net/injection"] = pick(rng, ("enabled", "enabled", "disabled"))
    metadata: Object = {
        "name": where.name,
        "uid": uid(rng),
        "resourceVersion": version(rng),
        "creationTimestamp": begun,
    }
    metadata["labels"] = dict(sorted(labels.items()))
    if annotations:
        metadata["annotations"] = dict(sorted(annotations.items()))
    by = {"system": "helm", "tenant": "tenant-operator"}.get(where.stage, "kubectl-create")
    metadata["managedFields"] = [entry(by, begun, {"f:metadata": of_metadata(metadata)})]
    return {"metadata": metadata, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
