"""LIST: facts that hold for a real kube-apiserver and for the simulator.

Each test runs against both, without kinform's client. WATCH is in test_conformance_watch.py; facts that need the real
server are in tests/real/test_protocol.py.
Source: the Kubernetes API concepts page, checked on the real server.
"""

from __future__ import annotations

import gzip
import json

import pytest

from tests.support.admin import WATCH_LIST, HttpResponse, Object, names
from tests.support.clusters import Cluster

METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


def refused(answer: HttpResponse, code: int, reason: str) -> Object:
    """Checks every field of a Status of failure, and returns the Status."""
    assert answer.status == code, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    status: Object = answer.json()
    assert list(status)[:4] == ["kind", "apiVersion", "metadata", "status"]
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert (status["code"], status["reason"]) == (code, reason)
    return status


# LIST: envelopes and items


async def test_a_built_in_list_has_kind_and_metadata_before_its_items(cluster: Cluster) -> None:
    await cluster.create("a")
    listed = (await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace)).json()
    assert list(listed) == ["kind", "apiVersion", "metadata", "items"]
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert list(listed["metadata"]) == ["resourceVersion"]


async def test_built_in_items_have_no_kind_and_api_version(cluster: Cluster) -> None:
    await cluster.create("a", data={"k": "v"})
    listed = (await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace)).json()
    assert list(listed["items"][0]) == ["metadata", "data"]


async def test_a_custom_list_has_kind_and_metadata_after_its_items(cluster: Cluster) -> None:
    resource = await cluster.create_custom_resource()
    await cluster.create("a", resource)
    listed = (await cluster.api.list_raw(resource)).json()
    assert list(listed) == ["apiVersion", "items", "kind", "metadata"]
    assert (listed["kind"], listed["apiVersion"]) == ("WidgetList", resource.rpartition("/")[0])
    assert listed["metadata"].keys() == {"continue", "resourceVersion"}
    assert listed["metadata"]["continue"] == ""


async def test_custom_items_have_kind_and_api_version_and_sorted_keys(cluster: Cluster) -> None:
    resource = await cluster.create_custom_resource()
    await cluster.create("a", resource, spec={"size": 1})
    (item,) = (await cluster.api.list_raw(resource)).json()["items"]
    assert list(item) == ["apiVersion", "kind", "metadata", "spec"]
    assert item["kind"] == "Widget"
    assert list(item["metadata"]) == sorted(item["metadata"])


@pytest.mark.parametrize("custom", [False, True], ids=["built-in", "custom"])
async def test_metadata_only_lists_have_partial_objects_with_kind(cluster: Cluster, custom: bool) -> None:
    resource = await cluster.create_custom_resource() if custom else cluster.resource
    await cluster.create("a", resource, data={"k": "v"})
    listed = (await cluster.api.list_raw(resource, namespace=cluster.namespace, headers={"Accept": METADATA})).json()
    assert list(listed) == ["kind", "apiVersion", "metadata", "items"]
    assert (listed["kind"], listed["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    (item,) = listed["items"]
    assert list(item) == ["kind", "apiVersion", "metadata"]
    assert (item["kind"], item["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")


async def test_an_empty_list_has_an_empty_array_of_items(cluster: Cluster) -> None:
    listed = await cluster.api.list_raw(cluster.resource, namespace="missing")
    assert listed.status == 200
    assert listed.json()["items"] == []


async def test_a_body_ends_with_a_newline(cluster: Cluster) -> None:
    listed = await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace)
    assert listed.body.endswith(b"}\n")


async def test_cluster_scoped_objects_have_no_namespace(cluster: Cluster) -> None:
    resource = await cluster.create_custom_resource(namespaced=False)
    stored = await cluster.api.create(resource, {"metadata": {"name": "a"}})
    assert "namespace" not in stored["metadata"]
    assert names(await cluster.api.list_raw(resource)) == ["a"]


async def test_a_list_of_all_namespaces_is_ordered_by_key(cluster: Cluster) -> None:
    resource = await cluster.create_custom_resource()
    other = f"{cluster.namespace}-b"
    await cluster.api.create("v1/namespaces", {"metadata": {"name": other}})
    await cluster.api.create(resource, {"metadata": {"name": "a", "namespace": other}})
    await cluster.create("c", resource)
    await cluster.create("b", resource)
    listed = (await cluster.api.list_raw(resource)).json()
    keys = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed["items"]]
    # "-" sorts before "/": the longer namespace comes first.
    assert keys == [(other, "a"), (cluster.namespace, "b"), (cluster.namespace, "c")]


# LIST: pages


async def test_pages_have_one_revision_and_count_remaining_items(cluster: Cluster) -> None:
    for name in "abc":
        await cluster.create(name)
    api = cluster.api
    where: Object = {"namespace": cluster.namespace}
    first = await api.list_raw(cluster.resource, **where, limit=1)
    await cluster.create("aa")
    second = await api.list_raw(cluster.resource, **where, limit=1, continue_=first.json()["metadata"]["continue"])
    third = await api.list_raw(cluster.resource, **where, limit=1, continue_=second.json()["metadata"]["continue"])
    assert [names(page) for page in (first, second, third)] == [["a"], ["b"], ["c"]]
    metadata = [page.json()["metadata"] for page in (first, second, third)]
    assert len({page["resourceVersion"] for page in metadata}) == 1
    assert [page.get("remainingItemCount") for page in metadata] == [2, 1, None]
    assert "continue" not in metadata[2]


async def test_resource_version_zero_ignores_the_limit(cluster: Cluster) -> None:
    for name in "abc":
        await cluster.create(name)
    listed = await cluster.api.list_raw(
        cluster.resource,
        namespace=cluster.namespace,
        limit=1,
        resourceVersion=0,
        resourceVersionMatch="NotOlderThan",
    )
    assert "continue" not in listed.json()["metadata"]
    assert len(names(listed)) in (2, 3)  # the watch cache may lag behind the last write


async def test_a_page_with_a_resource_version_is_refused(cluster: Cluster) -> None:
    for name in "ab":
        await cluster.create(name)
    first = (await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace, limit=1)).json()["metadata"]
    answer = await cluster.api.list_raw(
        cluster.resource, limit=1, continue_=first["continue"], resourceVersion=first["resourceVersion"]
    )
    status = refused(answer, 400, "BadRequest")
    assert status["message"] == "specifying resource version is not allowed when using continue"


