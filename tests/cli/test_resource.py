"""The resource of `kinform watch`: names as in kubectl, found by discovery."""

from __future__ import annotations

import json

import pytest

import kinform
from kinform.cli._resource import Found, find_resource, followable_resources
from kinform.testing import Server
from tests.support.clusters import Cluster
from tests.support.scripted_server import ReceivedRequest, scripted_server

RESOURCES = {
    "v1/pods": ["v1/pods", "v1/pod", "pods", "pod", "po", "Pod", "pods.v1"],
    "v1/nodes": ["v1/nodes", "nodes", "no"],
    "apps/v1/deployments": ["deployments", "deploy", "deployments.apps", "deployment.v1.apps", "apps/v1/deployments"],
    "coordination.k8s.io/v1/leases": ["lease", "leases.coordination.k8s.io", "leases.v1.coordination.k8s.io"],
}


@pytest.mark.parametrize("resource", RESOURCES)
async def test_a_resource_is_found_by_each_of_its_names(cluster: Cluster, resource: str) -> None:
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        for name in RESOURCES[resource]:
            found = await find_resource(api, name)
            assert found == Found(kinform.Resource.of(resource), resource != "v1/nodes"), name


@pytest.mark.parametrize("name", ["widgets", "pods.apps", "deployments.v2.apps", "example.com/v1/widgets"])
async def test_a_resource_that_the_server_lacks_is_not_found(cluster: Cluster, name: str) -> None:
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        assert await find_resource(api, name) is None


@pytest.mark.parametrize("name", ["", "po ds", "pods/", "a/b/c/d", "po\nds", "pods..apps", "../pods"])
async def test_another_form_of_a_name_is_refused(server: Server, name: str) -> None:
    async with kinform.connect(server.url) as api:
        with pytest.raises(kinform.OptionError, match="resource"):
            await find_resource(api, name)
    assert server.requests == []


async def test_a_resource_without_the_preferred_version_is_found_once(server: Server) -> None:
    for resource, kind in (("v1/widgets", "Widget"), ("v1alpha1/widgets", "Widget"), ("v1alpha1/gadgets", "Gadget")):
        server.register(f"example.com/{resource}", kind=kind)
    async with kinform.connect(server.url) as api:
        assert await find_resource(api, "gadgets") == Found(kinform.Resource.of("example.com/v1alpha1/gadgets"), True)
        found = [str(each.resource) async for each in followable_resources(api) if isinstance(each, Found)]
    assert [each for each in found if "example.com" in each] == [
        "example.com/v1/widgets",
        "example.com/v1alpha1/gadgets",
    ]


GROUP = {"name": "apps", "preferredVersion": {"version": "v1"}}
DOWN = {"name": "metrics.example.com", "preferredVersion": {"version": "v1"}}
LISTED = {"resources": [{"name": "pods/status", "namespaced": True}, {"name": "deployments", "namespaced": True}]}


def answering(answers: dict[str, tuple[int, object]]) -> object:
    async def handle(request: ReceivedRequest) -> None:
        status, body = answers.get(request.path, (404, ""))
        await request.respond(status, json.dumps(body).encode())

    return handle


async def test_a_group_whose_server_is_down_is_passed_over() -> None:
    answers = {
        "/api/v1": (200, {"resources": []}),
        "/apis": (200, {"groups": [DOWN, GROUP]}),
        "/apis/metrics.example.com/v1": (503, {"message": "no endpoints"}),
        "/apis/apps/v1": (200, LISTED),
    }
    async with scripted_server(answering(answers)) as server, kinform.connect(server.url) as api:
        found = await find_resource(api, "deployments")
        assert found == Found(kinform.Resource.of("apps/v1/deployments"), True)
        assert await find_resource(api, "status") is None


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        ((401, {"message": "who\x1b are you"}), kinform.UnauthorizedError, r"401: who\\x1b are you"),
        ((403, {"reason": "Forbidden"}), kinform.ForbiddenError, "get /api/v1: the server answered 403 Forbidden"),
        ((500, "oops"), kinform.StatusError, "500"),
        ((200, "<html>"), kinform.ProtocolError, "not that of a Kubernetes API server"),
        ((200, {"resources": 7}), kinform.ProtocolError, "not that of a Kubernetes API server"),
        ((302, ""), kinform.StatusError, "302"),
    ],
)
async def test_a_failed_discovery_is_an_error(answer: tuple[int, object], error: type[Exception], text: str) -> None:
    async with scripted_server(answering({"/api/v1": answer})) as server, kinform.connect(server.url) as api:
        with pytest.raises(error, match=text):
            await find_resource(api, "pods")


async def test_what_cannot_be_followed_is_yielded_with_its_error() -> None:
    verbs = ["list", "watch"]
    answers = {
        "/api/v1": (200, {"resources": [{"name": "pods", "namespaced": True, "verbs": verbs}]}),
        "/apis": (200, {"groups": [DOWN, {"name": "example.com", "preferredVersion": {"version": "stable"}}, GROUP]}),
        "/apis/metrics.example.com/v1": (200, "<html>"),
        "/apis/example.com/stable": (200, {"resources": [{"name": "widgets", "namespaced": True, "verbs": verbs}]}),
        "/apis/apps/v1": (200, {"resources": [{"name": "deployments", "namespaced": True, "verbs": verbs}]}),
    }
    async with scripted_server(answering(answers)) as server, kinform.connect(server.url) as api:
        found = [each async for each in followable_resources(api)]
    assert [str(each.resource) if isinstance(each, Found) else (each[0], type(each[1])) for each in found] == [
        "v1/pods",
        ("metrics.example.com/v1", kinform.ProtocolError),
        ("example.com/stable/widgets", kinform.OptionError),
        "apps/v1/deployments",
    ]


async def test_a_silent_server_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(request: ReceivedRequest) -> None:
        await request.disconnected.wait()

    monkeypatch.setattr("kinform.cli._resource.TIMEOUT_SECONDS", 0.05)
    async with scripted_server(handle) as server, kinform.connect(server.url) as api:
        with pytest.raises(kinform.StalledError, match=r"get /api/v1: no complete response within 0\.05 s"):
            await find_resource(api, "pods")
