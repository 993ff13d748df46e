"""`kinform watch`, as its users run it: in a pipe, interrupted, refused, cut off."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kinform.testing import Forbidden, Server
from tests.cli.running import Running, run
from tests.support.clusters import RealCluster

CLOSED = "http://127.0.0.1:9"  # the port of a service that nothing offers any more


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as server:
        yield server


def pod(name: str, *, namespace: str = "shop", **spec: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"app": name}}, "spec": spec}


async def test_lines_tell_what_is_there_and_then_what_happens(server: Server) -> None:
    server.put("v1/pods", pod("web-0"))
    watching = await Running.start("watch", "v1/pods", "--server", server.url)
    assert re.fullmatch(r"\d\d:\d\d:\d\d ADDED    shop/web-0", await watching.line(watching.out))
    assert re.fullmatch(r"\d\d:\d\d:\d\d SYNCED   v1/pods \(1 objects\)", await watching.line(watching.out))
    server.put("v1/pods", pod("web-1"))
    assert (await watching.line(watching.out)).endswith("ADDED    shop/web-1")
    server.touch("v1/pods", "shop/web-0")
    assert (await watching.line(watching.out)).endswith("MODIFIED shop/web-0")
    server.delete("v1/pods", "shop/web-0")
    assert (await watching.line(watching.out)).endswith("DELETED  shop/web-0")
    watching.interrupt()
    ended = await watching.ended()
    assert (ended.code, ended.out, ended.err) == (0, "", "")


async def test_json_is_one_object_a_line(server: Server) -> None:
    server.put("v1/pods", pod("web-0", nodeName="node-1\u2028\n"))
    watching = await Running.start("watch", "v1/pods", "--server", server.url, "-o", "json")
    first = json.loads(await watching.line(watching.out))
    assert list(first) == ["type", "key", "object"]
    assert (first["type"], first["key"]) == ("ADDED", "shop/web-0")
    assert first["object"] == server.get("v1/pods", "shop/web-0")
    assert json.loads(await watching.line(watching.out)) == {"type": "SYNCED", "key": None, "object": None}
    server.delete("v1/pods", "shop/web-0")
    assert json.loads(await watching.line(watching.out))["type"] == "DELETED"
    watching.interrupt()
    assert (await watching.ended()).code == 0


async def test_stats_are_a_line_a_second(server: Server) -> None:
    server.generate("v1/pods", 50)
    watching = await Running.start("watch", "v1/pods", "--server", server.url, "-o", "stats")
    line = await watching.line(watching.out, "live: 50 objects")
    assert re.search(r"process \d+ MiB; 0 errors, 0 left out$", line)
    watching.interrupt()
    assert (await watching.ended()).code == 0


async def test_scope_and_pruning_are_as_asked_for(server: Server) -> None:
    for namespace in ("shop", "till", "bar"):
        server.put("v1/pods", pod("web", namespace=namespace, nodeName="node-1", host="a"))
        server.put("v1/pods", pod("db", namespace=namespace))
    arguments = ("-n", "shop", "-n", "till", "-l", "app=web", "-o", "json", "--drop", "spec.host", "--metadata-only")
    watching = await Running.start("watch", "v1/pods", "--server", server.url, *arguments[:-1])
    found = [json.loads(await watching.line(watching.out)) for _ in range(2)]
    assert sorted(event["key"] for event in found) == ["shop/web", "till/web"]
    assert all(event["object"]["spec"] == {"nodeName": "node-1"} for event in found)
    watching.interrupt()
    await watching.ended()
    watching = await Running.start("watch", "v1/pods", "--server", server.url, "-A", *arguments[4:])
    found = [json.loads(await watching.line(watching.out)) for _ in range(3)]
    assert all("spec" not in event["object"] for event in found)
    watching.interrupt()
    await watching.ended()


async def test_keep_leaves_out_all_else(server: Server) -> None:
    server.put("v1/pods", pod("web-0", nodeName="node-1", host="a"))
    arguments = ("-o", "json", "--keep", "spec.nodeName", "--field-selector", "metadata.name=web-0")
    watching = await Running.start("watch", "v1/pods", "--server", server.url, *arguments)
    found = json.loads(await watching.line(watching.out))["object"]
    assert found["spec"] == {"nodeName": "node-1"}
    assert set(found["metadata"]) == {"name", "namespace", "uid", "resourceVersion"}
    watching.interrupt()
    await watching.ended()


async def test_a_deletion_that_only_a_relist_found_says_so(server: Server) -> None:
    server.put("v1/pods", pod("web-0"))
    watching = await Running.start("watch", "v1/pods", "--server", server.url)
    await watching.line(watching.out, "SYNCED")
    server.disconnect()
    server.delete("v1/pods", "shop/web-0")
    server.compact()
    line = await watching.line(watching.out)
    assert line.endswith("DELETED  shop/web-0 (found missing by a relist)")
    watching.interrupt()
    assert (await watching.ended()).code == 0


@pytest.mark.parametrize("events", [0, 1])
async def test_a_closed_pipe_ends_it_quietly_whether_or_not_there_is_more_to_say(server: Server, events: int) -> None:
    server.put("v1/pods", pod("web-0"))
    watching = await Running.start("watch", "v1/pods", "--server", server.url)
    await watching.line(watching.out, "SYNCED")
    watching.close_output()
    if events:
        server.touch("v1/pods", "shop/web-0")
    ended = await watching.ended(within=20)
    assert (ended.code, ended.err) == (0, "")


async def test_ctrl_c_before_it_is_synced_ends_it_too() -> None:
    watching = await Running.start("watch", "v1/pods", "--server", CLOSED)
    await watching.line(watching.err, "retrying")
    watching.interrupt(signal.SIGINT)
    ended = await watching.ended()
    assert ended.code == 0
    assert "Traceback" not in ended.err


async def test_an_unreachable_server_is_told_and_given_up_at_the_timeout() -> None:
    ended = await run("watch", "v1/pods", "--server", CLOSED, "--timeout", "1")
    assert ended.code == 69
    assert ended.out == ""
    assert "Connect" in ended.err.splitlines()[0]
    assert "not synced after 1 s; v1/pods: retrying" in ended.err.splitlines()[-1]


async def test_rights_that_are_missing_exit_with_77(server: Server) -> None:
    server.fault(Forbidden(), times=None)
    ended = await run("watch", "v1/pods", "--server", server.url, "--timeout", "1")
    assert ended.code == 77
    assert "403 Forbidden" in ended.err
    assert ended.out == ""


async def test_a_kubeconfig_is_used_and_credentials_that_are_refused_exit_with_77(tmp_path: Path) -> None:
    async with Server(token="right") as server:
        server.put("v1/pods", pod("web-0"))
        kubeconfig = str(server.write_kubeconfig(tmp_path / "config"))
        watching = await Running.start("watch", "v1/pods", "--context", "simulator", KUBECONFIG=kubeconfig)
        await watching.line(watching.out, "ADDED")
        watching.interrupt()
        assert (await watching.ended()).code == 0
        server.token = "another"
        ended = await run("watch", "v1/pods", "--kubeconfig", kubeconfig, "--timeout", "1")
        assert ended.code == 77
        assert "401" in ended.err


async def test_a_real_kube_apiserver_is_followed_and_its_refusal_exits_with_77(real: RealCluster) -> None:
    kubeconfig = str(real.kubeconfig)
    watching = await Running.start("watch", "v1/configmaps", "--kubeconfig", kubeconfig, "-n", real.namespace)
    await watching.line(watching.out, "SYNCED")
    await real.api.create("v1/configmaps", {"metadata": {"name": "one", "namespace": real.namespace}})
    assert await watching.line(watching.out, f"ADDED    {real.namespace}/one")
    watching.interrupt()
    assert (await watching.ended()).code == 0
    ended = await run("watch", "v1/pods", "--kubeconfig", kubeconfig, "--context", "anonymous", "--timeout", "2")
    assert ended.code == 77


async def test_a_resource_that_the_server_does_not_know_is_waited_for(server: Server) -> None:
    watching = await Running.start("watch", "example.com/v1/widgets", "--server", server.url)
    assert await watching.line(watching.err, "404")
    assert await watching.line(watching.err, "example.com/v1/widgets: not_found")
    watching.interrupt()
    assert (await watching.ended()).code == 0


async def test_a_request_that_the_server_calls_wrong_exits_with_64(server: Server) -> None:
    ended = await run("watch", "v1/pods", "--server", server.url, "--field-selector", "spec.colour=red")
    assert ended.code == 64
    assert "400" in ended.err


async def test_an_outage_and_its_end_are_told(server: Server) -> None:
    server.put("v1/pods", pod("web-0"))
    watching = await Running.start("watch", "v1/pods", "--server", server.url)
    await watching.line(watching.out, "SYNCED")
    await server.stop()
    await watching.line(watching.err, "retrying")
    await server.start()
    assert "1 objects" in await watching.line(watching.err, "live again")
    server.put("v1/pods", pod("web-1"))
    assert await watching.line(watching.out, "ADDED    shop/web-1")
    watching.interrupt()
    assert (await watching.ended()).code == 0


async def test_no_message_holds_what_an_object_holds(server: Server) -> None:
    server.put("v1/secrets", {"metadata": {"name": "key", "namespace": "shop"}, "data": {"password": "c2VjcmV0"}})
    watching = await Running.start("watch", "v1/secrets", "--server", server.url)
    assert "c2VjcmV0" not in await watching.line(watching.out, "shop/key")
    watching.interrupt()
    ended = await watching.ended()
    assert "c2VjcmV0" not in ended.out + ended.err
