"""Tests of `kinform watch` in a pipe: output, interrupts, refusals and outages."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from kinform.testing import Forbidden, Server
from tests.cli.running import Running, Terminal, run
from tests.support.clusters import RealCluster
from tests.support.kubeconfig import write_contexts

CLOSED = "http://127.0.0.1:9"  # the discard port, on which nothing listens


def pod(name: str, *, namespace: str = "shop", **spec: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"app": name}}, "spec": spec}


async def test_lines_show_the_objects_and_then_their_changes(server: Server) -> None:
    server.put("v1/pods", pod("web-0"))
    watching = await Running.start("watch", "v1/pods", "-A", "--server", server.url)
    assert await watching.line(watching.out) == "TIME     EVENT    NAMESPACE            NAME"
    assert re.fullmatch(r"\d\d:\d\d:\d\d ADDED    shop                 web-0", await watching.line(watching.out))
    assert re.fullmatch(r"\d\d:\d\d:\d\d SYNCED   \(1 object\)", await watching.line(watching.out))
    server.put("v1/pods", pod("web-1"))
    assert (await watching.line(watching.out)).endswith("ADDED    shop                 web-1")
    server.touch("v1/pods", "shop/web-0")
    assert (await watching.line(watching.out)).endswith("MODIFIED shop                 web-0")
    server.delete("v1/pods", "shop/web-0")
    assert (await watching.line(watching.out)).endswith("DELETED  shop                 web-0")
    watching.interrupt()
    ended = await watching.ended()
    assert (ended.code, ended.out, ended.err) == (0, "", "")


async def test_json_output_is_one_object_per_line(server: Server) -> None:
    server.put("v1/pods", pod("web-0", nodeName="node-1\u2028\n"))
    watching = await Running.start("watch", "v1/pods", "-A", "--server", server.url, "-o", "json")
    first = json.loads(await watching.line(watching.out))
    assert list(first) == ["type", "key", "object"]
    assert (first["type"], first["key"]) == ("ADDED", "shop/web-0")
    assert first["object"] == server.get("v1/pods", "shop/web-0")
    assert json.loads(await watching.line(watching.out)) == {"type": "SYNCED", "key": "", "object": None}
    server.delete("v1/pods", "shop/web-0")
    assert json.loads(await watching.line(watching.out))["type"] == "DELETED"
    watching.interrupt()
    assert (await watching.ended()).code == 0


async def test_stats_are_one_line_per_second(server: Server) -> None:
    server.generate("v1/pods", 50)
    watching = await Running.start("watch", "v1/pods", "-A", "--server", server.url, "-o", "stats")
    line = await watching.line(watching.out, "live              50")
    size = r" +[\d.]+[KM]?i?"
    assert re.fullmatch(rf"\d\d:\d\d:\d\d live +50{5 * size} +0 +0", line)
    watching.interrupt()
    assert (await watching.ended()).code == 0


async def test_scope_and_pruning_follow_the_options(server: Server) -> None:
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


async def test_keep_removes_all_other_fields(server: Server) -> None:
    server.put("v1/pods", pod("web-0", nodeName="node-1", host="a"))
    arguments = ("-o", "json", "--keep", "spec.nodeName", "--field-selector", "metadata.name=web-0")
    watching = await Running.start("watch", "v1/pods", "-A", "--server", server.url, *arguments)
    found = json.loads(await watching.line(watching.out))["object"]
    assert found["spec"] == {"nodeName": "node-1"}
    assert set(found["metadata"]) == {"name", "namespace", "uid", "resourceVersion"}
    watching.interrupt()
    await watching.ended()


async def test_a_deletion_found_by_a_relist_is_marked(server: Server) -> None:
    server.put("v1/pods", pod("web-0"))
    watching = await Running.start("watch", "v1/pods", "-A", "--server", server.url)
    await watching.line(watching.out, "SYNCED")
    server.disconnect()
    server.delete("v1/pods", "shop/web-0")
    server.compact()
    line = await watching.line(watching.out)
    assert line.endswith("DELETED  shop                 web-0 (missing after a relist)")
    watching.interrupt()
    assert (await watching.ended()).code == 0


@pytest.mark.parametrize("events", [0, 1])
async def test_a_closed_pipe_ends_the_watch_without_a_message(server: Server, events: int) -> None:
    server.put("v1/pods", pod("web-0"))
    watching = await Running.start("watch", "v1/pods", "-A", "--server", server.url)
    await watching.line(watching.out, "SYNCED")
    watching.close_output()
    if events:
        server.touch("v1/pods", "shop/web-0")
    ended = await watching.ended(within=20)
    assert (ended.code, ended.err) == (0, "")


async def test_ctrl_c_before_the_initial_sync_ends_the_watch() -> None:
    watching = await Running.start("watch", "v1/pods", "--server", CLOSED)
    await watching.line(watching.err, "retrying")
    watching.interrupt(signal.SIGINT)
    ended = await watching.ended()
    assert ended.code == 0
    assert "Traceback" not in ended.err


async def test_an_unreachable_server_is_given_up_at_the_timeout() -> None:
    ended = await run("watch", "v1/pods", "--server", CLOSED, "--timeout", "1")
    assert ended.code == 69
    assert ended.out == ""
    assert "v1/pods: retrying (/api/v1: cannot connect to" in ended.err.splitlines()[0]
    assert "not synced after 1 s; v1/pods: retrying (/api/v1: cannot connect to" in ended.err.splitlines()[-1]


async def test_missing_permissions_exit_with_77(server: Server) -> None:
    server.fault(Forbidden(), times=None)
    ended = await run("watch", "v1/pods", "--server", server.url, "--timeout", "1")
    assert ended.code == 77
    assert '403 Forbidden: pods is forbidden: User "jane" cannot list resource "pods"' in ended.err
    assert ended.out == ""


async def test_a_kubeconfig_is_used_and_refused_token_exits_with_77(tmp_path: Path) -> None:
    async with Server(token="right") as server:
        server.put("v1/pods", pod("web-0"))
        kubeconfig = str(server.write_kubeconfig(tmp_path / "config"))
        watching = await Running.start(
            "watch", "v1/pods", "-n", "shop", "--context", "simulator", KUBECONFIG=kubeconfig
        )
        await watching.line(watching.out, "ADDED")
        watching.interrupt()
        assert (await watching.ended()).code == 0
        server.token = "another"
        ended = await run("watch", "v1/pods", "--kubeconfig", kubeconfig, "--timeout", "1")
        assert ended.code == 77
        assert "401" in ended.err


async def test_a_real_server_is_watched_and_a_refusal_exits_with_77(real: RealCluster) -> None:
    kubeconfig = str(real.kubeconfig)
    watching = await Running.start("watch", "v1/configmaps", "--kubeconfig", kubeconfig, "-n", real.namespace)
    await watching.line(watching.out, "SYNCED")
    await real.api.create("v1/configmaps", {"metadata": {"name": "one", "namespace": real.namespace}})
    assert await watching.line(watching.out, "ADDED    one")
    watching.interrupt()
    assert (await watching.ended()).code == 0
    ended = await run("watch", "v1/pods", "--kubeconfig", kubeconfig, "--context", "anonymous", "--timeout", "2")
    assert ended.code == 77


async def test_an_unknown_resource_is_retried(server: Server) -> None:
    watching = await Running.start("watch", "example.com/v1/widgets", "--server", server.url)
    missing = 'the server doesn\'t have a resource type "example.com/v1/widgets"'
    assert await watching.line(watching.err) == f"kinform: {missing} yet; waiting for it"
    server.register("example.com/v1/widgets", kind="Widget", namespaced=False)
    server.put("example.com/v1/widgets", {"metadata": {"name": "one"}})
    assert (await watching.line(watching.out, "ADDED")).endswith(" ADDED    one")
    watching.interrupt()
    assert (await watching.ended()).code == 0


async def test_a_resource_is_named_as_in_kubectl(server: Server) -> None:
    server.put("v1/nodes", {"metadata": {"name": "node-1"}})
    watching = await Running.start("watch", "no", "-s", server.url, "-n", "shop")
    assert await watching.line(watching.out) == "TIME     EVENT    NAME"
    assert (await watching.line(watching.out)).endswith(" ADDED    node-1")
    watching.interrupt()
    await watching.ended()
    ended = await run("watch", "widgets", "-s", server.url)
    assert (ended.code, ended.err) == (64, 'kinform: the server doesn\'t have a resource type "widgets"\n')


async def test_a_refused_discovery_ends_the_watch_of_a_name() -> None:
    async with Server(token="right") as server:
        ended = await run("watch", "pods", "-s", server.url)
        assert ended.code == 77
        assert "get /api/v1: the server answered 403" in ended.err


async def test_the_namespace_of_the_context_is_the_default(tmp_path: Path, server: Server) -> None:
    server.put("v1/pods", pod("web-0"))
    server.put("v1/pods", pod("db-0", namespace="default"))
    path = write_contexts(tmp_path / "config", "shop", url=server.url)
    contexts = [{"name": "shop", "context": {"cluster": "shop", "user": "shop", "namespace": "shop"}}]
    clusters = [{"name": "shop", "cluster": {"server": server.url}}]
    write_contexts(path, "shop", contexts=contexts, clusters=clusters)
    watching = await Running.start("watch", "pods", "--kubeconfig", str(path), "--no-headers")
    assert (await watching.line(watching.out)).endswith(" ADDED    web-0")
    assert (await watching.line(watching.out)).endswith(" SYNCED   (1 object)")
    watching.interrupt()
    await watching.ended()


async def test_rows_and_messages_on_a_terminal_are_lines(server: Server) -> None:
    server.generate("v1/pods", 50)
    terminal = await Terminal.start("watch", "pods", "-A", "-s", server.url, "-o", "stats")
    await terminal.line("live")
    await server.stop()
    await terminal.line("kinform: pods: retrying")
    await terminal.line(" retrying     ")
    await terminal.end()
    assert all(re.match(r"TIME |\d\d:\d\d:\d\d |kinform: ", line) for line in terminal.lines)
    assert all(len(line) < 80 for line in terminal.lines if not line.startswith("kinform"))


async def test_a_request_refused_with_400_exits_with_64(server: Server) -> None:
    ended = await run("watch", "v1/pods", "--server", server.url, "--field-selector", "spec.colour=red")
    assert ended.code == 64
    assert "400" in ended.err


async def test_an_outage_and_the_recovery_are_reported(server: Server) -> None:
    server.put("v1/pods", pod("web-0"))
    watching = await Running.start("watch", "v1/pods", "-A", "--server", server.url)
    await watching.line(watching.out, "SYNCED")
    await server.stop()
    await watching.line(watching.err, "retrying")
    await server.start()
    assert "1 object" in await watching.line(watching.err, "live again")
    server.put("v1/pods", pod("web-1"))
    assert await watching.line(watching.out, "ADDED    shop                 web-1")
    watching.interrupt()
    assert (await watching.ended()).code == 0


async def test_messages_never_contain_object_contents(server: Server) -> None:
    server.put("v1/secrets", {"metadata": {"name": "key", "namespace": "shop"}, "data": {"password": "c2VjcmV0"}})
    watching = await Running.start("watch", "v1/secrets", "-A", "--server", server.url)
    assert "c2VjcmV0" not in await watching.line(watching.out, " key")
    watching.interrupt()
    ended = await watching.ended()
    assert "c2VjcmV0" not in ended.out + ended.err
