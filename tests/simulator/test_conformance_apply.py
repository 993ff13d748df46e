"""Server-side apply: facts that hold for a real server and for the simulator.

Each test runs against both, without kinform's client.
Source: KEP-555, checked on the real server.
"""

from __future__ import annotations

from tests.simulator.conformance_writes import (
    APPLY,
    Writer,
    accepted,
    causes,
    containers,
    patch_containers,
    refused,
    widgets,
)
from tests.support.admin import HttpResponse, Object
from tests.support.clusters import Cluster


def fields(answer: HttpResponse, code: int = 200) -> tuple[Object, dict[str, str]]:
    """Returns the data of a config map, and the operation of each manager."""
    found = accepted(answer, code)
    managed = found["metadata"].get("managedFields", [])
    return found.get("data") or {}, {each["manager"]: each["operation"] for each in managed}


async def test_apply_creates_and_merges(maps: Writer) -> None:
    made = await maps.apply(maps.obj("a", data={"k": "1"}), "one")
    assert fields(made, 201) == ({"k": "1"}, {"one": "Apply"})
    merged = await maps.apply(maps.obj("a", data={"j": "2"}), "two")
    assert fields(merged) == ({"k": "1", "j": "2"}, {"one": "Apply", "two": "Apply"})


async def test_apply_without_a_change_is_no_write(maps: Writer) -> None:
    obj = maps.obj("a", {"labels": {"l": "1"}}, data={"k": "1"})
    before = accepted(await maps.apply(obj, "one"), 201)
    assert accepted(await maps.apply(obj, "one")) == before


async def test_apply_removes_what_it_no_longer_has(maps: Writer) -> None:
    await maps.apply(maps.obj("a", {"labels": {"l": "1"}}, data={"k": "1", "j": "2"}), "one")
    await maps.patch("a", {"data": {"i": "3"}}, fieldManager="other")
    after = accepted(await maps.apply(maps.obj("a", data={"j": "2"}), "one"))
    assert after["data"] == {"j": "2", "i": "3"}
    assert not after["metadata"].get("labels")


async def test_apply_keeps_what_another_manager_owns_too(maps: Writer) -> None:
    for manager in ("one", "two"):
        await maps.apply(maps.obj("a", data={"k": "1"}), manager)
    assert fields(await maps.apply(maps.obj("a"), "one")) == ({"k": "1"}, {"two": "Apply"})
    assert fields(await maps.apply(maps.obj("a"), "two"))[0] == {}


async def test_a_field_of_another_apply_is_409_unless_forced(maps: Writer) -> None:
    await maps.apply(maps.obj("a", data={"k": "1"}), "one")
    wanted = maps.obj("a", data={"k": "2", "j": "2"})
    status = refused(await maps.apply(wanted, "two"), 409, "Conflict")
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k"}
    assert status["details"] == {"causes": [cause]}
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "one": .data.k'
    assert fields(await maps.apply(wanted, "two", force="true")) == ({"k": "2", "j": "2"}, {"two": "Apply"})
    refused(await maps.apply(maps.obj("a", data={"k": "1"}), "one"), 409, "Conflict")


async def test_other_writes_take_fields_over(maps: Writer) -> None:
    await maps.apply(maps.obj("a", data={"k": "1", "j": "1"}), "one")
    after = await maps.patch("a", {"data": {"k": "2"}}, fieldManager="editor")
    assert fields(after)[1] == {"one": "Apply", "editor": "Update"}
    status = refused(await maps.apply(maps.obj("a", data={"k": "1", "j": "1"}), "one"), 409, "Conflict")
    (cause,) = status["details"]["causes"]
    assert (cause["field"], cause["message"]) == (".data.k", 'conflict with "editor" using v1')
    after = await maps.apply(maps.obj("a", data={"k": "1", "j": "1"}), "one", force="true")
    assert fields(after) == ({"k": "1", "j": "1"}, {"one": "Apply"})


async def test_a_create_owns_its_fields(maps: Writer) -> None:
    await maps.create(maps.obj("a", data={"k": "1"}), fieldManager="maker")
    status = refused(await maps.apply(maps.obj("a", data={"k": "2"}), "one"), 409, "Conflict")
    assert 'conflict with "maker" using v1' in status["message"]
    after = await maps.apply(maps.obj("a", data={"k": "1"}), "one")
    assert fields(after) == ({"k": "1"}, {"maker": "Update", "one": "Apply"})


