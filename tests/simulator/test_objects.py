"""Generated objects: reproducible, valid, and as varied as in real clusters.

How well they compress, compared with real ones, is in tests/benchmarks/test_corpus.py.
"""

from __future__ import annotations

import ast
import graphlib
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import kinform.testing
from kinform.testing._objects.catalogue import CATALOGUE, Maker
from kinform.testing._objects.custom import custom_objects
from kinform.testing._objects.kinds import Kind, Object, dump, key_of, touch
from kinform.testing._objects.managed_fields import entry, field_set

WIDGETS = Kind("example.com/v1/widgets", "Widget", custom=True)
KINDS: dict[str, tuple[Kind, Maker]] = {**CATALOGUE, "widgets": (WIDGETS, lambda seed: custom_objects(WIDGETS, seed))}
COUNTS = {name: 40 if name in ("configmaps", "endpointslices") else 250 for name in KINDS}
ROOT = Path(__file__).parents[2]

PRINT_DIGESTS = """
import hashlib, itertools
from kinform.testing._objects.catalogue import CATALOGUE
from kinform.testing._objects.kinds import dump
for name, (_, maker) in CATALOGUE.items():
    digest = hashlib.sha256()
    for obj in itertools.islice(maker(3), 120):
        digest.update(dump(obj))
    print(name, digest.hexdigest())
"""


def make(name: str, count: int, seed: int) -> list[Object]:
    return list(itertools.islice(KINDS[name][1](seed), count))


@pytest.fixture(scope="module")
def pods() -> list[Object]:
    return make("pods", 6_000, 0)


every_kind = pytest.mark.parametrize("name", KINDS)


# Reproducible


def test_objects_do_not_depend_on_the_hash_seed() -> None:
    outputs = []
    for seed in ("1", "2026"):
        command, environment = [sys.executable, "-c", PRINT_DIGESTS], {**os.environ, "PYTHONHASHSEED": seed}
        outputs.append(subprocess.check_output(command, cwd=ROOT, env=environment, text=True))
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0].split())) == 2 * len(CATALOGUE)