async def test_an_expired_page_is_410_with_an_inconsistent_token(cluster: Cluster) -> None:
    for name in "abc":
        await cluster.create(name)
    api = cluster.api
    where: Object = {"namespace": cluster.namespace}
    first = (await api.list_raw(cluster.resource, **where, limit=1)).json()["metadata"]
    await cluster.expire_history()
    await cluster.create("bb")
    answer = await api.list_raw(cluster.resource, **where, limit=1, continue_=first["continue"])
    token = refused(answer, 410, "Expired")["metadata"]["continue"]
    second = await api.list_raw(cluster.resource, **where, limit=2, continue_=token)
    assert names(second) == ["b", "bb"]
    assert int(second.json()["metadata"]["resourceVersion"]) > int(first["resourceVersion"])


async def test_an_exact_version_that_is_compacted_is_410(cluster: Cluster) -> None:
    before = await cluster.resource_version()
    await cluster.expire_history()
    answer = await cluster.api.list_raw(
        cluster.resource, namespace=cluster.namespace, resourceVersion=before, resourceVersionMatch="Exact"
    )
    refused(answer, 410, "Expired")


async def test_a_compacted_version_still_serves_not_older_than(cluster: Cluster) -> None:
    before = await cluster.resource_version()
    await cluster.expire_history()
    listed = await cluster.api.list_raw(
        cluster.resource, namespace=cluster.namespace, resourceVersion=before, resourceVersionMatch="NotOlderThan"
    )
    assert listed.status == 200
    assert int(listed.json()["metadata"]["resourceVersion"]) > int(before)


# LIST and WATCH: what is refused


@pytest.mark.parametrize("match", [None, "NotOlderThan"])
async def test_a_future_version_is_504_with_a_cause(cluster: Cluster, match: str | None) -> None:
    params: Object = {"resourceVersionMatch": match} if match else {}
    answer = await cluster.api.list_raw(cluster.resource, resourceVersion=99_999_999, **params)
    status = refused(answer, 504, "Timeout")
    assert status["details"]["causes"] == [
        {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    ]
    assert status["details"]["retryAfterSeconds"] == 1
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"labelSelector": "a b c,,"}, "unable to parse requirement"),
        ({"fieldSelector": "data.k=v"}, "is not a known field selector"),
        ({"fieldSelector": "nope"}, "invalid selector"),
        ({"continue_": "xyz", "limit": 1}, "invalid continue token"),
        ({"resourceVersion": "abc"}, "invalid resource version"),
        ({"limit": "abc"}, "invalid syntax"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_invalid_parameters_are_400(cluster: Cluster, params: Object, message: str) -> None:
    answer = await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace, **params)
    assert message in refused(answer, 400, "BadRequest")["message"]


async def test_an_unsupported_field_of_a_custom_resource_is_400(cluster: Cluster) -> None:
    answer = await cluster.api.list_raw(await cluster.create_custom_resource(), fieldSelector="spec.a=1")
    refused(answer, 400, "BadRequest")