async def test_finalizers_and_owners_are_applied_one_by_one(maps: Writer) -> None:
    def wanted(mine: str) -> Object:
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": mine, "uid": mine}
        return maps.obj("a", {"finalizers": [f"example.com/{mine}"], "ownerReferences": [owner]})

    for mine in ("one", "two"):
        after = accepted(await maps.apply(wanted(mine), mine), 201 if mine == "one" else 200)["metadata"]
    assert sorted(after["finalizers"]) == ["example.com/one", "example.com/two"]
    assert sorted(owner["uid"] for owner in after["ownerReferences"]) == ["one", "two"]
    after = accepted(await maps.apply(maps.obj("a"), "one"))["metadata"]
    assert after["finalizers"] == ["example.com/two"]
    assert [owner["uid"] for owner in after["ownerReferences"]] == ["two"]
    accepted(await maps.patch("a", {"metadata": {"finalizers": None}}))


async def test_list_elements_are_applied_by_their_keys(deployments: Writer) -> None:
    sidecar = {"name": "sidecar", "image": "s"}
    wanted: Object = {**deployments.obj("a"), **patch_containers(sidecar)}
    after = accepted(await deployments.apply(wanted, "mesh"))
    assert [each["name"] for each in containers(after)] == ["x", "sidecar"]
    status = refused(
        await deployments.apply({**wanted, **patch_containers({"name": "x", "image": "?"})}, "mesh"), 409, "Conflict"
    )
    assert [cause["field"] for cause in status["details"]["causes"]] == [
        '.spec.template.spec.containers[name="x"].image'
    ]
    after = accepted(await deployments.apply(deployments.obj("a"), "mesh"))
    assert [each["name"] for each in containers(after)] == ["x"]


async def test_apply_to_the_status_owns_only_the_status(cluster: Cluster) -> None:
    writer = await widgets(cluster, status=True)
    refused(await writer.apply(writer.obj("a", status={}), "one", at="a/status"), 404, "NotFound")
    made = accepted(await writer.apply(writer.obj("a", spec={"size": 1}, status={"ready": 1}), "one"), 201)
    assert "status" not in made
    wanted = writer.obj("a", spec={"size": 2}, status={"ready": 1})
    after = accepted(await writer.apply(wanted, "one", at="a/status"))
    assert (after["spec"], after["status"], after["metadata"]["generation"]) == ({"size": 1}, {"ready": 1}, 1)
    assert accepted(await writer.apply(wanted, "one", at="a/status")) == after
    assert accepted(await writer.apply(writer.obj("a", spec={"size": 1}), "one")) == after


async def test_apply_needs_a_manager_and_a_kind(maps: Writer) -> None:
    status = refused(await maps.patch("a", maps.obj("a"), APPLY), 422, "Invalid")
    assert causes(status) == {("fieldManager", "FieldValueRequired")}
    refused(await maps.apply({"metadata": {"name": "a"}}, "one"), 400, "BadRequest")
    refused(await maps.apply({"apiVersion": "v1", "metadata": {"name": "a"}}, "one"), 400, "BadRequest")


async def test_apply_has_preconditions(maps: Writer) -> None:
    made = accepted(await maps.apply(maps.obj("a", data={"k": "1"}), "one"), 201)["metadata"]
    for field, code in (("resourceVersion", 409), ("uid", 422)):
        assert (await maps.apply(maps.obj("a", {field: "1"}, data={"k": "2"}), "one")).status == code
        accepted(await maps.apply(maps.obj("a", {field: made[field]}, data={"k": "1"}), "one"))
    refused(await maps.apply(maps.obj("b", {"uid": "1"}), "one"), 409, "Conflict")
    refused(await maps.apply(maps.obj("a", {"managedFields": [{}]}), "one"), 400, "BadRequest")
    refused(await maps.apply(maps.obj("b"), "one", at="a"), 400, "BadRequest")


async def test_apply_with_dry_run_changes_nothing(maps: Writer) -> None:
    made = accepted(await maps.apply(maps.obj("a", data={"k": "1"}), "one", dryRun="All"), 201)
    assert made["data"] == {"k": "1"}
    refused(await maps.get("a"), 404, "NotFound")
    before = accepted(await maps.apply(maps.obj("a", data={"k": "1"}), "one"), 201)
    assert accepted(await maps.apply(maps.obj("a"), "one", dryRun="All")).get("data") in (None, {})
    assert accepted(await maps.get("a")) == before


async def test_force_is_only_for_apply(maps: Writer) -> None:
    await maps.create(maps.obj("a"))
    status = refused(await maps.patch("a", {}, force="true"), 422, "Invalid")
    assert causes(status) == {("force", "FieldValueForbidden")}
