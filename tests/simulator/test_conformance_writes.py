"""Writes: facts that hold for a real kube-apiserver and for the simulator.

Each test runs against both, without kinform's client.
Source: the Kubernetes API concepts and conventions, checked on the real server.
"""

from __future__ import annotations

import pytest

from tests.simulator.conformance_writes import (
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Writer,
    accepted,
    causes,
    containers,
    patch_containers,
    refused,
    widgets,
)
from tests.support.admin import Object
from tests.support.clusters import Cluster

# Create


async def test_create_sets_the_metadata_of_the_server(maps: Writer) -> None:
    given = maps.obj("a", {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z"}, data={"k": "v"})
    made = accepted(await maps.create(given), 201)
    assert (made["kind"], made["apiVersion"], made["data"]) == ("ConfigMap", "v1", {"k": "v"})
    metadata = made["metadata"]
    assert metadata["namespace"] == maps.cluster.namespace
    assert metadata["uid"] != "mine"
    assert metadata["creationTimestamp"] > "2002"
    assert metadata["resourceVersion"]
    assert accepted(await maps.get("a")) == made


async def test_a_built_in_object_needs_no_kind(maps: Writer) -> None:
    assert accepted(await maps.create({"metadata": {"name": "a"}}), 201)["kind"] == "ConfigMap"


async def test_generate_name_makes_a_new_name(maps: Writer) -> None:
    names = {accepted(await maps.create(body), 201)["metadata"]["name"] for body in [_generated()] * 2}
    assert len(names) == 2
    assert all(name.startswith("job-") and len(name) == 9 for name in names)


def _generated() -> Object:
    return {"metadata": {"generateName": "job-"}}


async def test_a_name_that_exists_is_409_already_exists(maps: Writer) -> None:
    await maps.create(maps.obj("a"))
    status = refused(await maps.create(maps.obj("a")), 409, "AlreadyExists")
    assert status["message"] == 'configmaps "a" already exists'
    assert status["details"] == {"name": "a", "kind": "configmaps"}


async def test_a_namespace_always_has_the_label_with_its_name(cluster: Cluster) -> None:
    label, name = "kubernetes.io/metadata.name", f"{cluster.namespace}-labelled"
    path = f"/api/v1/namespaces/{name}"

    async def written(method: str, path: str, body: Object, kind: str = "") -> Object:
        headers = {"Content-Type": kind} if kind else {}
        answer = await cluster.api.request(method, path, body=body, headers=headers, params={"fieldManager": "test"})
        metadata: Object = accepted(answer, answer.status)["metadata"]
        return metadata

    made = await written("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert made["labels"] == {label: name}
    assert made["managedFields"][0]["fieldsV1"]["f:metadata"]["f:labels"] == {".": {}, f"f:{label}": {}}
    for labels in ({"x": "1"}, {label: "other"}, None):
        body = {"metadata": {"name": name, "labels": labels}}
        assert (await written("PUT", path, body))["labels"] == {
            label: name,
            **({"x": "1"} if labels == {"x": "1"} else {}),
        }
    unlabelled = {"metadata": {"labels": {label: None}}}
    before = (await written("PATCH", path, unlabelled, MERGE))["resourceVersion"]
    after = await written("PATCH", path, unlabelled, MERGE)
    assert (after["labels"], after["resourceVersion"]) == ({label: name}, before)
    await cluster.api.request("DELETE", path)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [({}, "FieldValueRequired"), ({"name": "A_b"}, "FieldValueInvalid"), ({"name": "-a"}, "FieldValueInvalid")],
)
async def test_a_missing_or_malformed_name_is_422(maps: Writer, metadata: Object, reason: str) -> None:
    status = refused(await maps.create({"metadata": metadata}), 422, "Invalid")
    assert causes(status) == {("metadata.name", reason)}
    assert status["details"]["kind"] == "ConfigMap"


@pytest.mark.parametrize(
    "change",
    [{"metadata": {"name": "a", "namespace": "default"}}, {"kind": "Secret"}, {"apiVersion": "v2"}],
    ids=["namespace", "kind", "version"],
)
async def test_an_object_of_another_place_or_kind_is_400(maps: Writer, change: Object) -> None:
    refused(await maps.create({**maps.obj("a"), **change}), 400, "BadRequest")


@pytest.mark.parametrize("body", [b"{", b"[]"])
async def test_a_body_that_is_no_object_is_400(maps: Writer, body: bytes) -> None:
    refused(await maps.cluster.api.request("POST", maps.path, body=body), 400, "BadRequest")


async def test_a_resource_version_on_create_is_500(maps: Writer) -> None:
    status = refused(await maps.create(maps.obj("a", {"resourceVersion": "1"})), 500, None)
    assert status["message"] == "resourceVersion should not be set on objects to be created"


async def test_a_create_without_its_namespace_is_405(cluster: Cluster) -> None:
    answer = await cluster.api.request("POST", "/api/v1/configmaps", body={"metadata": {"name": "a"}})
    refused(answer, 405, "MethodNotAllowed")


async def test_a_custom_object_needs_kind_and_version(cluster: Cluster) -> None:
    writer = await widgets(cluster)
    for field in ("kind", "apiVersion"):
        obj = writer.obj("a")
        del obj[field]
        refused(await writer.create(obj), 400, "BadRequest")
    status = refused(await writer.create({**writer.obj("a"), "kind": "Gadget"}), 422, "Invalid")
    assert causes(status) == {("kind", "FieldValueInvalid")}


# Dry run


async def test_a_dry_run_changes_nothing(maps: Writer) -> None:
    made = accepted(await maps.create(maps.obj("a"), dryRun="All"), 201)
    assert made["metadata"]["uid"]
    assert "resourceVersion" not in made["metadata"]
    refused(await maps.get("a"), 404, "NotFound")
    before = accepted(await maps.create(maps.obj("a", data={"k": "1"})), 201)
    replaced = accepted(await maps.replace("a", maps.obj("a", data={"k": "2"}), dryRun="All"))
    assert replaced["data"] == {"k": "2"}
    assert replaced["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    accepted(await maps.patch("a", {"data": {"k": "3"}}, dryRun="All"))
    accepted(await maps.delete("a", {"dryRun": ["All"]}))
    accepted(await maps.delete("a", dryRun="All"))
    assert accepted(await maps.get("a")) == before


async def test_an_unknown_dry_run_is_422(maps: Writer) -> None:
    status = refused(await maps.create(maps.obj("a"), dryRun="Some"), 422, "Invalid")
    assert causes(status) == {("dryRun", "FieldValueNotSupported")}
    assert status["details"]["kind"] == "CreateOptions"


# Replace


async def test_replace_keeps_what_is_the_servers(maps: Writer) -> None:
    before = accepted(await maps.create(maps.obj("a", data={"k": "1"})), 201)["metadata"]
    given = maps.obj("a", {"creationTimestamp": None, "labels": {"l": "1"}}, data={"other": "2"})
    after = accepted(await maps.replace("a", given))
    assert after["data"] == {"other": "2"}
    assert after["metadata"]["labels"] == {"l": "1"}
    for field in ("uid", "creationTimestamp"):
        assert after["metadata"][field] == before[field]
    assert int(after["metadata"]["resourceVersion"]) > int(before["resourceVersion"])


async def test_replace_with_an_old_version_is_409_conflict(maps: Writer) -> None:
    old = accepted(await maps.create(maps.obj("a")), 201)["metadata"]["resourceVersion"]
    accepted(await maps.replace("a", maps.obj("a", {"resourceVersion": old}, data={"k": "1"})))
    status = refused(await maps.replace("a", maps.obj("a", {"resourceVersion": old})), 409, "Conflict")
    assert status["details"] == {"name": "a", "kind": "configmaps"}
    assert status["message"].endswith("please apply your changes to the latest version and try again")


async def test_replace_of_another_uid_is_409_conflict(maps: Writer) -> None:
    await maps.create(maps.obj("a"))
    status = refused(await maps.replace("a", maps.obj("a", {"uid": "other"})), 409, "Conflict")
    assert "Precondition failed: UID in precondition: other" in status["message"]


async def test_replace_of_a_missing_object_is_404(maps: Writer) -> None:
    refused(await maps.replace("a", maps.obj("a")), 404, "NotFound")


@pytest.mark.parametrize("name", ["b", None])
async def test_replace_needs_the_name_of_its_path(maps: Writer, name: str | None) -> None:
    await maps.create(maps.obj("a"))
    refused(await maps.replace("a", {"metadata": {"name": name} if name else {}}), 400, "BadRequest")


async def test_replace_without_a_change_is_no_write(maps: Writer) -> None:
    before = accepted(await maps.create(maps.obj("a", data={"k": "1"})), 201)
    assert accepted(await maps.replace("a", maps.obj("a", data={"k": "1"}))) == before


async def test_replace_of_custom_objects_and_leases_needs_a_version(cluster: Cluster) -> None:
    leases = Writer(cluster, "coordination.k8s.io/v1/leases", "Lease")
    for writer in (await widgets(cluster), leases):
        accepted(await writer.create(writer.obj("a")), 201)
        status = refused(await writer.replace("a", writer.obj("a")), 422, "Invalid")
        assert causes(status) == {("metadata.resourceVersion", "FieldValueInvalid")}


@pytest.mark.parametrize(
    ("resource", "kind"), [("v1/serviceaccounts", "ServiceAccount"), ("rbac.authorization.k8s.io/v1/roles", "Role")]
)
async def test_replace_of_accounts_and_roles_needs_no_version(cluster: Cluster, resource: str, kind: str) -> None:
    writer = Writer(cluster, resource, kind)
    accepted(await writer.create(writer.obj("a")), 201)
    replaced = accepted(await writer.replace("a", writer.obj("a", {"labels": {"k": "1"}})))
    assert replaced["metadata"]["labels"] == {"k": "1"}


# Patches


async def test_a_merge_patch_sets_and_removes(maps: Writer) -> None:
    await maps.create(maps.obj("a", {"labels": {"l": "1"}}, data={"k": "1", "j": "2"}))
    patch: Object = {"metadata": {"labels": None, "annotations": {"n": "1"}}, "data": {"k": None, "i": "3"}}
    after = accepted(await maps.patch("a", patch))
    assert after["data"] == {"j": "2", "i": "3"}
    assert "labels" not in after["metadata"]
    assert after["metadata"]["annotations"] == {"n": "1"}
    again = accepted(await maps.patch("a", {"data": {"i": "3"}}))
    assert again["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


async def test_a_patch_may_have_preconditions(maps: Writer) -> None:
    made = accepted(await maps.create(maps.obj("a")), 201)["metadata"]
    refused(await maps.patch("a", {"metadata": {"resourceVersion": "1"}}), 409, "Conflict")
    status = refused(await maps.patch("a", {"metadata": {"uid": "other"}}), 422, "Invalid")
    assert causes(status) == {("metadata.uid", "FieldValueInvalid")}
    expected = {field: made[field] for field in ("resourceVersion", "uid")}
    accepted(await maps.patch("a", {"metadata": expected, "data": {"k": "1"}}))


@pytest.mark.parametrize("content_type", [MERGE, STRATEGIC, JSON_PATCH])
async def test_a_patch_of_a_missing_object_is_404(maps: Writer, content_type: str) -> None:
    refused(await maps.patch("a", [] if content_type == JSON_PATCH else {}, content_type), 404, "NotFound")


@pytest.mark.parametrize("metadata", [{"name": "b"}, {"namespace": "default"}])
async def test_a_patch_does_not_rename(maps: Writer, metadata: Object) -> None:
    await maps.create(maps.obj("a"))
    refused(await maps.patch("a", {"metadata": metadata}), 400, "BadRequest")


@pytest.mark.parametrize(("body", "content_type"), [(b"{", MERGE), (b"[]", MERGE), (b"{}", JSON_PATCH)])
async def test_a_patch_of_another_form_is_400(maps: Writer, body: bytes, content_type: str) -> None:
    await maps.create(maps.obj("a"))
    refused(await maps.patch("a", body, content_type), 400, "BadRequest")


async def test_a_patch_without_its_media_type_is_415(maps: Writer) -> None:
    await maps.create(maps.obj("a"))
    refused(await maps.patch("a", {}, "application/json"), 415, "UnsupportedMediaType")


async def test_a_json_patch_runs_its_operations_in_order(cluster: Cluster) -> None:
    writer = await widgets(cluster)
    await writer.create(writer.obj("a", spec={"l": [1, 2], "m": {"x/y~z": 1}, "n": 7}))
    operations: list[Object] = [
        {"op": "test", "path": "/spec/m/x~1y~0z", "value": 1},
        {"op": "add", "path": "/spec/l/-", "value": 3},
        {"op": "add", "path": "/spec/l/0", "value": 0},
        {"op": "remove", "path": "/spec/l/1"},
        {"op": "replace", "path": "/spec/l/1", "value": 9},
        {"op": "move", "from": "/spec/n", "path": "/spec/moved"},
        {"op": "copy", "from": "/spec/l", "path": "/spec/copied"},
        {"op": "replace", "path": "/spec/missing", "value": 1},
    ]
    after = accepted(await writer.patch("a", operations, JSON_PATCH))
    expected = {"l": [0, 9, 3], "m": {"x/y~z": 1}, "moved": 7, "copied": [0, 9, 3], "missing": 1}
    assert after["spec"] == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/spec/a", "value": 2},
        {"op": "replace", "path": "/spec/no/way", "value": 1},
        {"op": "add", "path": "/spec/l/9", "value": 1},
        {"op": "remove", "path": "/spec/l/9"},
        {"op": "remove", "path": "/spec/absent"},
        {"op": "fly", "path": "/spec/a"},
    ],
    ids=lambda operation: operation["op"],
)
async def test_a_json_patch_that_fails_is_422(cluster: Cluster, operation: Object) -> None:
    writer = await widgets(cluster)
    before = accepted(await writer.create(writer.obj("a", spec={"a": 1, "l": [1]})), 201)
    patch = [{"op": "add", "path": "/spec/b", "value": 1}, operation]
    refused(await writer.patch("a", patch, JSON_PATCH), 422, "Invalid")
    assert accepted(await writer.get("a")) == before


async def test_a_strategic_patch_merges_lists_by_their_keys(deployments: Writer) -> None:
    new = {"name": "y", "image": "j"}
    patch = patch_containers({"name": "x", "env": [{"name": "B", "value": "2"}]}, new)
    env = [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]
    after = accepted(await deployments.patch("a", patch, STRATEGIC))
    assert containers(after) == [{"name": "x", "image": "i", "env": env}, new]
    patch = patch_containers({"name": "x", "$patch": "delete"})
    assert containers(accepted(await deployments.patch("a", patch, STRATEGIC))) == [new]
    patch = patch_containers({"$patch": "replace"}, {"name": "z", "image": "k"})
    assert containers(accepted(await deployments.patch("a", patch, STRATEGIC))) == [{"name": "z", "image": "k"}]


async def test_a_strategic_patch_replaces_and_removes_maps(deployments: Writer) -> None:
    accepted(await deployments.patch("a", {"metadata": {"labels": {"l": "1", "m": "2"}}}, STRATEGIC))
    patch: Object = {"metadata": {"labels": {"$patch": "replace", "n": "3"}}}
    assert accepted(await deployments.patch("a", patch, STRATEGIC))["metadata"]["labels"] == {"n": "3"}
    after = accepted(await deployments.patch("a", {"metadata": {"labels": None}}, STRATEGIC))
    assert "labels" not in after["metadata"]


async def test_a_strategic_patch_adds_to_finalizers(deployments: Writer) -> None:
    for name in ("example.com/a", "example.com/b"):
        after = accepted(await deployments.patch("a", {"metadata": {"finalizers": [name]}}, STRATEGIC))
    assert after["metadata"]["finalizers"] == ["example.com/b", "example.com/a"]
    accepted(await deployments.patch("a", {"metadata": {"finalizers": None}}))


async def test_a_strategic_patch_without_a_merge_key_is_500(deployments: Writer) -> None:
    status = refused(await deployments.patch("a", patch_containers({"image": "j"}), STRATEGIC), 500, None)
    assert "does not contain declared merge key: name" in status["message"]


async def test_a_strategic_patch_of_a_custom_object_is_415(cluster: Cluster) -> None:
    writer = await widgets(cluster)
    await writer.create(writer.obj("a"))
    refused(await writer.patch("a", {"spec": {}}, STRATEGIC), 415, "UnsupportedMediaType")


# Status and generation


async def test_only_the_subresource_writes_the_status(cluster: Cluster) -> None:
    writer = await widgets(cluster, status=True)
    made = accepted(await writer.create(writer.obj("a", spec={"size": 1}, status={"ready": 1})), 201)
    assert "status" not in made
    after = accepted(await writer.patch("a", {"status": {"ready": 1}}))
    assert after["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    patch: Object = {"metadata": {"labels": {"l": "1"}}, "spec": {"size": 9}, "status": {"ready": 1}}
    after = accepted(await writer.patch("a/status", patch))
    assert (after["spec"], after["status"]) == ({"size": 1}, {"ready": 1})
    assert "labels" not in after["metadata"]
    assert accepted(await writer.get("a/status")) == after
    version = {"resourceVersion": after["metadata"]["resourceVersion"]}
    after = accepted(await writer.replace("a", writer.obj("a", version, spec={"size": 2})))
    assert (after["spec"], after["status"]) == ({"size": 2}, {"ready": 1})
    version = {"resourceVersion": after["metadata"]["resourceVersion"]}
    after = accepted(await writer.replace("a/status", writer.obj("a", version, status={"ready": 2})))
    assert (after["spec"], after["status"]) == ({"size": 2}, {"ready": 2})


async def test_a_status_without_the_subresource_is_a_field(cluster: Cluster) -> None:
    writer = await widgets(cluster)
    assert accepted(await writer.create(writer.obj("a", status={"ready": 1})), 201)["status"] == {"ready": 1}
    refused(await writer.patch("a/status", {"status": {"ready": 2}}), 404, "NotFound")


@pytest.mark.parametrize("path", ["a/status", "a/scale"])
async def test_an_unknown_subresource_is_404_without_a_name(maps: Writer, path: str) -> None:
    await maps.create(maps.obj("a"))
    for answer in (await maps.get(path), await maps.patch(path, {})):
        assert "name" not in refused(answer, 404, "NotFound")["details"]


@pytest.mark.parametrize("status", [False, True])
async def test_the_generation_counts_changes_of_the_spec(cluster: Cluster, status: bool) -> None:
    writer = await widgets(cluster, status=status)
    made = accepted(await writer.create(writer.obj("a", {"generation": 7}, spec={"size": 1})), 201)
    assert made["metadata"]["generation"] == 1
    for patch, expected in (
        ({"metadata": {"labels": {"l": "1"}}}, 1),
        ({"spec": {"size": 2}}, 2),
        ({"spec": {"size": 2}}, 2),
        ({"metadata": {"generation": 9}}, 2),
    ):
        assert accepted(await writer.patch("a", patch))["metadata"]["generation"] == expected
    after = accepted(await writer.patch("a/status" if status else "a", {"status": {"ready": 1}}))
    assert after["metadata"]["generation"] == (2 if status else 3)


async def test_built_in_objects_have_a_generation_too(deployments: Writer) -> None:
    after = accepted(await deployments.patch("a", {"metadata": {"labels": {"l": "1"}}}))
    assert after["metadata"]["generation"] == 1
    assert accepted(await deployments.patch("a", {"spec": {"replicas": 2}}))["metadata"]["generation"] == 2
    after = accepted(await deployments.patch("a/status", {"spec": {"replicas": 3}, "status": {"replicas": 2}}))
    assert (after["spec"]["replicas"], after["status"]["replicas"], after["metadata"]["generation"]) == (2, 2, 2)
    maps = Writer(deployments.cluster)
    assert "generation" not in accepted(await maps.create(maps.obj("a")), 201)["metadata"]


# Delete


async def test_delete_answers_a_status_with_the_uid(maps: Writer) -> None:
    uid = accepted(await maps.create(maps.obj("a")), 201)["metadata"]["uid"]
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    status = accepted(await maps.delete("a", options))
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"] == {"name": "a", "kind": "configmaps", "uid": uid}
    refused(await maps.delete("a"), 404, "NotFound")


async def test_delete_has_preconditions(maps: Writer) -> None:
    made = accepted(await maps.create(maps.obj("a")), 201)["metadata"]
    for wrong in ({"uid": "other"}, {"resourceVersion": "1"}):
        refused(await maps.delete("a", {"preconditions": wrong}), 409, "Conflict")
    right = {field: made[field] for field in ("uid", "resourceVersion")}
    accepted(await maps.delete("a", {"preconditions": right}))


async def test_an_unknown_propagation_is_422(maps: Writer) -> None:
    await maps.create(maps.obj("a"))
    status = refused(await maps.delete("a", {"propagationPolicy": "Sideways"}), 422, "Invalid")
    assert causes(status) == {("propagationPolicy", "FieldValueNotSupported")}


async def test_an_object_with_finalizers_is_deleted_by_the_last(cluster: Cluster) -> None:
    writer = await widgets(cluster)
    finalizers = ["example.com/a", "example.com/b"]
    await writer.create(writer.obj("a", {"finalizers": finalizers}, spec={"size": 1}))
    after = accepted(await writer.delete("a"))["metadata"]
    assert after["deletionTimestamp"]
    assert (after["deletionGracePeriodSeconds"], after["finalizers"]) == (0, finalizers)
    assert after["generation"] == 2
    assert accepted(await writer.delete("a"))["metadata"]["resourceVersion"] == after["resourceVersion"]
    status = refused(await writer.create(writer.obj("a")), 409, "AlreadyExists")
    assert status["message"].startswith("object is being deleted: ")
    more = [*finalizers, "example.com/c"]
    status = refused(await writer.patch("a", {"metadata": {"finalizers": more}}), 422, "Invalid")
    assert causes(status) == {("metadata.finalizers", "FieldValueForbidden")}
    patch: Object = {"metadata": {"finalizers": ["example.com/b"], "deletionTimestamp": None}}
    after = accepted(await writer.patch("a", patch))["metadata"]
    assert after["deletionTimestamp"]
    last = accepted(await writer.patch("a", {"metadata": {"finalizers": None}}))
    assert (last["kind"], last["spec"]) == ("Widget", {"size": 1})
    refused(await writer.get("a"), 404, "NotFound")


async def test_a_watch_sees_the_end_of_finalizers(maps: Writer) -> None:
    made = accepted(await maps.create(maps.obj("a", {"finalizers": ["example.com/a"]})), 201)
    where: Object = {"namespace": maps.cluster.namespace, "resourceVersion": made["metadata"]["resourceVersion"]}
    async with maps.cluster.api.watch("v1/configmaps", **where) as stream:
        accepted(await maps.delete("a"))
        accepted(await maps.patch("a", {"metadata": {"finalizers": []}}))
        modified, deleted = await stream.change(), await stream.change()
    assert (modified["type"], deleted["type"]) == ("MODIFIED", "DELETED")
    assert modified["object"]["metadata"]["deletionTimestamp"]


async def test_discovery_lists_patch_and_the_subresource_status(cluster: Cluster):
    listed = (await cluster.api.request("GET", "/api/v1")).json()["resources"]
    verbs = {each["name"]: each["verbs"] for each in listed}
    assert {"create", "delete", "get", "list", "patch", "update", "watch"} <= set(verbs["configmaps"])
    assert verbs["pods/status"] == ["get", "patch", "update"]
    assert "configmaps/status" not in verbs
