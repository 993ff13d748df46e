"""Models of kinform's Watch are equal to those that the clients build."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from kinform._models.builders import builder_of
from kinform._models.client import get_client
from kinform.testing import Server

KINDS = {
    "v1/pods": "V1Pod",
    "v1/nodes": "V1Node",
    "v1/events": "CoreV1Event",
    "v1/secrets": "V1Secret",
    "v1/services": "V1Service",
    "v1/configmaps": "V1ConfigMap",
    "v1/namespaces": "V1Namespace",
    "apps/v1/deployments": "V1Deployment",
    "coordination.k8s.io/v1/leases": "V1Lease",
    "discovery.k8s.io/v1/endpointslices": "V1EndpointSlice",
}


def build(client: Any, type: Any, data: Any) -> Any:
    return builder_of(get_client(f"{client.name}.client"), type)(data)


def by_the_client(client: Any, type: Any, data: Any) -> Any:
    api_client = object.__new__(client.client.ApiClient)
    if client.name == "kubernetes_asyncio":
        return api_client.deserialize(SimpleNamespace(data=json.dumps(data)), type)
    return api_client.deserialize(response_text=json.dumps(data), response_type=type, content_type="application/json")


def both(client: Any, type: Any, data: Any) -> tuple[Any, Any]:
    return build(client, type, data), by_the_client(client, type, data)


@pytest.mark.parametrize("resource", KINDS)
def test_generated_objects_give_equal_models(client, resource):
    server = Server()
    for key in server.generate(resource, 20):
        raw = server.raw(resource, key)
        assert raw is not None
        ours, theirs = both(client, KINDS[resource], msgspec.json.decode(raw))
        assert ours == theirs
        assert repr(ours) == repr(theirs)
        assert type(ours) is type(theirs)


def test_instances_have_the_attributes_of_the_client():
    pytest.importorskip("kubernetes_asyncio")
    from tests.watch.clients import Client

    data = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}}
    ours, theirs = both(Client("kubernetes_asyncio"), "V1Pod", data)
    assert vars(ours).keys() == vars(theirs).keys()
    assert vars(ours.spec.containers[0]).keys() == vars(theirs.spec.containers[0]).keys()
    ours.spec.node_name = "n"
    assert ours.spec.node_name == "n"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"metadata": None, "spec": None},
        {"unknown": {"deep": [1]}, "metadata": {"name": "a", "unknown": 1}},
        {"metadata": {"creationTimestamp": None, "labels": {}, "ownerReferences": []}},
        {"metadata": {"creationTimestamp": "2026-02-03T04:05:06Z", "generation": 3}},
        {"metadata": {"creationTimestamp": "2026-02-03T04:05:06.123456Z"}},
        {"metadata": {"creationTimestamp": "2026-02-03T04:05:06+02:00"}},
        {"metadata": {"creationTimestamp": "2026-02-03T04:05:06.123Z"}},
    ],
)
def test_unusual_objects_give_equal_models(client, data):
    ours, theirs = both(client, "V1Pod", data)
    assert ours == theirs
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("V1Pod", {"spec": {"containers": None}}),
        ("V1Pod", {"spec": {}}),
        ("V1Pod", {"metadata": {"creationTimestamp": "not a time"}}),
        ("V1Pod", {"metadata": {"creationTimestamp": "2026-13-01T00:00:00Z"}}),
        ("V1ContainerPort", {"containerPort": "abc"}),
    ],
)
def test_invalid_objects_raise_what_the_client_raises(client, type, data):
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - of the client
        by_the_client(client, type, data)
    with pytest.raises(theirs.type):
        build(client, type, data)


@pytest.mark.parametrize(
    ("type", "data"),
    [("float", 1), ("int", "7"), ("str", 7), ("bool", 1), ("object", {"a": [1]}), ("datetime", "2026-02-03T04:05:06Z")],
)
def test_scalars_are_those_of_the_client(client, type, data):
    ours, theirs = both(client, type, data)
    assert ours == theirs
    assert ours.__class__ is theirs.__class__


def test_a_class_can_be_the_type(client):
    cls = client.client.V1Pod
    assert build(client, cls, {"metadata": {"name": "a"}}) == build(client, "V1Pod", {"metadata": {"name": "a"}})
    assert build(client, object, {"a": 1}) == {"a": 1}


def test_a_schema_that_contains_itself_is_built(client):
    schema = {
        "properties": {"a": {"items": {"x-kubernetes-int-or-string": True}, "$ref": "b", "not": {"type": "string"}}}
    }
    ours, theirs = both(client, "V1JSONSchemaProps", schema)
    assert ours == theirs


def test_an_unknown_type_raises_what_the_client_raises(client):
    with pytest.raises(AttributeError, match="V1Nothing"):
        build(client, "V1Nothing", {})
