"""Writes to the simulator: its faults, and where it is simpler than a real server."""

from __future__ import annotations

import json
from typing import Any, get_args

import aiohttp
import pytest

from kinform import testing
from kinform.testing import Server
from kinform.testing._faults import RequestKind

MAPS = "/api/v1/namespaces/shop/configmaps"
TYPES = {"patch": "application/merge-patch+json", "apply": "application/apply-patch+yaml"}
METHODS = {"create": "POST", "replace": "PUT", "patch": "PATCH", "apply": "PATCH", "delete": "DELETE", "get": "GET"}
WRITES = ["create", "replace", "patch", "apply", "delete"]


def config_map(name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": data}


async def send(client: aiohttp.ClientSession, verb: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """Sends a request about the config map `a`; returns the status and the body."""
    path = MAPS if verb == "create" else f"{MAPS}/a"
    headers = {"Content-Type": TYPES.get(verb, "application/json")}
    params = {"fieldManager": "tester"} if verb == "apply" else {}
    body = config_map(k=verb) if body is None and verb not in ("delete", "get") else body
    data = b"" if body is None else json.dumps(body).encode()
    async with client.request(METHODS[verb], path, data=data, headers=headers, params=params) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("verb", [*WRITES, "get"])
async def test_each_verb_is_recorded_and_can_have_faults(
    server: Server, client: aiohttp.ClientSession, verb: str
) -> None:
    if verb != "create":
        server.put("v1/configmaps", config_map())
    server.fault(testing.Unavailable(), on=verb)
    server.fault(testing.Forbidden(), on="list")
    assert (await send(client, verb))[0] == 503
    assert (await send(client, verb))[0] in (200, 201)
    assert [request.verb for request in server.requests] == [verb, verb]
    assert server.faults_left == 1
    if verb not in ("delete", "get"):
        assert json.loads(server.requests[0].body)["data"] == {"k": verb}


async def test_write_matches_each_verb_that_writes(server: Server, client: aiohttp.ClientSession) -> None:
    server.put("v1/configmaps", config_map())
    server.fault(testing.Forbidden(user="bot"), on="write", times=None)
    assert (await send(client, "get"))[0] == 200
    rbac = {"replace": "update", "apply": "patch"}
    for verb in WRITES:
        status, body = await send(client, verb)
        assert status == 403
        assert f'User "bot" cannot {rbac.get(verb, verb)} resource "configmaps"' in body["message"]
    assert set(WRITES) < set(get_args(RequestKind))


async def test_conflict_refuses_a_write(server: Server, client: aiohttp.ClientSession) -> None:
    server.put("v1/configmaps", config_map(k="1"))
    server.fault(testing.Conflict(), on="replace")
    status, body = await send(client, "replace")
    assert (status, body["reason"], body["details"]["name"]) == (409, "Conflict", "a")
    assert server.get("v1/configmaps", "shop/a")["data"] == {"k": "1"}


@pytest.mark.parametrize("fault", [testing.Hangup(), testing.LostResponse()])
async def test_a_lost_response_takes_effect_and_a_hangup_does_not(
    server: Server, client: aiohttp.ClientSession, fault: testing.Fault
) -> None:
    server.fault(fault, on="create")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await send(client, "create")
    assert server.requests[0].status is None
    assert (server.get("v1/configmaps", "shop/a") is not None) is isinstance(fault, testing.LostResponse)


async def test_a_lost_response_has_no_effect_on_a_read(server: Server, client: aiohttp.ClientSession) -> None:
    server.put("v1/configmaps", config_map())
    server.fault(testing.LostResponse(), on="get")
    assert (await send(client, "get"))[0] == 200


# Objects that the test wrote


async def test_objects_of_the_test_are_written_as_they_are(server: Server, client: aiohttp.ClientSession) -> None:
    server.register("example.com/v1/widgets", kind="Widget", status_subresource=True)
    server.put("example.com/v1/widgets", {"metadata": {"name": "w"}, "spec": {}, "status": {"ready": 1}})
    found = server.get("example.com/v1/widgets", "default/w")
    assert found["status"] == {"ready": 1}
    assert found["metadata"].keys() == {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}
    server.put("v1/configmaps", {"metadata": {"name": "a", "namespace": "shop", "finalizers": ["example.com/x"]}})
    server.delete("v1/configmaps", "shop/a")
    assert server.get("v1/configmaps", "shop/a") is None


async def test_the_first_apply_conflicts_with_objects_of_the_test(
    server: Server, client: aiohttp.ClientSession
) -> None:
    server.put("v1/configmaps", config_map(k="1"))
    status, body = await send(client, "apply", config_map(k="2"))
    assert (status, body["details"]["causes"][0]["message"]) == (
        409,
        'conflict with "before-first-apply" using v1',
    )
    status, body = await send(client, "apply", config_map(k="1", j="2"))
    assert (status, body["data"]) == (200, {"k": "1", "j": "2"})


async def test_generated_objects_can_be_applied_to(server: Server, client: aiohttp.ClientSession) -> None:
    (key,) = server.generate("v1/pods", 1, namespace="shop")
    path = f"/api/v1/namespaces/shop/pods/{key.partition('/')[2]}"
    wanted = {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"example.com/mine": "1"}}}
    before = server.get("v1/pods", key)
    headers = {"Content-Type": TYPES["apply"]}
    for body in (wanted, {**wanted, "metadata": {}}):
        async with client.patch(path, params={"fieldManager": "me"}, headers=headers, json=body) as response:
            assert response.status == 200
    after = server.get("v1/pods", key)
    before["metadata"].pop("resourceVersion")
    after["metadata"].pop("resourceVersion")
    assert after == before


# Simpler than a real server


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"data": {"$retainKeys": ["a"]}}, "$retainKeys is not simulated"),
        ({"metadata": {"$setElementOrder/finalizers": ["a"]}}, "$setElementOrder is not simulated"),
        ({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}, "$deleteFromPrimitiveList is not simulated"),
        ({"data": {"$patch": "keep"}}, "$patch: keep is not simulated here"),
    ],
)
async def test_other_strategic_directives_are_refused(
    server: Server, client: aiohttp.ClientSession, patch: dict[str, Any], message: str
) -> None:
    server.put("v1/configmaps", config_map(k="1"))
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    async with client.patch(f"{MAPS}/a", headers=headers, json=patch) as response:
        assert (response.status, (await response.json())["message"]) == (400, message)


async def test_no_namespace_is_needed_and_no_deletion_waits(server: Server, client: aiohttp.ClientSession) -> None:
    assert (await send(client, "create"))[0] == 201
    assert (await send(client, "delete", {"propagationPolicy": "Foreground"}))[0] == 200
    assert not server.keys("v1/configmaps")
