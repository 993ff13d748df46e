"""The writes of a connection, on the simulator and on a real kube-apiserver."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

import kinform
from kinform._connection.connection import connect
from kinform.testing import Conflict, Hangup, LostResponse, Server, Stall, TooManyRequests, Unauthorized, Unavailable
from tests.net.listener import listening
from tests.support.clusters import Cluster
from tests.support.scripted_server import ReceivedRequest, scripted_server
from tests.support.waiting import until

MAPS = "v1/configmaps"


class Meta(msgspec.Struct, omit_defaults=True):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}
    finalizers: list[str] = []
    resourceVersion: str = ""
    uid: str = ""


class ConfigMap(msgspec.Struct, omit_defaults=True):
    metadata: Meta
    data: dict[str, str] = {}
    kind: str = "ConfigMap"


class Widget(msgspec.Struct, omit_defaults=True):
    metadata: Meta
    spec: dict[str, int] = {}
    status: dict[str, int] = {}
    kind: str = "Widget"


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[kinform.Connection]:
    async with connect(cluster.url, **cluster.connect_options) as connection:
        yield connection


# --- on both servers


async def test_an_object_is_created_read_and_deleted(cluster: Cluster, api: kinform.Connection) -> None:
    key = f"{cluster.namespace}/c"
    made = await api.create(MAPS, {"metadata": {"namespace": cluster.namespace, "name": "c"}, "data": {"k": "v"}})
    assert (made["kind"], made["apiVersion"], made["data"]) == ("ConfigMap", "v1", {"k": "v"})
    assert made["metadata"]["resourceVersion"]
    assert await api.get(MAPS, key) == made
    with pytest.raises(kinform.AlreadyExistsError) as caught:
        await api.create(MAPS, {"metadata": {"namespace": cluster.namespace, "name": "c"}})
    assert str(caught.value) == (
        f'create v1/configmaps {key}: the server answered 409 AlreadyExists: configmaps "c" already exists'
    )
    gone = await api.delete(MAPS, key, propagation="Background")
    assert (gone["status"], gone["details"]["uid"]) == ("Success", made["metadata"]["uid"])
    with pytest.raises(kinform.NotFoundError):
        await api.delete(MAPS, key)


async def test_structs_are_encoded_as_declared(cluster: Cluster, api: kinform.Connection) -> None:
    made = await api.create(MAPS, ConfigMap(Meta(name="c", namespace=cluster.namespace)), type=ConfigMap)
    assert made.metadata.resourceVersion
    assert not made.metadata.labels
    made.data["k"] = "v"
    assert (await api.replace(MAPS, made, type=ConfigMap)).data == {"k": "v"}
    applied = ConfigMap(Meta(name="d", namespace=cluster.namespace), data={"k": "v"})
    assert (await api.apply(MAPS, applied, field_manager="tests", type=ConfigMap)).data == {"k": "v"}


async def test_custom_and_cluster_scoped_objects_are_written(cluster: Cluster, api: kinform.Connection) -> None:
    resource = await cluster.create_custom_resource(namespaced=False)
    made = await api.create(resource, Widget(Meta(name="w"), spec={"size": 1}), type=Widget)
    assert made.spec == {"size": 1}
    patched = await api.patch(resource, "w", {"spec": {"size": 2}}, type=Widget)
    assert patched.spec == {"size": 2}
    await api.delete(resource, "w", uid=patched.metadata.uid, resource_version=patched.metadata.resourceVersion)


async def test_a_generated_name_is_in_the_result(cluster: Cluster, api: kinform.Connection) -> None:
    made = await api.create(
        MAPS, {"metadata": {"namespace": cluster.namespace, "generateName": "job-"}}, type=ConfigMap
    )
    assert made.metadata.name.startswith("job-")
    with pytest.raises(kinform.InvalidError) as caught:
        await api.create(MAPS, {"metadata": {"namespace": cluster.namespace}})
    assert [cause.field for cause in caught.value.causes] == ["metadata.name"]
    assert caught.value.resource == f"v1/configmaps in {cluster.namespace}"


async def test_replace_keeps_no_change_of_another_client(cluster: Cluster, api: kinform.Connection) -> None:
    first = await api.create(MAPS, ConfigMap(Meta(name="c", namespace=cluster.namespace)), type=ConfigMap)
    await api.patch(MAPS, f"{cluster.namespace}/c", {"data": {"other": "1"}})
    first.data["mine"] = "1"
    with pytest.raises(kinform.ConflictError) as caught:
        await api.replace(MAPS, first)
    assert (caught.value.status, caught.value.reason, caught.value.details["name"]) == (409, "Conflict", "c")
    first.metadata.resourceVersion = ""
    assert (await api.replace(MAPS, first, type=ConfigMap)).data == {"mine": "1"}


async def test_each_kind_of_patch_is_sent(cluster: Cluster, api: kinform.Connection) -> None:
    key = f"{cluster.namespace}/c"
    await api.create(MAPS, ConfigMap(Meta(name="c", namespace=cluster.namespace), data={"a": "1", "b": "2"}))
    merged = await api.patch(MAPS, key, {"data": {"a": None, "c": "3"}}, type=ConfigMap)
    assert merged.data == {"b": "2", "c": "3"}
    operations = [{"op": "test", "path": "/data/b", "value": "2"}, {"op": "remove", "path": "/data/b"}]
    assert (await api.patch(MAPS, key, operations, how="json", type=ConfigMap)).data == {"c": "3"}
    with pytest.raises(kinform.InvalidError):
        await api.patch(MAPS, key, operations, how="json")
    for finalizer in ("example.com/a", "example.com/b"):
        patch = ConfigMap(Meta(finalizers=[finalizer]))
        patched = await api.patch(MAPS, key, patch, how="strategic", type=ConfigMap)
    assert sorted(patched.metadata.finalizers) == ["example.com/a", "example.com/b"]
    terminating = await api.delete(MAPS, key)
    assert terminating["metadata"]["deletionTimestamp"]
    await api.patch(MAPS, key, {"metadata": {"finalizers": None}})
    with pytest.raises(kinform.NotFoundError):
        await api.get(MAPS, key)


async def test_a_patch_that_is_not_supported_is_a_bad_request(cluster: Cluster, api: kinform.Connection) -> None:
    resource = await cluster.create_custom_resource()
    await api.create(resource, Widget(Meta(name="w", namespace=cluster.namespace)))
    with pytest.raises(kinform.BadRequestError) as caught:
        await api.patch(resource, f"{cluster.namespace}/w", {"spec": {}}, how="strategic")
    assert caught.value.status == 415


async def test_apply_reports_conflicts_unless_forced(cluster: Cluster, api: kinform.Connection) -> None:
    wanted = ConfigMap(Meta(name="c", namespace=cluster.namespace), data={"k": "1"})
    await api.apply(MAPS, wanted, field_manager="one")
    wanted.data["k"] = "2"
    with pytest.raises(kinform.ConflictError) as caught:
        await api.apply(MAPS, wanted, field_manager="two")
    (cause,) = caught.value.causes
    assert (cause.reason, cause.message, cause.field) == ("FieldManagerConflict", 'conflict with "one"', ".data.k")
    applied = await api.apply(MAPS, wanted, field_manager="two", force=True)
    assert applied["data"] == {"k": "2"}
    assert [each["manager"] for each in applied["metadata"]["managedFields"]] == ["two"]
    again = await api.apply(MAPS, wanted, field_manager="two")
    assert again["metadata"]["resourceVersion"] == applied["metadata"]["resourceVersion"]


async def test_a_missing_subresource_is_named_as_the_likely_mistake(cluster: Cluster, api: kinform.Connection) -> None:
    key = f"{cluster.namespace}/a"
    await api.create(MAPS, ConfigMap(Meta(name="a", namespace=cluster.namespace)))
    with pytest.raises(kinform.NotFoundError, match=r"; v1/configmaps may have no subresource 'status'$"):
        await api.patch(MAPS, key, {"data": {}}, subresource="status")
    with pytest.raises(
        kinform.NotFoundError, match=r"; v1/configmaps may have no .* 'status'; an object in a namespace"
    ):
        await api.get(MAPS, "a", subresource="status")


async def test_the_status_is_written_by_its_subresource(cluster: Cluster, api: kinform.Connection) -> None:
    resource, key = await cluster.create_custom_resource(status=True), f"{cluster.namespace}/w"
    made = await api.create(resource, Widget(Meta(name="w", namespace=cluster.namespace)), type=Widget)
    patch = {"spec": {"size": 9}, "status": {"ready": 1}}
    patched = await api.patch(resource, key, patch, subresource="status", type=Widget)
    assert (patched.spec, patched.status) == ({}, {"ready": 1})
    patched.status = {"ready": 2}
    assert (await api.replace(resource, patched, subresource="status", type=Widget)).status == {"ready": 2}
    made.metadata = Meta(name="w", namespace=cluster.namespace)
    made.status = {"applied": 1}
    applied = await api.apply(resource, made, field_manager="tests", subresource="status", type=Widget)
    assert applied.status == {"ready": 2, "applied": 1}
    assert (await api.get(resource, key, subresource="status", type=Widget)).status == applied.status


async def test_a_dry_run_stores_nothing(cluster: Cluster, api: kinform.Connection) -> None:
    wanted, key = ConfigMap(Meta(name="c", namespace=cluster.namespace), data={"k": "1"}), f"{cluster.namespace}/c"
    assert (await api.create(MAPS, wanted, dry_run=True, type=ConfigMap)).data == {"k": "1"}
    await api.apply(MAPS, wanted, field_manager="tests", dry_run=True)
    with pytest.raises(kinform.NotFoundError):
        await api.get(MAPS, key)
    made = await api.create(MAPS, wanted)
    wanted.data["k"] = "2"
    assert (await api.replace(MAPS, wanted, dry_run=True, type=ConfigMap)).data == {"k": "2"}
    await api.patch(MAPS, key, {"data": {"k": "3"}}, dry_run=True)
    await api.delete(MAPS, key, dry_run=True)
    assert await api.get(MAPS, key) == made


async def test_writes_name_their_field_manager(cluster: Cluster, api: kinform.Connection) -> None:
    wanted = ConfigMap(Meta(name="c", namespace=cluster.namespace), data={"a": "1"})

    def managers(answer: dict[str, Any]) -> set[str]:
        return {each["manager"] for each in answer["metadata"]["managedFields"]}

    assert managers(await api.create(MAPS, wanted)) == {"kinform"}
    key = f"{cluster.namespace}/c"
    assert managers(await api.patch(MAPS, key, {"data": {"b": "1"}}, field_manager="p")) == {"kinform", "p"}
    replaced = await api.replace(MAPS, ConfigMap(wanted.metadata, data={"c": "1"}), field_manager="r")
    assert "r" in managers(replaced)


async def test_preconditions_of_a_deletion_are_conflicts(cluster: Cluster, api: kinform.Connection) -> None:
    await api.create(MAPS, ConfigMap(Meta(name="c", namespace=cluster.namespace)))
    for precondition in ({"uid": "other"}, {"resource_version": "1"}):
        with pytest.raises(kinform.ConflictError):
            await api.delete(MAPS, f"{cluster.namespace}/c", grace_period=0, **precondition)


async def test_a_missing_namespace_is_named_as_the_likely_mistake(api: kinform.Connection) -> None:
    hint = "; an object in a namespace needs it in its metadata, or in its key$"
    with pytest.raises(kinform.BadRequestError, match=f"^create v1/configmaps c: .* 405 .*{hint}"):
        await api.create(MAPS, {"metadata": {"name": "c"}})
    with pytest.raises(kinform.NotFoundError, match=f"^get v1/configmaps c: .* 404 .*{hint}"):
        await api.get(MAPS, "c")
    with pytest.raises(kinform.NotFoundError, match=r'namespaces "missing" not found$'):
        await api.get("v1/namespaces", "missing")


async def test_an_error_of_the_server_shows_no_object(cluster: Cluster, api: kinform.Connection) -> None:
    key, secret = f"{cluster.namespace}/s", {"password": "aHVudGVyMg=="}
    await api.create("v1/secrets", {"metadata": {"namespace": cluster.namespace, "name": "s"}, "data": secret})
    if cluster.name == "real":  # which quotes the whole Secret
        with pytest.raises(kinform.InvalidError, match=r"\{\.\.\.\}") as caught:
            await api.patch("v1/secrets", key, {"data": {"number": 7}})
        assert "aHVudGVyMg" not in f"{caught.value}{caught.value.causes}{caught.value.__cause__}"


# --- retries


@pytest.fixture
async def sim(server: Server) -> AsyncIterator[kinform.Connection]:
    """A connection to a simulator, which has the config map `shop/a`."""
    server.put(MAPS, {"metadata": {"namespace": "shop", "name": "a"}, "data": {"k": "0"}})
    async with kinform.connect(server.url) as connection:
        yield connection


WRITES = {
    "create": lambda api, **more: api.create(MAPS, {"metadata": {"namespace": "shop", "name": "b"}}, **more),
    "apply": lambda api, **more: api.apply(
        MAPS, {"kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "b"}}, field_manager="tests", **more
    ),
    "patch": lambda api, **more: api.patch(MAPS, "shop/a", {"data": {"k": "1"}}, **more),
    "replace": lambda api, **more: api.replace(MAPS, {"metadata": {"namespace": "shop", "name": "a"}}, **more),
    "delete": lambda api, **more: api.delete(MAPS, "shop/a", **more),
}
each_write = pytest.mark.parametrize("verb", list(WRITES))


@each_write
@pytest.mark.parametrize("fault", [Hangup(), LostResponse()])
async def test_a_write_that_may_have_arrived_is_not_repeated(
    server: Server, sim: kinform.Connection, verb: str, fault: Any
) -> None:
    server.fault(fault, on="write")
    before = server.resource_version
    with pytest.raises(kinform.TransportError) as caught:
        await WRITES[verb](sim)
    assert caught.value.reached
    assert [request.verb for request in server.requests] == [verb]
    assert (server.resource_version == before) is isinstance(fault, Hangup)


@each_write
async def test_a_write_that_did_not_arrive_is_repeated_once(verb: str) -> None:
    with listening() as listener:
        port = listener.port
    async with kinform.connect(f"http://127.0.0.1:{port}") as api:
        with pytest.raises(kinform.TransportError) as caught:
            await WRITES[verb](api)
        assert not caught.value.reached


async def test_a_write_reaches_a_server_that_has_just_started(server: Server, sim: kinform.Connection) -> None:
    opened, client = [], sim._require_open()
    open_, server_url = client._dialer.connect, server.url

    async def connect_late() -> Any:
        opened.append(server_url)
        if len(opened) == 1:
            raise kinform.TransportError("refused", reached=False)
        return await open_()

    client._dialer.connect = connect_late  # type: ignore[method-assign]
    await WRITES["create"](sim)
    assert len(opened) == 2
    assert len(server.requests) == 1


@each_write
async def test_too_many_requests_are_repeated(server: Server, sim: kinform.Connection, verb: str) -> None:
    server.fault(TooManyRequests(retry_after=0), on="write", times=2)
    await WRITES[verb](sim)
    assert [request.status for request in server.requests][:2] == [429, 429]
    assert len(server.requests) == 3


@each_write
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Conflict(), kinform.ConflictError),
        (Unavailable(retry_after=0), kinform.StatusError),
        (Unauthorized(), kinform.UnauthorizedError),
        (TooManyRequests(retry_after=None), kinform.StatusError),
    ],
)
async def test_other_refusals_are_raised_at_once(
    server: Server, sim: kinform.Connection, verb: str, fault: Any, error: type[Exception]
) -> None:
    server.fault(fault, on="write")
    with pytest.raises(error):
        await WRITES[verb](sim)
    assert len(server.requests) == 1


@each_write
async def test_a_timeout_says_that_the_write_may_have_arrived(
    server: Server, sim: kinform.Connection, verb: str
) -> None:
    server.fault(Stall(headers=False), on="write")
    with pytest.raises(kinform.StalledError, match=r"within 0\.1 s, and the server may have carried it out$") as caught:
        await WRITES[verb](sim, timeout=0.1)
    assert caught.value.reached
    await until(lambda: len(server.requests) == 1)  # sent, but perhaps not read yet


# --- arguments


OBJ: dict[str, Any] = {"kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "a"}}


class ArrayLike(msgspec.Struct, array_like=True):
    metadata: Meta


@pytest.mark.parametrize(
    ("verb", "arguments", "options", "message"),
    [
        ("create", ("configmaps", OBJ), {}, "^resource: 'configmaps'"),
        (
            "create",
            (MAPS, "secret"),
            {},
            "^obj: a value of type str is not allowed; expected a dict or a msgspec.Struct$",
        ),
        ("create", (MAPS, [OBJ]), {}, "^obj: a value of type list "),
        ("create", (MAPS, ConfigMap), {}, "^obj: a value of type StructMeta "),
        ("create", (MAPS, ArrayLike(Meta())), {}, "^obj: a value of type ArrayLike "),
        ("create", (MAPS, {**OBJ, "data": {"k": object()}}), {}, "TypeError: Encoding objects of type object is uns"),
        ("create", (MAPS, {**OBJ, "metadata": "secret"}), {}, r"got `str` - at `\$.metadata`"),
        ("create", (MAPS, {**OBJ, "metadata": {"name": 7}}), {}, r"got `int` - at `\$.metadata.name`"),
        ("create", (MAPS, {**OBJ, "apiVersion": "v2"}), {}, "^obj.apiVersion: 'v2' is not allowed; expected \"v1\""),
        ("create", (MAPS, {"metadata": {"name": "a/b"}}), {}, "^obj.metadata.name: 'a/b'"),
        ("create", (MAPS, {"metadata": {"name": "a", "namespace": ".."}}), {}, "^obj.metadata.namespace: '..'"),
        ("create", (MAPS, OBJ), {"dry_run": "All"}, "^dry_run: 'All'"),
        ("create", (MAPS, OBJ), {"field_manager": ""}, "^field_manager: ''"),
        ("create", (MAPS, OBJ), {"field_manager": "a\nb"}, "^field_manager: "),
        ("create", (MAPS, OBJ), {"timeout": "1"}, "^timeout: '1'"),
        ("create", (MAPS, OBJ), {"type": list}, "^type: "),
        ("apply", (MAPS, OBJ), {"field_manager": None}, "^field_manager: None"),
        ("apply", (MAPS, OBJ), {"field_manager": "x" * 129}, "^field_manager: "),
        ("apply", (MAPS, OBJ), {"field_manager": "x", "force": 1}, "^force: 1"),
        ("apply", (MAPS, {"metadata": {"name": "a"}}), {"field_manager": "x"}, "^obj.kind: None"),
        ("apply", (MAPS, {"kind": "ConfigMap"}), {"field_manager": "x"}, "^obj.metadata.name: None"),
        ("apply", (MAPS, OBJ), {"field_manager": "x", "subresource": "a/b"}, "^subresource: 'a/b'"),
        ("patch", (MAPS, "a/b/c", {}), {}, "^key: 'a/b/c'"),
        ("patch", (MAPS, "shop/a", []), {}, '^patch: a value of type list .*or a list with how="json"'),
        (
            "patch",
            (MAPS, "shop/a", {}),
            {"how": "json"},
            "^patch: a value of type dict is not allowed; expected a list of operations",
        ),
        ("patch", (MAPS, "shop/a", ["add"]), {"how": "json"}, "^patch: a value of type list "),
        ("patch", (MAPS, "shop/a", {}), {"how": "mege"}, "^how: 'mege' is not allowed; expected \"merge\" or"),
        ("replace", (MAPS, {"metadata": {}}), {}, "^obj.metadata.name: None"),
        ("delete", (MAPS, "shop/a"), {"uid": ""}, "^uid: ''"),
        ("delete", (MAPS, "shop/a"), {"uid": "\ud800"}, "^uid: "),
        ("delete", (MAPS, "shop/a"), {"resource_version": 7}, "^resource_version: 7"),
        ("delete", (MAPS, "shop/a"), {"propagation": "background"}, "^propagation: 'background'"),
        ("delete", (MAPS, "shop/a"), {"grace_period": -1}, "^grace_period: -1"),
        ("delete", (MAPS, "shop/a"), {"dry_run": None}, "^dry_run: None"),
    ],
)
async def test_arguments_are_checked_before_the_request(
    server: Server, sim: kinform.Connection, verb: str, arguments: Any, options: Any, message: str
) -> None:
    with pytest.raises(kinform.OptionError, match=message) as caught:
        await getattr(sim, verb)(*arguments, **options)
    assert "secret" not in str(caught.value)
    assert not server.requests


async def test_what_an_encoder_raises_is_not_shown(sim: kinform.Connection) -> None:
    class Hostile(dict[str, Any]):
        def items(self) -> Any:
            raise ValueError("hunter2")

    class Deep(msgspec.Struct):
        child: Any = None

    deep = Deep()
    deep.child = deep
    with pytest.raises(kinform.OptionError, match=r"^obj: '\(not shown\)' .* \(RecursionError\)$"):
        await sim.create(MAPS, deep)
    with pytest.raises(kinform.KinformError) as caught:
        await sim.create(MAPS, {"metadata": {"name": "x"}, "data": Hostile(a=1)})
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


# --- requests


async def recorded(call: Any) -> ReceivedRequest:
    """Returns the request that a call sends."""

    async def respond(request: ReceivedRequest) -> None:
        await request.respond(200, b"{}")

    async with scripted_server(respond) as server, kinform.connect(server.url) as api:
        await call(api)
    (request,) = server.requests
    return request


async def test_delete_sends_its_options_in_the_body() -> None:
    request = await recorded(
        lambda api: api.delete(
            "apps/v1/deployments",
            "shop/web",
            uid="u",
            resource_version="7",
            propagation="Foreground",
            grace_period=5,
            dry_run=True,
        )
    )
    assert (request.method, request.path, request.params) == (
        "DELETE",
        "/apis/apps/v1/namespaces/shop/deployments/web",
        [],
    )
    assert msgspec.json.decode(request.body) == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
        "propagationPolicy": "Foreground",
        "gracePeriodSeconds": 5,
        "dryRun": ["All"],
    }
    plain = await recorded(lambda api: api.delete("v1/nodes", "n1"))
    assert msgspec.json.decode(plain.body) == {"kind": "DeleteOptions", "apiVersion": "v1"}
    assert plain.path == "/api/v1/nodes/n1"


async def test_a_missing_version_and_a_declared_kind_are_added() -> None:
    class Scale(msgspec.Struct, omit_defaults=True):
        metadata: Meta
        kind: str = "Scale"
        apiVersion: str = "autoscaling/v1"

    sent = await recorded(lambda api: api.create("apps/v1/deployments", {"metadata": {"name": "a"}}))
    assert msgspec.json.decode(sent.body) == {"apiVersion": "apps/v1", "metadata": {"name": "a"}}
    sent = await recorded(lambda api: api.create("example.com/v1/widgets", Widget(Meta(name="a"))))
    assert msgspec.json.decode(sent.body) == {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "a"},
    }
    scale = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "a", "namespace": "shop"}}
    sent = await recorded(lambda api: api.replace("apps/v1/deployments", scale, subresource="scale"))
    assert (sent.path, msgspec.json.decode(sent.body)) == (
        "/apis/apps/v1/namespaces/shop/deployments/a/scale",
        scale,
    )


async def test_an_object_without_metadata_can_be_created() -> None:
    review = {"kind": "SelfSubjectAccessReview", "spec": {}}
    sent = await recorded(lambda api: api.create("authorization.k8s.io/v1/selfsubjectaccessreviews", review))
    assert (sent.method, sent.path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")


async def test_an_answer_that_does_not_fit_names_the_object() -> None:
    class Numbers(msgspec.Struct):
        data: dict[str, int]

    async def respond(request: ReceivedRequest) -> None:
        await request.respond(201, b'{"data":{"k":"secret"}}')

    async with scripted_server(respond) as server, kinform.connect(server.url) as api:
        with pytest.raises(kinform.DecodeError, match=r"^shop/a: cannot be decoded at \$\.data") as caught:
            await api.create(MAPS, OBJ, type=Numbers)
        assert "secret" not in str(caught.value)
        assert len(server.requests) == 1
