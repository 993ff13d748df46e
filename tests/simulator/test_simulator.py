"""The simulator's own interface: start and stop, objects, streams, commands.

The tests that also run on a real API server are in test_conformance*.py, and those of faults in test_faults.py.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kinform.testing import Server, digest
from kinform.testing._resources import BUILT_IN
from tests.support import admin

PODS = "/api/v1/pods"
MAPS = "/api/v1/configmaps"
WATCH_LIST = {"watch": "true", **admin.WATCH_LIST}


def config_map(name: str, namespace: str = "shop", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}, "data": {"k": "v"}}


async def listed(client: aiohttp.ClientSession, path: str, **params: str) -> Any:
    async with client.get(path, params=params) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def names_of(client: aiohttp.ClientSession, path: str) -> set[str]:
    return {item["metadata"]["name"] for item in (await listed(client, path))["items"]}


async def next_event(response: aiohttp.ClientResponse) -> tuple[str, dict[str, Any]]:
    line = json.loads(await response.content.readline())
    return line["type"], line["object"]


# Start and stop


async def test_the_program_of_the_docstring_runs() -> None:
    import kinform.testing

    async with kinform.testing.Server() as server:
        server.put("v1/pods", {"metadata": {"name": "web-0", "namespace": "shop"}})
        server.delete("v1/pods", "shop/web-0")
        server.generate("v1/pods", 100)
        server.fault(kinform.testing.Gone(), on="watch")
        server.compact()
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{server.url}{PODS}?limit=10") as response:
                assert len((await response.json())["items"]) == 10
            async with session.get(f"{server.url}{PODS}?watch=true") as response:
                assert response.status == 410
        assert [(request.verb, request.params, request.status) for request in server.requests] == [
            ("list", {"limit": "10"}, 200),
            ("watch", {"watch": "true"}, 410),
        ]


async def test_stop_leaves_no_task_even_with_open_streams() -> None:
    before = asyncio.all_tasks()
    session = aiohttp.ClientSession()
    async with session, Server() as server:
        responses = [await session.get(server.url + PODS, params=WATCH_LIST) for _ in range(3)]
        await server.wait_for_watchers(3)
        await server.stop()
        assert asyncio.all_tasks() == before
        for response in responses:
            with pytest.raises(aiohttp.ClientError):
                await response.read()
            response.close()


async def test_a_restart_keeps_the_port_and_the_objects(server: Server, client: aiohttp.ClientSession) -> None:
    server.put("v1/configmaps", config_map("a"))
    url = server.url
    await server.stop()
    server.put("v1/configmaps", config_map("b"))
    with pytest.raises(aiohttp.ClientConnectorError):
        await listed(client, MAPS)
    await server.start()
    assert server.url == url
    assert [item["metadata"]["name"] for item in (await listed(client, MAPS))["items"]] == ["a", "b"]


async def test_a_frozen_server_can_be_stopped(server: Server, client: aiohttp.ClientSession) -> None:
    server.freeze()
    asking = asyncio.create_task(listed(client, MAPS))
    await server.wait_for_request(on="list")
    await server.stop()
    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_a_stream_ends_when_its_client_disconnects(server: Server, client: aiohttp.ClientSession) -> None:
    response = await client.get(PODS, params=WATCH_LIST)
    await server.wait_for_watchers(1)
    response.close()
    await server.wait_for_watchers(0)
    assert server.requests[-1].ended


async def test_a_client_that_leaves_amid_a_write_is_not_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as client:
        client.sendall(b"GET /api/v1/configmaps?watch=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await server.wait_for_watchers(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close sends RST
    for name in "abcd":  # each is a write of its own, and the first one fails
        server.put("v1/configmaps", {**config_map(name), "data": {"k": "v" * 300_000}})
    await server.wait_for_watchers(0)
    assert not caplog.records


async def test_a_wait_that_times_out_names_its_condition(server: Server) -> None:
    with pytest.raises(TimeoutError, match="2 open watch streams"):
        await server.wait_for_watchers(2, timeout=0.01)


async def test_a_token_is_required_and_can_change(server: Server, client: aiohttp.ClientSession) -> None:
    server.token = "first"
    answers = []
    for header in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Bearer first"}):
        async with client.get(PODS, headers=header) as response:
            answers.append((response.status, (await response.json()).get("reason")))
    assert answers == [(403, "Forbidden"), (401, "Unauthorized"), (200, None)]
    server.token = "second"
    async with client.get(PODS, headers={"Authorization": "Bearer first"}) as response:
        assert response.status == 401


def test_a_kubeconfig_is_private_and_names_the_server(tmp_path: Path) -> None:
    (tmp_path / "config").touch(mode=0o644)
    path = Server(port=12345, token="abc").write_kubeconfig(tmp_path / "config")
    assert path.stat().st_mode & 0o777 == 0o600
    config = json.loads(path.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "http://127.0.0.1:12345"
    assert config["users"][0]["user"]["token"] == "abc"


# Objects


def test_objects_can_be_put_before_the_server_starts() -> None:
    server = Server()
    first = server.put("v1/configmaps", config_map("a"))
    second = server.update("v1/configmaps", "shop/a", lambda obj: obj["data"].update(k="w"))
    assert int(second) == int(first) + 1
    stored = server.get("v1/configmaps", "shop/a")
    assert stored is not None
    assert stored["data"] == {"k": "w"}
    assert stored["metadata"]["resourceVersion"] == second == server.resource_version
    assert server.get("v1/configmaps", "shop/b") is None


def test_a_recreated_object_has_another_uid() -> None:
    server = Server()
    server.put("v1/configmaps", config_map("a"))
    before = server.versions("v1/configmaps")["shop/a"]
    server.delete("v1/configmaps", "shop/a")
    server.put("v1/configmaps", config_map("a"))
    after = server.versions("v1/configmaps")["shop/a"]
    assert before[0] != after[0]
    assert int(after[1]) == int(before[1]) + 2


@pytest.mark.parametrize(
    ("resource", "obj"),
    [
        ("v1/pods", {}),
        ("v1/pods", {"metadata": {}}),
        ("v1/nodes", {"metadata": {"name": "n", "namespace": "shop"}}),
        ("pods", {"metadata": {"name": "a"}}),
    ],
)
def test_an_invalid_object_is_refused(resource: str, obj: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"metadata|not a resource"):
        Server().put(resource, obj)


def test_an_unknown_resource_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="register"):
        Server().put("example.com/v1/widgets", {"metadata": {"name": "a"}})


def test_a_missing_object_is_named_by_its_resource_and_key() -> None:
    server = Server()
    for write in (server.touch, server.delete, lambda resource, key: server.update(resource, key, lambda obj: None)):
        with pytest.raises(KeyError, match="v1/pods has no shop/nope"):
            write("v1/pods", "shop/nope")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": "x"}, "port must be an integer from 0 to 65535: 'x'"),
        ({"port": 65_536}, "port must be an integer from 0 to 65535: 65536"),
        ({"bookmark_interval": -1}, "bookmark_interval must be a positive number of seconds: -1"),
        ({"bookmark_interval": 0}, "bookmark_interval must be a positive number of seconds: 0"),
        ({"bookmark_interval": "1s"}, "bookmark_interval must be a positive number of seconds: '1s'"),
        ({"history": -1}, "history must be a number of writes, at least 0: -1"),
    ],
)
def test_an_invalid_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Server(**options)


def test_a_negative_number_of_objects_is_refused() -> None:
    with pytest.raises(ValueError, match="n must be a number of objects, at least 0: -1"):
        Server().generate("v1/pods", -1)


def test_put_copies_its_argument() -> None:
    server, obj = Server(), config_map("a")
    server.put("v1/configmaps", obj)
    assert obj == config_map("a")
    obj["data"]["k"] = "changed"
    stored = server.get("v1/configmaps", "shop/a")
    assert stored is not None
    assert stored["data"] == {"k": "v"}


async def test_unregister_removes_a_custom_resource(server: Server, client: aiohttp.ClientSession) -> None:
    server.register("example.com/v1/widgets", kind="Widget")
    server.put("example.com/v1/widgets", {"metadata": {"name": "a", "namespace": "shop"}})
    path = "/apis/example.com/v1/widgets"
    async with client.get(path, params=WATCH_LIST) as response:
        assert [(await next_event(response))[0] for _ in range(2)] == ["ADDED", "BOOKMARK"]
        server.unregister("example.com/v1/widgets")
        assert (await next_event(response))[0] == "DELETED"
        assert await response.content.read() == b""
    async with client.get(path) as response:
        assert (response.status, await response.text()) == (404, "404 page not found\n")


async def test_pages_show_the_state_of_the_first_page(server: Server, client: aiohttp.ClientSession) -> None:
    keys = server.generate("v1/configmaps", 40)
    expected = server.versions("v1/configmaps")
    seen: dict[str, tuple[str, str]] = {}
    token = ""
    for turn in range(20):
        page = await listed(client, MAPS, limit="2", **({"continue": token} if token else {}))
        for item in page["items"]:
            metadata = item["metadata"]
            seen[f"{metadata['namespace']}/{metadata['name']}"] = (metadata["uid"], metadata["resourceVersion"])
        token = page["metadata"].get("continue", "")
        server.touch("v1/configmaps", keys[turn + 20])
        server.delete("v1/configmaps", keys[turn])
        server.put("v1/configmaps", config_map(f"new-{turn}"))
    assert token == ""
    assert seen == expected


async def test_history_is_bounded(client: aiohttp.ClientSession) -> None:
    async with Server(history=3) as server:
        first = server.put("v1/configmaps", config_map("a"))
        for _ in range(4):
            last = server.put("v1/configmaps", config_map("a"))
        params = {"watch": "true", "timeoutSeconds": "1"}
        async with client.get(f"{server.url}{MAPS}", params={**params, "resourceVersion": first}) as response:
            assert (await next_event(response))[1]["code"] == 410
        async with client.get(
            f"{server.url}{MAPS}", params={**params, "resourceVersion": str(int(last) - 3)}
        ) as response:
            assert [(await next_event(response))[0] for _ in range(3)] == ["MODIFIED"] * 3


async def test_field_selectors_of_pods_select(server: Server, client: aiohttp.ClientSession) -> None:
    for name, node, phase in (("a", "n1", "Running"), ("b", "n1", "Failed"), ("c", "n2", "Running")):
        pod = {"metadata": {"name": name}, "spec": {"nodeName": node}, "status": {"phase": phase}}
        server.put("v1/pods", pod)
    page = await listed(client, PODS, fieldSelector="spec.nodeName=n1,status.phase!=Failed")
    assert [item["metadata"]["name"] for item in page["items"]] == ["a"]


# Streams


async def test_bookmarks_are_sent_on_demand_and_at_intervals() -> None:
    async with Server(bookmark_interval=0.05) as server, aiohttp.ClientSession(server.url) as client:
        response = await client.get(PODS, params=WATCH_LIST)
        async with response:
            end = await next_event(response)
            assert end[1]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
            server.put("v1/configmaps", config_map("a"))
            assert server.bookmark() == 1
            kind, obj = await next_event(response)
            assert (kind, obj["metadata"]) == ("BOOKMARK", {"resourceVersion": server.resource_version})
            assert (await next_event(response))[0] == "BOOKMARK"


async def test_disconnect_ends_streams_cleanly_after_due_events(server: Server, client: aiohttp.ClientSession) -> None:
    async with client.get(MAPS, params=WATCH_LIST) as response:
        await next_event(response)
        server.put("v1/configmaps", config_map("a"))
        assert server.disconnect("v1/pods") == 0
        assert server.disconnect() == 1
        assert (await next_event(response))[0] == "ADDED"
        assert await response.content.read() == b""


async def test_a_storm_reaches_an_open_stream_complete_and_in_order(
    server: Server, client: aiohttp.ClientSession
) -> None:
    server.generate("v1/pods", 50)
    async with client.get(
        PODS, params={**WATCH_LIST, "sendInitialEvents": "false", "resourceVersion": "0"}
    ) as response:
        await server.wait_for_watchers(1)
        server.storm("v1/pods", 2_000)
        versions = []
        for _ in range(2_000):
            kind, obj = await next_event(response)
            assert kind == "MODIFIED"
            versions.append(int(obj["metadata"]["resourceVersion"]))
        await server.wait_until_sent()
    assert versions == sorted(set(versions))
    assert str(versions[-1]) == server.resource_version


# Generated objects


def test_the_same_seed_gives_the_same_bytes() -> None:
    def made(seed: int) -> list[bytes | None]:
        server = Server(seed=seed)
        return [server.raw(kind, key) for kind in ("v1/pods", "v1/events") for key in server.generate(kind, 30)]

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_pods_are_as_large_as_in_a_busy_cluster() -> None:
    server = Server()
    sizes, managed_sizes = [], []
    for key in server.generate("v1/pods", 1_000):
        raw = server.raw("v1/pods", key)
        assert raw is not None
        pod = json.loads(raw)
        assert list(pod)[:3] == ["kind", "apiVersion", "metadata"]
        assert pod["status"]["phase"] in ("Running", "Pending", "Succeeded", "Failed")
        sizes.append(len(raw))
        managed_sizes.append(len(json.dumps(pod["metadata"]["managedFields"], separators=(",", ":"))))
    assert 7_000 < sum(sizes) / len(sizes) < 8_300
    assert 2_300 < sum(managed_sizes) / len(managed_sizes) < 3_300


def test_namespaces_are_small() -> None:
    server = Server()
    sizes = [len(server.raw("v1/namespaces", key) or b"") for key in server.generate("v1/namespaces", 5_000)]
    assert 650 < sum(sizes) / len(sizes) < 800


def test_every_resource_can_be_generated_twice() -> None:
    server = Server()
    server.register("example.com/v1/widgets", kind="Widget")
    server.register("example.com/v1/racks", kind="Rack", namespaced=False)
    for resource in server.resources:
        keys = server.generate(resource, 60) + server.generate(resource, 60)
        assert len(set(keys)) == 120
        assert sorted(keys) == server.keys(resource)


def test_generated_objects_are_in_the_given_namespaces() -> None:
    server = Server()
    server.generate("v1/pods", 10, namespace="shop")
    server.generate("v1/pods", 10, namespace=["till", "stock"])
    assert len(server.keys("v1/pods", namespace="shop")) == 10
    assert len(server.keys("v1/pods", namespace="till")) == 5


def test_generated_names_are_unique_within_one_namespace() -> None:
    server = Server()
    for resource in ("v1/pods", "v1/configmaps", "v1/services"):
        assert len(set(server.generate(resource, 500, namespace="shop"))) == 500


def test_generated_events_are_in_the_namespace_of_their_object() -> None:
    server = Server()
    for key in server.generate("v1/events", 100, namespace="shop"):
        event = server.get("v1/events", key)
        assert event is not None
        assert event["involvedObject"].get("namespace", "shop") == "shop"


def test_generated_objects_never_repeat_a_uid() -> None:
    server = Server()
    uids = set()
    for _ in range(3):
        for key in server.generate("v1/pods", 20):
            uids.add(server.versions("v1/pods")[key][0])
            server.delete("v1/pods", key)
    assert len(uids) == 60


def test_conditions_of_custom_resources_repeat_by_type() -> None:
    server = Server()
    server.register("example.com/v1/widgets", kind="Widget")
    (key,) = server.generate("example.com/v1/widgets", 1)
    widget = server.get("example.com/v1/widgets", key)
    assert widget is not None
    assert [condition["type"] for condition in widget["status"]["conditions"]] == ["Ready"] * 3 + ["Synced"] * 3


# Commands over HTTP


async def test_commands_ignore_a_freeze_and_are_not_recorded(server: Server, client: aiohttp.ClientSession) -> None:
    server.freeze()

    async def command(method: str, path: str) -> Any:
        async with client.request(method, f"/_kinform/{path}") as response:
            return response.status, await response.json()

    await command("POST", "generate?resource=v1/pods&count=20")
    before = server.versions("v1/pods")
    assert await command("POST", "storm?resource=v1/pods&count=30") == (
        200,
        {"resourceVersion": server.resource_version},
    )
    assert server.versions("v1/pods") != before
    assert await command("GET", "digest?resource=v1/pods") == (
        200,
        {
            "objects": 20,
            "digest": digest(server.versions("v1/pods")),
            "resourceVersion": server.resource_version,
        },
    )
    status, stats = await command("GET", "stats")
    assert (status, stats["objects"]["v1/pods"], stats["watchers"]) == (200, 20, 0)
    assert (await command("POST", "compact"))[0] == 200
    assert (await command("POST", "disconnect")) == (200, {"streams": 0})
    assert (await command("POST", "storm?resource=v1/nodes&count=1"))[0] == 400
    assert (await command("POST", "storm"))[0] == 400
    assert (await command("GET", "nonsense"))[0] == 404
    assert server.requests == []


@pytest.mark.parametrize(
    "text",
    [
        "example.com/v1/widgets",
        "v1/widgets=Widget",
        "widgets=Widget",
        "example.com/v1/widgets=Widget:",
        "example.com/v1/widgets=Widget:namespace",
    ],
)
def test_a_malformed_custom_resource_is_a_usage_error(text: str) -> None:
    arguments = [sys.executable, "-m", "kinform.testing", "--custom-resource", text]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert f"argument --custom-resource: {text!r}: expected RESOURCE=KIND" in done.stderr


async def test_an_invalid_argument_of_the_program_is_one_line(server: Server, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]
    missing = tmp_path / "missing" / "config"
    for arguments, message in (
        (["--pods", "-1"], "argument --pods: '-1': expected a number, at least 0"),
        (["--namespaces", "many"], "argument --namespaces: 'many': expected a number, at least 0"),
        (["--port", "65536"], "port must be an integer from 0 to 65535: 65536"),
        (["--bookmark-interval", "0"], "bookmark_interval must be a positive number of seconds: 0.0"),
        (["--port", port], f"argument --port: {port}: "),
        (["--kubeconfig", str(missing)], f"argument --kubeconfig: {missing}: No such file or directory"),
    ):
        program = [sys.executable, "-W", "error", "-m", "kinform.testing", *arguments]
        done = await asyncio.to_thread(subprocess.run, program, capture_output=True, text=True, timeout=30)
        assert done.returncode == 2
        assert f"python -m kinform.testing: error: {message}" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


async def test_a_process_runs_until_its_standard_input_closes(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "kinform.testing", "--pods", "30", "--namespaces", "7"),
        *("--custom-resource", "example.com/v1/widgets=Widget"),
        *("--custom-resource", "example.com/v1/racks=Rack:cluster"),
        *("--kubeconfig", str(tmp_path / "config"), "--until-stdin-closes"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            url = (await process.stdout.readline()).decode().strip()
            async with aiohttp.ClientSession(url) as client:
                pods = (await listed(client, PODS))["items"]
                assert len(pods) == 30
                namespaces = await names_of(client, "/api/v1/namespaces")
                assert len(namespaces) >= 7
                assert {pod["metadata"]["namespace"] for pod in pods} <= namespaces
                nodes = {pod["spec"].get("nodeName") for pod in pods} - {None}
                assert nodes
                assert nodes <= await names_of(client, "/api/v1/nodes")
                assert (await listed(client, "/apis/example.com/v1/widgets"))["kind"] == "WidgetList"
                discovered = (await listed(client, "/apis/example.com/v1"))["resources"]
                scopes = {each["name"]: each["namespaced"] for each in discovered}
                assert (scopes["widgets"], scopes["racks"]) == (True, False)
            assert json.loads((tmp_path / "config").read_text())["clusters"][0]["cluster"]["server"] == url
            process.stdin.close()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_the_documentation_names_all_resources():
    documented = re.findall(r"`((?:[a-z0-9.]+/)?v1/[a-z]+)`", Server.__doc__)
    assert documented == [resource.name for resource in BUILT_IN]