@every_kind
def test_a_larger_count_begins_with_the_same_objects(name: str) -> None:
    assert make(name, COUNTS[name] // 2, 1) == make(name, COUNTS[name], 1)[: COUNTS[name] // 2]


@every_kind
def test_another_seed_makes_other_objects(name: str) -> None:
    first, second = (make(name, 1, seed)[0] for seed in (1, 2))
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


@pytest.mark.parametrize("seed", range(8))
def test_no_seed_fails(seed: int) -> None:
    for name in KINDS:
        assert len(make(name, 9, seed)) == 9


# Valid


@every_kind
def test_every_object_has_its_own_key_and_uid(name: str) -> None:
    objects = make(name, COUNTS[name] * 4, 0)
    assert len({key_of(obj) for obj in objects}) == len(objects)
    assert len({obj["metadata"]["uid"] for obj in objects}) == len(objects)


@every_kind
def test_managed_fields_are_fields_of_the_object(name: str) -> None:
    kind = KINDS[name][0]
    for obj in make(name, COUNTS[name], 0):
        for manager in obj["metadata"]["managedFields"]:
            order = sorted(manager) if kind is CATALOGUE["customs"][0] else [key for key in ENTRY if key in manager]
            assert [*manager] == order
            assert list(_missing(manager["fieldsV1"], obj, "")) == [], key_of(obj)


ENTRY = ("manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource")


def _missing(fields: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    """Yields the paths in `fields` that `value` does not have."""
    for name, inner in fields.items():
        at = f"{path}/{name}"
        if name == ".":
            continue
        if name.startswith("v:"):
            if json.loads(name[2:]) not in value:
                yield at
        elif name.startswith("k:"):
            key = json.loads(name[2:])
            matching = [element for element in value if key.items() <= element.items()]
            if len(matching) != 1:
                yield at
                continue
            yield from _missing(inner, matching[0], at)
        elif not isinstance(value, dict) or name.removeprefix("f:") not in value:
            yield at
        else:
            yield from _missing(inner, value[name.removeprefix("f:")], at)


def test_lists_with_keys_are_owned_by_element() -> None:
    container = {"name": "a", "args": ["x"], "env": [{"name": "B", "value": "c"}], "ports": [], "securityContext": {}}
    assert field_set({"containers": [container], "tolerations": [{"operator": "Exists"}]}) == {
        "f:containers": {
            'k:{"name":"a"}': {
                ".": {},
                "f:args": {},
                "f:env": {".": {}, 'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}}},
                "f:name": {},
                "f:ports": {},
                "f:securityContext": {},
            }
        },
        "f:tolerations": {},
    }
    assert [*entry("kubelet", "now", {}, subresource="status")] == [*ENTRY]


def test_keys_have_the_order_of_an_api_server() -> None:
    order = "name generateName namespace uid resourceVersion generation creationTimestamp labels annotations"
    order += " ownerReferences finalizers managedFields"
    for name, (kind, _) in CATALOGUE.items():
        for obj in make(name, 60, 0):
            keys = [*obj["metadata"]]
            assert keys == sorted(keys, key=None if kind.custom else order.split().index), name
            if kind.custom:
                assert [*obj] == sorted(obj)
                assert (obj["apiVersion"], obj["kind"]) == (kind.api_version, kind.kind)
            else:
                assert "kind" not in obj


def test_pods_agree_with_their_controllers_and_kubelets(pods: list[Object]) -> None:
    for pod in pods:
        metadata, spec, status = pod["metadata"], pod["spec"], pod["status"]
        names = [container["name"] for container in spec["containers"]]
        assert len(set(names)) == len(names)
        volumes = [volume["name"] for volume in spec.get("volumes", [])]
        assert len(set(volumes)) == len(volumes)
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= set(volumes)
            variables = [variable["name"] for variable in container.get("env", [])]
            assert len(set(variables)) == len(variables)
        if "nodeName" in spec:
            assert [each["name"] for each in status["containerStatuses"]] == names
            assert {"ip": status["podIP"]} in status["podIPs"]
        else:
            assert status["phase"] == "Pending"
        owners = metadata.get("ownerReferences", [])
        if owners and owners[0]["kind"] == "ReplicaSet":
            assert metadata["name"].startswith(f"{owners[0]['name']}-")
            assert owners[0]["name"].endswith(metadata["labels"]["pod-template-hash"])


def test_pods_run_on_the_generated_nodes(pods: list[Object]) -> None:
    nodes = {node["metadata"]["name"] for node in make("nodes", 6_000 // 40 + 1, 0)}
    assert {pod["spec"]["nodeName"] for pod in pods if "nodeName" in pod["spec"]} <= nodes


def test_namespaced_objects_are_in_the_generated_namespaces() -> None:
    namespaces = {namespace["metadata"]["name"] for namespace in make("namespaces", 1_000, 0)}
    for name in ("pods", "services", "secrets", "deployments"):
        assert {obj["metadata"]["namespace"] for obj in make(name, 250, 0)} <= namespaces, name


def test_a_touch_of_a_pod_changes_no_other_pod(pods: list[Object]) -> None:
    touched = make("pods", 400, 0)
    for number, pod in enumerate(touched):
        before = dump(touched[number - 1]), dump(touched[(number + 1) % 400])
        touch(pod, number, "2026-04-01T00:00:00Z")
        assert before == (dump(touched[number - 1]), dump(touched[(number + 1) % 400]))
    unchanged = [pod for pod, original in zip(touched, pods, strict=False) if pod["status"] == original["status"]]
    assert unchanged == []


@every_kind
def test_a_touched_object_differs(name: str) -> None:
    for obj in make(name, 30, 0):
        before = dump(obj)
        touch(obj, 10**9, "2026-04-01T00:00:00Z")
        assert dump(obj) != before


# Varied


def test_pods_differ_in_size(pods: list[Object]) -> None:
    full = sorted(len(msgspec.json.encode(pod)) for pod in pods)
    pruned = sorted(len(msgspec.json.encode(_pruned(pod))) for pod in pods)
    assert 6_800 < sum(full) / len(full) < 8_800
    assert 4_300 < sum(pruned) / len(pruned) < 5_400
    assert pruned[0] < 3_000
    assert pruned[len(pruned) // 10] < 4_000
    assert pruned[len(pruned) * 99 // 100] > 11_000


def test_replicas_and_namespaces_have_a_long_tail(pods: list[Object]) -> None:
    replicas = [count for _, count in Counter(map(_template, pods)).most_common()]
    assert 250 < len(replicas) < 450
    assert replicas[0] < len(pods) / 12
    assert sum(replicas[: len(replicas) // 10]) > len(pods) / 3
    assert sum(count <= 3 for count in replicas) > len(replicas) / 8
    namespaces = [count for _, count in Counter(pod["metadata"]["namespace"] for pod in pods).most_common()]
    assert namespaces[0] > 10 * namespaces[len(namespaces) // 2]


def test_templates_are_frequent_at_first_and_rare_later() -> None:
    templates, numbers = set[tuple[str, ...]](), dict[int, int]()
    for number, pod in enumerate(make("pods", 20_000, 0), 1):
        templates.add(_template(pod))
        numbers[number] = len(templates)
    assert 130 < numbers[158] < 150
    assert 350 < numbers[20_000] < 500


def test_every_node_has_daemon_pods_and_about_40_pods(pods: list[Object]) -> None:
    assert set(map(_owner_kind, pods)) == {"ReplicaSet", "StatefulSet", "DaemonSet", "Job", "Node", ""}
    daemons = [pod for pod in pods if _owner_kind(pod) == "DaemonSet"]
    pairs = Counter((_template(pod), pod["spec"]["nodeName"]) for pod in daemons)
    assert max(pairs.values()) == 1
    nodes = {pod["spec"]["nodeName"] for pod in pods if "nodeName" in pod["spec"]}
    assert len(pods) / 45 < len(nodes) < len(pods) / 35
    assert {pod["status"]["phase"] for pod in pods} == {"Running", "Pending", "Succeeded", "Failed"}


def test_pods_have_distinct_addresses(pods: list[Object]) -> None:
    in_network = [pod for pod in pods if not pod["spec"].get("hostNetwork") and "nodeName" in pod["spec"]]
    assert len({pod["status"]["podIP"] for pod in in_network}) == len(in_network)


def test_config_maps_have_copies_and_a_long_tail_of_sizes() -> None:
    objects = make("configmaps", 900, 0)
    names = Counter(obj["metadata"]["name"] for obj in objects)
    assert names["kube-root-ca.crt"] == 100
    texts = Counter(dump(obj["data"]) for obj in objects)
    assert len(texts) < len(objects) / 2
    sizes = sorted(len(dump(obj)) for obj in objects)
    assert sizes[0] < 600
    assert sizes[-1] > 100_000


def test_events_repeat_for_the_same_pods() -> None:
    objects = make("events", 2_000, 0)
    pods = Counter(obj["involvedObject"]["uid"] for obj in objects)
    assert sum(count > 2 for count in pods.values()) > len(pods) / 5
    assert max(obj.get("count", 0) for obj in objects) > 100


# Modules


def _imports(path: Path) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    names = {(node.module or "", alias.name) for node in nodes for alias in node.names}
    found = {name if (name := f"{module}.{member}") in SIMULATOR else module for module, member in names}
    return {name for name in found if name.startswith("kinform")}


FOLDER = Path(kinform.testing.__file__).parent
SIMULATOR = {
    ".".join(("kinform.testing", *path.relative_to(FOLDER).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in FOLDER.rglob("*.py")
}


def test_the_generator_imports_nothing_else_of_kinform() -> None:
    for name, path in SIMULATOR.items():
        if name.startswith("kinform.testing._objects"):
            assert all(other.startswith("kinform.testing._objects") for other in _imports(path)), name


def test_no_module_of_the_simulator_imports_itself() -> None:
    graphlib.TopologicalSorter({name: _imports(path) for name, path in SIMULATOR.items()}).prepare()


def _pruned(obj: Object) -> Object:
    return {**obj, "metadata": {name: value for name, value in obj["metadata"].items() if name != "managedFields"}}


def _owner_kind(pod: Object) -> str:
    return str(pod["metadata"].get("ownerReferences", [{}])[0].get("kind", ""))


def _template(pod: Object) -> tuple[str, ...]:
    metadata, containers = pod["metadata"], pod["spec"]["containers"]
    return (metadata["namespace"], containers[0]["name"], *(container["image"] for container in containers))
