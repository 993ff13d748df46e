"""Config maps: certificates, and the configuration of workloads.

Every namespace has a certificate, some have a large bundle. The copies of one config map share their texts in memory.
Sizes have a long tail: from 300 B to 200 KB.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from collections.abc import Iterator

import msgspec

from kinform.testing._objects import words
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, field_set, metadata_field_set
from kinform.testing._objects.random_values import (
    between,
    chance,
    past_time,
    pick,
    resource_version,
    template_hash,
    timestamp,
    uid,
)
from kinform.testing._objects.texts import bundle, certificate, dashboard, properties, rules, script, setting, settings
from kinform.testing._objects.topology import Namespace, namespace_at

PER_NAMESPACE = 9
BUNDLED_CERTIFICATES = 110
FIRST_CONFIG_MAPS, FIRST_CONTENT_RATE, CONTENT_GROWTH = 200, 0.35, 0.6
"""This share of the first config maps has new content; then the number of contents grows with this power of them."""
_DESCRIPTION = "Contains what verifies the servers that are inside of this cluster."


class Content(msgspec.Struct):
    """The content of a config map and its copies.

    Attributes:
        namespace: The namespace whose name the texts contain.
        helm: Whether the config map is part of a Helm release.
    """

    name: str
    data: dict[str, str]
    namespace: Namespace
    team: str
    helm: bool


def configmaps(seed: int) -> Iterator[Object]:
    """Yields config maps without end: about 15 KB each, half of that in one of twenty."""
    rng = random.Random(f"{seed} configmaps")
    root = {"ca.crt": certificate(rng, 790)}
    mesh = {"root-cert.pem": certificate(rng, 820)}
    trusted = {"ca-bundle.crt": bundle(rng, BUNDLED_CERTIFICATES)}
    contents, cumulative_weights, contents_due = list[Content](), list[float](), 0.0
    names = set[tuple[str, str]]()
    for number in itertools.count():
        namespace_number, slot = divmod(number, PER_NAMESPACE)
        namespace = namespace_at(seed, namespace_number)
        if slot == 0:
            yield _copied(rng, "kube-root-ca.crt", root, namespace, "kube-controller-manager")
            continue
        if slot == 1 and namespace.stage != "system":
            yield _copied(rng, "mesh-root-cert", mesh, namespace, "mesh-operator")
            continue
        if slot == 2 and chance(rng, 0.48):
            yield _copied(rng, "trusted-ca-bundle", trusted, namespace, "trust-operator")
            continue
        contents_due += FIRST_CONTENT_RATE if number < FIRST_CONFIG_MAPS else CONTENT_GROWTH * contents_due / number
        if contents_due >= len(contents) + 1 or not contents:
            contents.append(content(rng, namespace))
            weight = 1 / (rng.random() + 0.03)
            cumulative_weights.append((cumulative_weights[-1] if cumulative_weights else 0.0) + weight)
            chosen = contents[-1]
        else:
            chosen = contents[bisect_right(cumulative_weights, rng.random() * cumulative_weights[-1])]
            namespace = namespace_at(seed, int(rng.random() * (namespace_number + 1)))
        yield _written(rng, chosen, namespace, names)


def content(rng: random.Random, namespace: Namespace) -> Content:
    """Returns one or several texts of one of the usual kinds."""
    product = namespace.product if namespace.stage not in ("system", "tenant") else pick(rng, words.PRODUCTS)
    length = int(12 / (rng.random() + 0.04))
    name, data = f"{product}-{pick(rng, words.ROLES)}", dict[str, str]()
    match int(rng.random() * 100):
        case kind if kind < 22:
            data["application.properties"] = properties(rng, product, namespace.name, 2 * length)
            name += "-config"
        case kind if kind < 44:
            text = settings(rng, product, namespace.name, length)
            data[pick(rng, ("config.yaml", "settings.yaml", f"{product}.yaml"))] = text
            name += "-config"
        case kind if kind < 54:
            for _ in range(between(rng, 1, 4)):
                text = script(rng, product, namespace.name, length)
                data[f"{pick(rng, words.VERBS)}-{pick(rng, words.NOUNS)}.sh"] = text
            name += "-scripts"
        case kind if kind < 64:
            data[f"{product}.rules.yaml"] = rules(rng, product, namespace.name, length // 3 + 1)
            name += "-rules"
        case kind if kind < 74:
            data[f"{product}.json"] = dashboard(rng, product, length // 2 + 2)
            name += "-dashboard"
        case _:
            for _ in range(between(rng, 1, 14)):
                setting_kind = pick(rng, words.SETTING_KINDS)
                value = setting(rng, setting_kind, product, namespace.name)
                data[f"{pick(rng, words.SETTING_SUBJECTS)}_{setting_kind}"] = value
            name += "-env"
    return Content(name, dict(sorted(data.items())), namespace, pick(rng, words.TEAMS), chance(rng, 0.6))


def _written(rng: random.Random, content: Content, namespace: Namespace, names: set[tuple[str, str]]) -> Object:
    name, data = content.name, content.data
    while (namespace.name, name) in names:
        # Like the names of tools that create another config map for each change.
        name = f"{content.name}-{template_hash(rng)}"
    names.add((namespace.name, name))
    if namespace.name != content.namespace.name and chance(rng, 0.3):
        data = {file: text.replace(content.namespace.name, namespace.name) for file, text in data.items()}
    if content.helm:
        manager, labels = "helm", {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": content.name}
        annotations = {"meta.helm.sh/release-name": content.name, "meta.helm.sh/release-namespace": namespace.name}
    else:
        manager, labels = "kubectl-client-side-apply", {"app": content.name, "example.com/owner": content.team}
        annotations = {}
    return _configmap(rng, name, data, namespace, manager, labels, annotations)


def _copied(rng: random.Random, name: str, data: dict[str, str], namespace: Namespace, manager: str) -> Object:
    annotations = {"kubernetes.io/description": _DESCRIPTION} if manager == "kube-controller-manager" else {}
    return _configmap(rng, name, data, namespace, manager, {}, annotations)


def _configmap(
    rng: random.Random,
    name: str,
    data: dict[str, str],
    namespace: Namespace,
    manager: str,
    labels: dict[str, str],
    annotations: dict[str, str],
) -> Object:
    created = timestamp(past_time(rng, 500))
    metadata: Object = {"name": name, "namespace": namespace.name, "uid": uid(rng)}
    metadata |= {"resourceVersion": resource_version(rng), "creationTimestamp": created}
    if labels:
        metadata["labels"] = labels
    if annotations:
        metadata["annotations"] = annotations
    fields = field_set({"data": data})
    if labels or annotations:
        fields["f:metadata"] = metadata_field_set(metadata)
    metadata["managedFields"] = [entry(manager, created, fields)]
    return {"metadata": metadata, "data": data}