async def test_invalid_selectors_of_a_watch_are_400(cluster: Cluster) -> None:
    async with cluster.api.watch(cluster.resource, fieldSelector="data.k=v") as stream:
        assert stream.status == 400
        assert json.loads(await stream.line())["reason"] == "BadRequest"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"resourceVersionMatch": "Exact"}, "resourceVersionMatch"),
        ({"resourceVersionMatch": "Exact", "resourceVersion": 0}, "resourceVersionMatch"),
        ({"sendInitialEvents": "true"}, "sendInitialEvents"),
        ({"watch": "true", "sendInitialEvents": "true"}, "resourceVersionMatch"),
    ],
    ids=["match alone", "exactly zero", "initial events of a list", "initial events without match"],
)
async def test_contradicting_parameters_are_422_with_the_field(cluster: Cluster, params: Object, field: str) -> None:
    answer = await cluster.api.list_raw(cluster.resource, timeoutSeconds=1, **params)
    status = refused(answer, 422, "Invalid")
    assert [cause["field"] for cause in status["details"]["causes"]] == [field]


async def test_an_unknown_group_is_404_in_plain_text(cluster: Cluster) -> None:
    answer = await cluster.api.list_raw("unknown.example.com/v1/things")
    assert answer.status == 404
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.body == b"404 page not found\n"


@pytest.mark.parametrize("resource", ["v1/things", "apps/v1/things"])
async def test_an_unknown_resource_of_a_known_group_is_a_404_status(cluster: Cluster, resource: str) -> None:
    status = refused(await cluster.api.list_raw(resource), 404, "NotFound")
    assert status["message"] == "the server could not find the requested resource"


async def test_a_cluster_scoped_resource_in_a_namespace_is_404(cluster: Cluster) -> None:
    answer = await cluster.api.list_raw("v1/nodes", namespace=cluster.namespace)
    refused(answer, 404, "NotFound")


# Selectors


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=web", ["a", "b"]),
        ("app==web,tier=back", ["b"]),
        ("app!=web", ["c", "d"]),
        ("app in (web, db)", ["a", "b", "c"]),
        ("app notin (web)", ["c", "d"]),
        ("tier", ["b"]),
        ("!app", ["d"]),
        ("", ["a", "b", "c", "d"]),
    ],
)
async def test_label_selectors_select(cluster: Cluster, selector: str, expected: list[str]) -> None:
    labels = {"a": {"app": "web"}, "b": {"app": "web", "tier": "back"}, "c": {"app": "db"}, "d": {}}
    for name, these in labels.items():
        await cluster.create(name, labels=these)
    listed = await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace, labelSelector=selector)
    assert names(listed) == expected


@pytest.mark.parametrize(
    ("selector", "expected"), [("metadata.name=a", ["a"]), ("metadata.name!=a", ["b"]), ("metadata.name=z", [])]
)
async def test_field_selectors_select(cluster: Cluster, selector: str, expected: list[str]) -> None:
    for name in "ab":
        await cluster.create(name)
    listed = await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace, fieldSelector=selector)
    assert names(listed) == expected


async def test_a_page_with_a_selector_does_not_count_remaining_items(cluster: Cluster) -> None:
    for name in "abc":
        await cluster.create(name, labels={"app": "web"})
    listed = await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace, labelSelector="app=web", limit=1)
    assert listed.json()["metadata"]["continue"]
    assert "remainingItemCount" not in listed.json()["metadata"]


# Bytes


async def test_only_a_large_list_is_gzipped_on_request(cluster: Cluster) -> None:
    async def listed(accept: str) -> HttpResponse:
        headers = {"Accept-Encoding": accept}
        return await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace, headers=headers)

    await cluster.create("small")
    assert "Content-Encoding" not in (await listed("gzip")).headers
    for index in range(3):
        await cluster.create(f"large-{index}", data={"text": "x" * 60_000})
    plain, zipped = await listed("identity"), await listed("gzip")
    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(zipped.body)) == plain.json()


@pytest.mark.parametrize("params", [{"pretty": "true"}, {}], ids=["asked for", "curl"])
async def test_lists_are_indented_for_people_but_watches_are_not(cluster: Cluster, params: Object) -> None:
    await cluster.create("a")
    headers = {} if params else {"User-Agent": "curl/8.5.0"}
    listed = await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace, headers=headers, **params)
    assert listed.body.startswith(b'{\n  "kind": "ConfigMapList",\n')
    assert names(listed) == ["a"]
    async with cluster.api.watch(
        cluster.resource, namespace=cluster.namespace, headers=headers, **params, **WATCH_LIST
    ) as stream:
        assert (await stream.line()).startswith(b'{"type":"ADDED","object":{"kind":"ConfigMap"')


async def test_text_is_returned_unchanged(cluster: Cluster) -> None:
    text = 'é ✓ 🙂 <&> " \\ / \u2028 \u0085 \u007f \t\n'
    await cluster.create("a", data={"text": text})
    listed = await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace)
    assert listed.json()["items"][0]["data"]["text"] == text
