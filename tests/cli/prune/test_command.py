"""`kinform prune` as a process: its suggestion, its sources and its errors."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import kinform
from kinform.testing import Server
from tests.cli.running import Ended, Running, run

SECRET = "c3dvcmRmaXNo"
TYPE = """
from __future__ import annotations
import msgspec

class Spec(msgspec.Struct):
    nodeName: str = ""

class Pod(msgspec.Struct):
    spec: Spec
"""


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as server:
        server.generate("v1/pods", 50)
        yield server


async def prune(server: Server, *arguments: str) -> Ended:
    return await run("prune", *arguments, "--server", server.url)


def suggested(out: str) -> kinform.Prune:
    """Runs the lines to copy."""
    found = re.search(r"^prune = kinform\.Prune\(\n.*?^\)$", out, re.MULTILINE | re.DOTALL)
    assert found is not None, out
    names: dict[str, Any] = {"kinform": kinform}
    exec(found[0], names)
    return names["prune"]


async def test_the_lines_to_copy_are_a_prune(server: Server) -> None:
    ended = await prune(server, "pods", "--suggest", "--seconds", "0")
    assert (ended.code, ended.err) == (0, "")
    assert "metadata.managedFields" in suggested(ended.out).drop
    assert "spec" not in suggested(ended.out).drop


async def test_without_suggest_there_are_only_sizes(server: Server) -> None:
    ended = await prune(server, "pods")
    assert ended.code == 0
    assert "Bytes by path" in ended.out
    assert "kinform.Prune(" not in ended.out


async def test_the_effect_is_that_of_an_informer(server: Server) -> None:
    ended = await prune(server, "pods", "--suggest", "--seconds", "0", "--json")
    report = json.loads(ended.out)
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, "v1/pods", prune=kinform.Prune(drop=report["drop"])) as pods:
            await pods.synced(timeout=20)
            memory = pods.stats().memory
    assert report["objects"] == 50
    assert report["pruned_bytes"] == memory.pruned_bytes
    assert report["pruned_stored_bytes"] == pytest.approx(memory.held_bytes, rel=0.3)


async def test_changes_are_counted_while_it_watches(server: Server) -> None:
    running = await Running.start("prune", "pods", "--suggest", "--seconds", "2", "--json", "--server", server.url)
    key = server.keys("v1/pods")[0]

    async def update() -> None:
        for beat in itertools.count():
            server.update("v1/pods", key, lambda obj, beat=beat: obj["status"].update(beat=beat))
            await asyncio.sleep(0.05)

    updating = asyncio.create_task(update())  # until the end: it counts only from its first state on
    report = json.loads((await running.ended()).out)
    updating.cancel()
    assert report["updates"] >= 1
    assert {each["path"]: each["changes"] for each in report["paths"]}["status"] == 1.0


async def test_a_type_gives_the_fields_that_it_reads(server: Server, tmp_path: Path) -> None:
    (tmp_path / "pods.py").write_text(TYPE)
    ended = await prune(server, "pods", "--for", f"{tmp_path}/pods.py:Pod", "--seconds", "0")
    assert (ended.code, ended.err) == (0, "")
    assert list(suggested(ended.out).keep) == ["spec.nodeName"]


@pytest.mark.parametrize("call", ["asyncio.run(main())", "asyncio.new_event_loop().run_until_complete(main())"])
async def test_a_file_that_starts_its_program_is_refused(tmp_path: Path, call: str) -> None:
    file = tmp_path / "operator.py"
    file.write_text(f"import asyncio\nasync def main(): raise SystemExit(3)\n{call}\n")
    ended = await run("prune", "--dump", __file__, "--for", f"{file}:Pod")
    assert ended.code == 64
    assert ended.err == (
        f"kinform: --for: {file} starts a program: move the call, such as `asyncio.run(main())`, below"
        ' `if __name__ == "__main__":`\n'
    )


@pytest.mark.parametrize("form", ["list", "lines"])
async def test_a_dump_is_read_without_a_server(server: Server, tmp_path: Path, form: str) -> None:
    raws = [(server.raw("v1/pods", key) or b"").decode() for key in server.keys("v1/pods")]
    text = '{"kind":"List","items":[' + ",".join(raws) + "]}" if form == "list" else "\n".join(raws)
    (tmp_path / "pods.json").write_text(text)
    ended = await run("prune", "--dump", str(tmp_path / "pods.json"), "--suggest", "--json")
    report = json.loads(ended.out)
    assert (report["objects"], report["updates"], report["seconds"]) == (50, 0, 0)
    assert "metadata.managedFields" in report["drop"]


async def test_no_output_has_values(server: Server, tmp_path: Path) -> None:
    server.put("v1/secrets", {"metadata": {"name": "s", "namespace": "shop"}, "data": {"password": SECRET}})
    page = tmp_path / "page.html"
    ended = await prune(server, "secrets", "--suggest", "--seconds", "0", "--html", str(page))
    plain = await prune(server, "secrets", "--suggest", "--seconds", "0", "--json")
    assert ended.code == plain.code == 0
    assert SECRET not in ended.out + ended.err + plain.out + page.read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "expected RESOURCE or --dump FILE"),
        (["pods", "--dump", __file__], "expected RESOURCE or --dump FILE"),
        (["pods", "-n", "a", "-A"], "cannot be used together"),
        (["--dump", "/nowhere"], "does not exist"),
        (["--dump", __file__], "expected the output of `kubectl get -o json`"),
        (["--dump", __file__, "--for", "Pod"], "expected FILE.py:TYPE"),
        (["--dump", __file__, "--for", "missing.py:Pod"], "missing.py does not exist"),
        (["--dump", __file__, "--for", f"{__file__}:Missing"], "has no Missing"),
    ],
)
async def test_wrong_options_are_usage_errors(arguments: list[str], text: str) -> None:
    ended = await run("prune", *arguments)
    assert ended.code == 64
    assert text in ended.err
    assert "Traceback" not in ended.err


async def test_an_unknown_resource_is_a_usage_error(server: Server) -> None:
    ended = await prune(server, "widgets")
    assert ended.code == 64
    assert 'have a resource type "widgets"' in ended.err


async def test_an_empty_collection_has_a_report(server: Server) -> None:
    ended = await prune(server, "services", "--suggest", "--seconds", "0")
    assert (ended.code, ended.err) == (0, "")
