"""The programs of docs/howto/threads.md, in servers that fork."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kinform.testing import Server
from tests.docs.markdown import DOCS, ROOT, blocks
from tests.support.waiting import until

SECONDS = 60

FILES = {
    found[1]: block.text
    for block in blocks(DOCS / "howto/threads.md")
    if (found := re.match(r"# (\S+\.py)\n", block.text)) is not None
}

PREFORK = """
import os, sys
import informers

workers = []
for number in range(2):
    pid = os.fork()
    if pid == 0:
        informers.start()
        print(len(informers.pods.store), informers.pods.health(max_age=120).ok, flush=True)
        sys.exit()
    workers.append(pid)
assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers] == [0, 0]
"""

CELERY = """
from tasks import app, phase
folder = {folder!r}
app.conf.update(
    broker_url="filesystem://",
    broker_transport_options={{"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder}},
    result_backend="file://" + folder,
)
"""

ASK_CELERY = """
import sys
from worker import phase
print(phase.delay(sys.argv[1]).get(timeout=40))
"""


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@asynccontextmanager
async def program(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs Python in a folder that has the files of the page, and kills it in the end."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KUBECONFIG": str(folder / "kubeconfig"), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def end(process: asyncio.subprocess.Process) -> tuple[str, str]:
    """Waits for the end, and returns what the program has printed."""
    async with asyncio.timeout(SECONDS):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode(), errors.decode()


def phase_of(server: Server, key: str) -> str:
    found = server.get("v1/pods", key)
    assert found is not None
    phase: str = found["status"]["phase"]
    return phase


def set_phase(server: Server, key: str, phase: str) -> None:
    server.update("v1/pods", key, lambda pod: pod["status"].update(phase=phase))


def get(path: str, address: str) -> tuple[int, dict[str, object]]:
    """Sends a GET over a Unix socket."""
    connection = http.client.HTTPConnection("localhost", timeout=SECONDS)
    connection.sock = socket.socket(socket.AF_UNIX)
    with connection.sock:
        connection.sock.connect(address)
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    return response.status, json.loads(body) if response.headers["Content-Type"] == "application/json" else {}


async def test_informers_start_in_each_process_of_a_prefork_server(server, tmp_path):
    server.generate("v1/pods", 20)
    server.write_kubeconfig(tmp_path / "kubeconfig")
    async with program(tmp_path, "-W", "error", "-c", PREFORK) as process:
        assert await end(process) == ("20 True\n" * 2, "")
    await until(lambda: all(request.ended for request in server.requests))


@needs("flask", "gunicorn")
async def test_the_flask_application_runs_in_gunicorn(server, tmp_path):
    keys = server.generate("v1/pods", 20)
    server.write_kubeconfig(tmp_path / "kubeconfig")
    address = str(tmp_path / "socket")
    arguments = ("-m", "gunicorn", "-c", "gunicorn.conf.py", "--bind", f"unix:{address}", "app:app")
    async with program(tmp_path, *arguments) as process:
        await until(lambda: server.watchers == 2, within=SECONDS)
        for _ in range(10):
            found = await asyncio.to_thread(get, f"/phase/{keys[0]}", address)
            assert found == (200, {"phase": phase_of(server, keys[0])})
        assert (await asyncio.to_thread(get, "/healthz", address)) == (200, {"ok": True, "reason": ""})
        assert (await asyncio.to_thread(get, "/phase/shop/nothing", address))[0] == 404
        set_phase(server, keys[0], "Changed")

        async def all_workers_have_it() -> bool:
            answers = [await asyncio.to_thread(get, f"/phase/{keys[0]}", address) for _ in range(10)]
            return answers == [(200, {"phase": "Changed"})] * 10

        await until(all_workers_have_it, within=SECONDS)
        process.send_signal(signal.SIGTERM)
        _, errors = await end(process)
    assert "Traceback" not in errors
    assert "destroyed" not in errors


@needs("celery")
async def test_the_celery_task_runs_in_a_prefork_worker(server, tmp_path):
    keys = server.generate("v1/pods", 20)
    server.write_kubeconfig(tmp_path / "kubeconfig")
    queue = tmp_path / "queue"
    queue.mkdir()
    (tmp_path / "worker.py").write_text(CELERY.format(folder=str(queue)))
    (tmp_path / "ask.py").write_text(ASK_CELERY)
    arguments = ("-m", "celery", "-A", "worker", "worker", "--pool", "prefork", "--concurrency", "2")
    async with program(tmp_path, *arguments) as worker:
        await until(lambda: server.watchers == 2, within=SECONDS)
        async with program(tmp_path, "ask.py", keys[0]) as asking:
            assert (await end(asking))[0] == f"{phase_of(server, keys[0])}\n"
        worker.send_signal(signal.SIGTERM)
        _, errors = await end(worker)
    assert "Traceback" not in errors
    assert "destroyed" not in errors
