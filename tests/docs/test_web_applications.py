"""The programs of docs/howto/web-applications.md, with their probes."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import ClientSession, UnixConnector
from aiohttp.test_utils import TestClient, TestServer

from kinform.testing import Server, Unavailable
from tests.docs.markdown import DOCS, blocks
from tests.support.waiting import until

FILES = {
    found[1]: block
    for block in blocks(DOCS / "howto/web-applications.md")
    if (found := re.match(r"# (\S+)\.py\n", block.text)) is not None
}


def load(name: str) -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module  # FastAPI looks up annotations by the name of the module
    exec(compile(FILES[name].text, FILES[name].place, "exec", dont_inherit=True), vars(module))
    return module


@pytest.fixture(autouse=True)
def kubeconfig(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KUBECONFIG", str(server.write_kubeconfig(tmp_path / "kubeconfig")))
    yield
    for name in FILES:
        sys.modules.pop(name, None)


async def check(server: Server, key: str, get: Any) -> None:
    """Reads all paths of an application, until its informer fails."""
    status, reason = await get("/readyz")
    assert (status, "not synced" in reason) == (503, True)
    assert await get("/livez") == (200, "ok")
    assert (await get(f"/phase/{key}"))[0] == 503
    server.heal()

    async def is_ready() -> bool:
        return (await get("/readyz")) == (200, "ok")

    await until(is_ready, within=30)
    pod = server.get("v1/pods", key)
    assert pod is not None
    status, text = await get(f"/phase/{key}")
    assert (status, pod["status"]["phase"] in text) == (200, True)
    assert (await get("/phase/shop/missing"))[0] == 404


async def test_the_aiohttp_application_serves_and_stops(server):
    server.fault(Unavailable(), times=None)
    (key,) = server.generate("v1/pods", 1)
    async with TestClient(TestServer(load("aiohttp_app").create_app())) as client:

        async def get(path: str) -> tuple[int, str]:
            async with client.get(path) as response:
                return response.status, await response.text()

        await check(server, key, get)
    await until(lambda: all(request.ended for request in server.requests))


async def test_a_client_gets_deletions_until_it_leaves(server):
    key, *_ = server.generate("v1/pods", 3)
    load("aiohttp_app")
    async with TestServer(load("aiohttp_events").app, handler_cancellation=True) as web, TestClient(web) as client:
        await server.wait_for_watchers(1)
        async with client.get("/deletions") as response:
            server.delete("v1/pods", key)
            async with asyncio.timeout(30):
                assert await response.content.readline() == f"data: {key}\n".encode()


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("fastapi", "uvicorn")),
    reason="not installed: fastapi, uvicorn",
)
async def test_the_fastapi_application_serves_and_stops(server, tmp_path):
    import uvicorn

    server.fault(Unavailable(), times=None)
    (key,) = server.generate("v1/pods", 1)
    address = str(tmp_path / "socket")
    web = uvicorn.Server(uvicorn.Config(load("fastapi_app").app, uds=address, log_level="warning"))
    serving = asyncio.create_task(web._serve())  # `serve` takes over the signal handlers of the tests
    await until(lambda: web.started, within=30)
    async with ClientSession(connector=UnixConnector(address)) as client:

        async def get(path: str) -> tuple[int, str]:
            async with client.get(f"http://localhost{path}") as response:
                return response.status, await response.text()

        await check(server, key, get)
    web.should_exit = True
    await serving
    await until(lambda: all(request.ended for request in server.requests))
