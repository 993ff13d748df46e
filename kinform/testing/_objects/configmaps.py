"""Config maps: certificates in every namespace, a large bundle of them in some, and what workloads are configured by.

One text in many namespaces is one object in memory. Sizes have a long tail: from 300 B to 200 KB.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from collections.abc import Iterator

import msgspec

from kinform.testing._objects import words
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, of_metadata, owned
from kinform.testing._objects.random_values import age, between, chance, moment, pick, template_hash, uid, version
from kinform.testing._objects.texts import bundle, certificate, dashboard, properties, rules, script, settings, value
from kinform.testing._objects.topology import Place, place

A_NAMESPACE = 9
"""Config maps in one, on average."""
CERTIFICATES = 110
"""In the bundle."""
FIRST, NEW_AT_FIRST, NEW_LATER = 200, 0.35, 0.6
"""Of the first a third have a text of their own; then texts grow with this power of the config maps."""


class Content(msgspec.Struct):
    """What a config map, and its copies, hold. `place` is where it was written for."""

    name: str
    data: dict[str, str]
    place: Place
    team: str
    helm: bool


def configmaps(seed: int) -> Iterator[Object]:
    """Without end. About 15 KB each, half of that in one of twenty."""
    rng = random.Random(f"{seed} configmaps")
    root = {"ca.crt": certificate(rng, 790)}
    mesh = {"root-cert.pem": certificate(rng, 820)}
    trusted = {"ca-bundle.crt": bundle(rng, CERTIFICATES)}
    contents, cumulative, due, taken = list[Content](), list[float](), 0.0, set[tuple[str, str]]()
    for number in itertools.count():
        turn, slot = divmod(number, A_NAMESPACE)
        where = place(seed, turn)
        if slot == 0:
            yield _copied(rng, "kube-root-ca.crt", root, where, "kube-controller-manager")
            continue
        if slot == 1 and where.stage != "system":
            yield _copied(rng, "mesh-root-cert", mesh, where, "mesh-operator")
            continue
        if slot == 2 and chance(rng, 0.48):
            yield _copied(rng, "trusted-ca-bundle", trusted, where, "trust-operator")
            continue
        due += NEW_AT_FIRST if number < FIRST else NEW_LATER * due / number
        if due >= len(contents) + 1 or not contents:
            contents.append(content(rng, where))
            cumulative.append((cumulative[-1] if cumulative else 0.0) + 1 / (rng.random() + 0.03))
            found, at = contents[-1], where
        else:
            found = contents[bisect_right(cumulative, rng.random() * cumulative[-1])]
            at = place(seed, int(rng.random() * (turn + 1)))
        yield _written(rng, found, at, taken)


def content(rng: random.Random, where: Place) -> Content:
    """A text, or several, of one of the usual kinds."""
    product = where.product if where.stage not in ("system", "tenant") else pick(rng, words.PRODUCTS)
    long = int(12 / (rng.random() + 0.04))
    name, data = f"{product}-{pick(rng, words.ROLES)}", dict[str, str]()
    match int(rng.random() * 100):
        case each if each < 22:
            data["application.properties"] = properties(rng, product, where.name, 2 * long)
            name += "-config"
        case each if each < 44:
            data[pick(rng, ("config.yaml", "settings.yaml", f"{product}.yaml"))] = settings(
                rng, product, where.name, long
            )
            name += "-config"
        case each if each < 54:
            for _ in range(between(rng, 1, 4)):
                text = script(rng, product, where.name, long)
                data[f"{pick(rng, words.VERBS)}-{pick(rng, words.NOUNS)}.sh"] = text
            name += "-scripts"
        case each if each < 64:
            data[f"{product}.rules.yaml"] = rules(rng, product, where.name, long // 3 + 1)
            name += "-rules"
        case each if each < 74:
            data[f"{product}.json"] = dashboard(rng, product, long // 2 + 2)
            name += "-dashboard"
        case _:
            for _ in range(between(rng, 1, 14)):
                kind = pick(rng, words.KINDS_OF_SETTINGS)
                data[f"{pick(rng, words.SUBJECTS)}_{kind}"] = value(rng, kind, product, where.name)
            name += "-env"
    return Content(name, dict(sorted(data.items())), where, pick(rng, words.TEAMS), chance(rng, 0.6))


def _written(rng: random.Random, content: Content, where: Place, taken: set[tuple[str, str]]) -> Object:
    name, data = content.name, content.data
    while (where.name, name) in taken:
        # As a tool names it that makes another one at every change.
        name = f"{content.name}-{template_hash(rng)}"
    taken.add((where.name, name))
    if where.name != content.place.name and chance(rng, 0.3):
        data = {each: text.replace(content.place.name, where.name) for each, text in data.items()}
    labels: dict[str, str] = {}
    if content.helm:
        labels = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": content.name}
        annotations = {"meta.helm.sh/release-name": content.name, "meta.helm.sh/release-namespace": where.name}
    else:
        labels, annotations = {"app": content.name, "example.com/owner": content.team}, {}
    by = "helm" if content.helm else "kubectl-client-side-apply"
    return _configmap(rng, name, data, where, by, labels, annotations)


def _copied(rng: random.Random, name: str, data: dict[str, str], where: Place, by: str) -> Object:
    about = {"kubernetes.io/description": "Contains what verifies the servers that are inside of this cluster."}
    return _configmap(rng, name, data, where, by, {}, about if by == "kube-controller-manager" else {})


def _configmap(
    rng: random.Random,
    name: str,
    data: dict[str, str],
    where: Place,
    by: str,
    labels: dict[str, str],
    annotations: dict[str, str],
) -> Object:
    begun = moment(age(rng, 500))
    metadata: Object = {"name": name, "namespace": where.name, "uid": uid(rng), "resourceVersion": version(rng)}
    metadata["creationTimestamp"] = begun
    if labels:
        metadata["labels"] = labels
    if annotations:
        metadata["annotations"] = annotations
    fields = owned({"data": data})
    if labels or annotations:
        fields["f:metadata"] = of_metadata(metadata)
    metadata["managedFields"] = [entry(by, begun, fields)]
    return {"metadata": metadata, "data": data}
