"""The made-up cluster: the same everywhere, valid, of the shapes and the redundancy of real ones; and users' dumps."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from benchmarks.corpus import MADE, dump, key_of, make, read_dump, stream, touch
from benchmarks.corpus.realism import ratio, rows
from kinform.testing._objects.managed_fields import entry, field_set

FEW = {name: 40 if name in ("configmaps", "endpointslices") else 250 for name in MADE}
ROOT = Path(__file__).parents[2]

digest_of = """
import hashlib, sys
from benchmarks.corpus import MADE, dump, make
for name in MADE:
    found = hashlib.sha256()
    for each in make(name, 120, 3)[1]:
        found.update(dump(each))
    print(name, found.hexdigest())
"""


@pytest.fixture(scope="module")
def pods() -> list[dict[str, Any]]:
    return make("pods", 6_000, 0)[1]


every_kind = pytest.mark.parametrize("name", MADE)


# The same everywhere


def test_each_kind_is_made_the_same_in_every_process_whatever_its_hash_seed() -> None:
    told = []
    for seed in ("1", "2026"):
        command = [sys.executable, "-c", digest_of]
        told.append(subprocess.check_output(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, text=True))
    assert told[0] == told[1]
    assert len(set(told[0].split())) == 2 * len(MADE)


@every_kind
def test_the_objects_of_a_smaller_count_come_first_in_a_larger_one(name: str) -> None:
    assert make(name, FEW[name] // 2, 1)[1] == make(name, FEW[name], 1)[1][: FEW[name] // 2]


@every_kind
def test_another_seed_makes_other_objects(name: str) -> None:
    first, second = (next(stream(name, 1, seed)[1]) for seed in (1, 2))
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


@pytest.mark.parametrize("seed", range(8))
def test_no_seed_fails(seed: int) -> None:
    for name in MADE:
        assert len(make(name, 9, seed)[1]) == 9


def test_what_is_made_at_once_is_what_is_made_one_by_one() -> None:
    assert list(stream("pods", 50, 0)[1]) == make("pods", 50, 0)[1]


# Valid


@every_kind
def test_every_object_has_a_key_and_a_uid_of_its_own(name: str) -> None:
    found = make(name, FEW[name] * 4, 0)[1]
    assert len({key_of(each) for each in found}) == len(found)
    assert len({each["metadata"]["uid"] for each in found}) == len(found)


@every_kind
def test_managed_fields_name_only_what_is_in_the_object(name: str) -> None:
    kind, found = make(name, FEW[name], 0)
    for one in found:
        for manager in one["metadata"]["managedFields"]:
            order = sorted(manager) if kind.custom else [member for member in ENTRY if member in manager]
            assert [*manager] == order
            assert list(_missing(manager["fieldsV1"], one, "")) == [], key_of(one)


ENTRY = ("manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource")


def _missing(fields: dict[str, Any], found: Any, path: str) -> Iterator[str]:
    for name, inside in fields.items():
        at = f"{path}/{name}"
        if name == ".":
            continue
        if name.startswith("k:"):
            key = json.loads(name[2:])
            matching = [each for each in found if key.items() <= each.items()]
            if len(matching) != 1:
                yield at
                continue
            yield from _missing(inside, matching[0], at)
        elif not isinstance(found, dict) or name.removeprefix("f:") not in found:
            yield at
        else:
            yield from _missing(inside, found[name.removeprefix("f:")], at)


def test_fields_are_owned_by_key_where_lists_have_keys_and_as_a_whole_where_not() -> None:
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
    about = [*entry("kubelet", "now", {}, subresource="status")]
    assert about == [*ENTRY]


def test_members_of_built_in_kinds_come_in_the_order_of_their_types_and_those_of_custom_ones_sorted() -> None:
    order = "name generateName namespace uid resourceVersion generation creationTimestamp labels annotations"
    order += " ownerReferences finalizers managedFields"
    for name, (kind, _, _) in MADE.items():
        for found in make(name, 60, 0)[1]:
            members = [*found["metadata"]]
            assert members == sorted(members, key=None if kind.custom else order.split().index), name
            if kind.custom:
                assert [*found] == sorted(found)
                assert (found["apiVersion"], found["kind"]) == (kind.api_version, kind.kind)
            else:
                assert "kind" not in found


def test_pods_are_as_their_controllers_and_kubelets_leave_them(pods: list[dict[str, Any]]) -> None:
    for found in pods:
        metadata, spec, status = found["metadata"], found["spec"], found["status"]
        names = [each["name"] for each in spec["containers"]]
        assert len(set(names)) == len(names)
        volumes = [each["name"] for each in spec.get("volumes", [])]
        assert len(set(volumes)) == len(volumes)
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            assert {each["name"] for each in container.get("volumeMounts", [])} <= set(volumes)
            variables = [each["name"] for each in container.get("env", [])]
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


def test_a_pod_that_is_touched_changes_nothing_of_another(pods: list[dict[str, Any]]) -> None:
    found = make("pods", 400, 0)[1]
    for number, one in enumerate(found):
        before = dump(found[number - 1]), dump(found[(number + 1) % 400])
        touch(one, number, "2026-04-01T00:00:00Z")
        assert before == (dump(found[number - 1]), dump(found[(number + 1) % 400]))
    untouched = [each for each, was in zip(found, pods, strict=False) if each["status"] == was["status"]]
    assert untouched == []


@every_kind
def test_a_touched_object_differs(name: str) -> None:
    for found in make(name, 30, 0)[1]:
        before = dump(found)
        touch(found, 10**9, "2026-04-01T00:00:00Z")
        assert dump(found) != before


# Of the shapes of real ones


def test_pods_are_of_very_different_size(pods: list[dict[str, Any]]) -> None:
    whole = sorted(len(msgspec.json.encode(each)) for each in pods)
    pruned = sorted(len(msgspec.json.encode(_pruned(each))) for each in pods)
    assert 6_800 < sum(whole) / len(whole) < 8_800
    assert 4_300 < sum(pruned) / len(pruned) < 5_400
    assert pruned[0] < 3_000
    assert pruned[len(pruned) // 10] < 4_000
    assert pruned[len(pruned) * 99 // 100] > 11_000


def test_replicas_and_namespaces_have_a_long_tail(pods: list[dict[str, Any]]) -> None:
    replicas = [count for _, count in Counter(map(_template, pods)).most_common()]
    assert 250 < len(replicas) < 450
    assert replicas[0] < len(pods) / 12
    assert sum(replicas[: len(replicas) // 10]) > len(pods) / 3
    assert sum(count <= 3 for count in replicas) > len(replicas) / 8
    namespaces = [count for _, count in Counter(each["metadata"]["namespace"] for each in pods).most_common()]
    assert namespaces[0] > 10 * namespaces[len(namespaces) // 2]


def test_templates_are_many_among_few_pods_and_grow_slowly() -> None:
    source = stream("pods", 20_000, 0)[1]
    seen, known = set[tuple[str, ...]](), dict[int, int]()
    for number, found in enumerate(source, 1):
        seen.add(_template(found))
        if number in (158, 20_000):
            known[number] = len(seen)
    assert 130 < known[158] < 150
    assert 350 < known[20_000] < 500


def test_each_node_has_a_pod_of_the_daemonsets_and_there_are_as_many_nodes_as_pods_need(
    pods: list[dict[str, Any]],
) -> None:
    kinds = Counter(each["metadata"].get("ownerReferences", [{}])[0].get("kind", "") for each in pods)
    assert set(kinds) == {"ReplicaSet", "StatefulSet", "DaemonSet", "Job", "Node", ""}
    daemons = [each for each in pods if each["metadata"].get("ownerReferences", [{}])[0].get("kind") == "DaemonSet"]
    pairs = Counter((_template(each), each["spec"]["nodeName"]) for each in daemons)
    assert max(pairs.values()) == 1
    nodes = {each["spec"]["nodeName"] for each in pods if "nodeName" in each["spec"]}
    assert len(pods) / 45 < len(nodes) < len(pods) / 35
    assert {each["status"]["phase"] for each in pods} == {"Running", "Pending", "Succeeded", "Failed"}


def test_pods_addresses_are_their_own(pods: list[dict[str, Any]]) -> None:
    own = [
        each["status"]["podIP"] for each in pods if not each["spec"].get("hostNetwork") and "nodeName" in each["spec"]
    ]
    assert len(set(own)) == len(own)


def test_config_maps_have_copies_in_every_namespace_and_a_long_tail_of_sizes() -> None:
    found = make("configmaps", 900, 0)[1]
    names = Counter(each["metadata"]["name"] for each in found)
    assert names["kube-root-ca.crt"] == 100
    texts = Counter(dump(each["data"]) for each in found)
    assert len(texts) < len(found) / 2
    sizes = sorted(len(dump(each)) for each in found)
    assert sizes[0] < 600
    assert sizes[-1] > 100_000


def test_events_repeat_their_messages_and_tell_of_the_same_pods_again() -> None:
    found = make("events", 2_000, 0)[1]
    about = Counter(each["involvedObject"]["uid"] for each in found)
    assert sum(count > 2 for count in about.values()) > len(about) / 5
    assert max(each.get("count", 0) for each in found) > 100


# As redundant as real ones


def test_what_is_made_compresses_within_half_of_what_real_ones_do() -> None:
    for row in rows(0):
        for column in ("dictionary", "xz"):
            assert 1 / 1.15 < ratio(row, column) < 1.5, (row, column)


# Users' dumps


@pytest.fixture
def some() -> list[dict[str, Any]]:
    return [{"apiVersion": "v1", "kind": "Pod", **found} for found in make("pods", 5, 0)[1]]


def _lines(found: list[dict[str, Any]]) -> bytes:
    return b"\n".join(map(dump, found)) + b"\n"


def _kubectl(found: list[dict[str, Any]]) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": found}, indent=4).encode()


def _served(found: list[dict[str, Any]]) -> bytes:
    items = [{name: value for name, value in each.items() if name not in ("apiVersion", "kind")} for each in found]
    return dump({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})


def _xz(data: bytes) -> bytes:
    return lzma.compress(data)


def _zstd(data: bytes) -> bytes:
    half = len(data) // 2
    return b"".join(zstandard.ZstdCompressor().compress(each) for each in (data[:half], data[half:]))


@pytest.mark.parametrize("form", [_lines, _kubectl, _served])
@pytest.mark.parametrize("compressed", [bytes, _xz, _zstd])
def test_a_dump_is_read_in_each_form(tmp_path: Path, some: list[dict[str, Any]], form: Any, compressed: Any) -> None:
    path = tmp_path / "dump"
    path.write_bytes(compressed(form(some)))
    kind, found = read_dump(path)
    assert (kind.resource, kind.kind, kind.custom) == ("v1/pods", "Pod", False)
    assert found == some


def test_of_a_mixed_dump_the_most_frequent_kind_is_read_and_each_key_once(
    tmp_path: Path, some: list[dict[str, Any]]
) -> None:
    path = tmp_path / "dump"
    other = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}}
    path.write_bytes(_lines([other, *some, some[0], 7, {}, {"metadata": None}]))  # type: ignore[list-item]
    assert read_dump(path)[1] == some
    path.write_bytes(dump(other))
    kind, found = read_dump(path)
    assert (kind.resource, kind.custom, found) == ("example.com/v1/widgets", True, [other])


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty; expected what `kubectl get -o json` writes"),
        (b"\n\n", "empty; expected"),
        (b'{"password": "hunter2"}', "no objects with apiVersion, kind and metadata.name; expected"),
        (b'["hunter2"]', "no objects with"),
        (b"password: hunter2\n", "no JSON as a whole"),
        (b'{"items": [\n{"a": "hunter2"}\n', "nor in line 1"),
        (b'{"a": 1}\n\n{"password": "hunter2"\n', "line 3 is no JSON"),
        (b'{"a": 1}\n"hunter2\xff"\n', "line 2 is no JSON"),
        (lzma.compress(b"hunter2" * 99)[:-9], "damaged"),
        (b"\x28\xb5\x2f\xfdhunter2", "damaged"),
    ],
)
def test_what_is_no_dump_is_refused_by_name_and_line_and_never_shown(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "dump"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as refused:
        read_dump(path)
    assert str(refused.value).startswith(f"{path}: ")
    told: BaseException | None = refused.value
    while told is not None:
        assert SECRET not in str(told)
        told = told.__cause__


def test_a_folder_is_no_dump_and_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder"):
        read_dump(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_dump(tmp_path / "none")


def _pruned(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "metadata": {name: each for name, each in found["metadata"].items() if name != "managedFields"}}


def _template(found: dict[str, Any]) -> tuple[str, ...]:
    metadata, containers = found["metadata"], found["spec"]["containers"]
    return (metadata["namespace"], containers[0]["name"], *(each["image"] for each in containers))
