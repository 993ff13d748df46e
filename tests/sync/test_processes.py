"""Programs that end early, are interrupted or fork: nothing hangs or is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
SECONDS = 30
PODS = "v1/pods"

BEFORE = """
import gc, os, signal, sys, threading, time
import kinform.sync

url = sys.argv[1]
"""

OPEN = f"""
api = kinform.sync.connect(url)
pods = kinform.sync.Informer(api, "{PODS}")
api.__enter__()
pods.__enter__()
pods.synced(timeout=20)
"""

IN_THREAD = """
def in_thread(events):
    started = threading.Event()
    threading.Thread(target=lambda: [started.set() for _ in events], daemon=True).start()
    started.wait()
"""


@asynccontextmanager
async def program(text: str, *arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a program in which every warning is an error, and kills it in the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-W", "ignore:.*fork:DeprecationWarning", "-c", BEFORE + text),
        *arguments,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line(process: asyncio.subprocess.Process) -> str:
    """Returns the next line that the program prints."""
    assert process.stdout is not None
    async with asyncio.timeout(SECONDS):
        found = (await process.stdout.readline()).decode().strip()
    if not found:
        assert process.stderr is not None
        pytest.fail((await process.stderr.read()).decode())
    return found


async def end(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """Waits for the end; returns the exit code, the remaining output, the errors."""
    async with asyncio.timeout(SECONDS):
        out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


PROGRAM = """
import msgspec

class Pod(msgspec.Struct):
    metadata: dict

with kinform.sync.connect() as api, kinform.sync.Informer(api, "v1/pods", type=Pod) as pods:
    pods.synced(timeout=60)
    print(pods.store.get("shop/web-0") is not None)
    for change in pods.changes():
        print(type(change).__name__, change.key)
"""


async def test_a_program_follows_pods_until_ctrl_c(server, tmp_path):
    pod = {"metadata": {"namespace": "shop", "name": "web-0"}}
    server.put(PODS, pod)
    config = server.write_kubeconfig(tmp_path / "config")
    async with program(PROGRAM, str(config), KUBECONFIG=str(config)) as process:
        assert [await line(process) for _ in range(3)] == ["True", "Added shop/web-0", "Synced"]
        server.touch(PODS, "shop/web-0")
        assert await line(process) == "Updated shop/web-0"
        server.delete(PODS, "shop/web-0")
        assert await line(process) == "Deleted shop/web-0"
        process.send_signal(signal.SIGINT)
        code, rest, errors = await end(process)
    assert (code, rest) == (-signal.SIGINT, "")
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1


# The end of a program

UNFINISHED = {
    "nothing": "",
    "a reader": "in_thread(pods.changes())",
    "a stream": "in_thread(kinform.sync.watcher(api, 'v1/pods'))",
    "a stream in the main thread": "events = iter(kinform.sync.watcher(api, 'v1/pods')); next(events)",
    "a handler": "done = []; pods.on_add(done.append)\nwhile not done: time.sleep(0.01)",
    "a handler that runs": "pods.on_add(lambda pod: time.sleep(0.5)); time.sleep(0.1)",
    "a second loop": "with kinform.sync.connect(url) as other, kinform.sync.Informer(other, 'v1/pods') as more: pass",
}


@pytest.mark.parametrize("what", UNFINISHED)
async def test_a_program_that_ends_inside_a_block_ends_silently(server, what):
    server.generate(PODS, 3)
    async with program(f"{OPEN}{IN_THREAD}\n{UNFINISHED[what]}\nprint(len(pods.store))", server.url) as process:
        assert await end(process) == (0, "3\n", "")
    await until(lambda: all(request.ended for request in server.requests))


async def test_a_program_that_ends_by_an_error_inside_a_block(server):
    text = (
        "with kinform.sync.connect(url) as api, kinform.sync.Informer(api, 'v1/pods') as pods:\n"
        "    pods.synced(timeout=20)\n    sys.exit('done')"
    )
    async with program(text, server.url) as process:
        assert await end(process) == (1, "", "done\n")


async def test_a_snapshot_is_written_at_the_end_of_a_program(server, tmp_path):
    server.generate(PODS, 3)
    snapshot = tmp_path / "pods.kinform"
    text = OPEN.replace('"v1/pods")', f'"v1/pods", snapshot={str(snapshot)!r})')
    async with program(text + "import atexit; atexit.register(pods.__exit__, None, None, None)", server.url) as process:
        assert await end(process) == (0, "", "")
    assert snapshot.exists()


# Ctrl-C

WAITS = {
    "synced": "pods.synced()",
    "wait_for": "pods.wait_for('99999999')",
    "failed": "pods.failed()",
    "changes": "list(pods.changes())",
    "next": "changes = pods.changes()\n    while True: changes.next(timeout=60)",
    "stream": "list(kinform.sync.watcher(api, 'v1/pods'))",
    "reflector": "list(kinform.sync.reflector(kinform.store()[0], kinform.sync.watcher(api, 'v1/pods')))",
    "add_namespace": "pods.add_namespace('empty')",
}


@pytest.mark.parametrize("wait", WAITS)
async def test_ctrl_c_ends_a_wait_and_the_block_ends_as_usual(server, wait):
    server.generate(PODS, 3)
    server.freeze()
    scope = "scope=kinform.Scope(namespaces=['shop'])" if wait == "add_namespace" else ""
    text = f"""
try:
    with kinform.sync.connect(url) as api, kinform.sync.Informer(api, "v1/pods", {scope}) as pods:
        print("waits")
        wait()
except KeyboardInterrupt:
    print("interrupted", [thread.name for thread in threading.enumerate()])
"""
    text = f"def wait():\n    {WAITS[wait]}\n{text}"
    async with program(text, server.url) as process:
        assert await line(process) == "waits"
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert await end(process) == (0, "interrupted ['MainThread']\n", "")


async def test_ctrl_c_is_not_delayed_by_the_loop(server):
    """A transform blocks the loop. The interrupted waits end nevertheless."""
    server.generate(PODS, 3)
    text = """
go_on = threading.Event()
def hold(raw):
    print("holds")
    go_on.wait(20)
    return raw
api = kinform.sync.connect(url)
pods = kinform.sync.Informer(api, "v1/pods", transform=hold)
api.__enter__(); pods.__enter__()
for interrupted in (pods.synced, lambda: pods.__exit__(None, None, None)):
    try:
        print("waits")
        interrupted()
    except KeyboardInterrupt:
        print("interrupted")
go_on.set()
"""
    async with program(text, server.url) as process:
        lines = [await line(process) for _ in range(2)]
        assert sorted(lines) == ["holds", "waits"]
        process.send_signal(signal.SIGINT)
        assert await line(process) == "interrupted"
        assert await line(process) == "waits"
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert await line(process) == "interrupted"
        code, rest, errors = await end(process)
        assert (code, set(rest.split()), errors) == (0, {"holds"}, "")


async def test_a_second_ctrl_c_ends_the_wait_for_a_handler(server):
    server.generate(PODS, 1)
    text = f"""
import kinform.sync._handlers, kinform.sync._loop
kinform.sync._handlers.LOG_SECONDS = kinform.sync._loop.EXIT_SECONDS = 0.1
def stuck(pod):
    print("runs")
    threading.Event().wait()
with kinform.sync.connect(url) as api, kinform.sync.Informer(api, "{PODS}") as pods:
    pods.on_add(stuck)
    time.sleep(60)
"""
    async with program(text, server.url) as process:
        assert await line(process) == "runs"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        async with asyncio.timeout(SECONDS):
            logged = (await process.stderr.readline()).decode()
        assert logged == f"{PODS}: the end of the block waits for the handler stuck, which still runs\n"
        process.send_signal(signal.SIGINT)
        code, rest, errors = await end(process)
    assert (code, rest) == (-signal.SIGINT, "")
    assert errors.rstrip().endswith("KeyboardInterrupt")


async def test_ctrl_c_during_the_start_leaves_nothing(server, tmp_path):
    started = tmp_path / "started"
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\necho $$ > {started}\nexec sleep 60\n")
    plugin.chmod(0o700)
    config = tmp_path / "config"
    execute = f"{{apiVersion: client.authentication.k8s.io/v1, command: {plugin}, interactiveMode: Never}}"
    config.write_text(
        f"current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        f"clusters: [{{name: c, cluster: {{server: '{server.url}'}}}}]\n"
        f"users: [{{name: u, user: {{exec: {execute}}}}}]\n"
    )
    text = """
try:
    with kinform.sync.connect(url):
        print("entered")
except KeyboardInterrupt:
    print("interrupted")
"""
    async with program(text, str(config)) as process:
        await until(lambda: started.exists() and started.read_text().strip())
        process.send_signal(signal.SIGINT)
        assert await end(process) == (0, "interrupted\n", "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


# Fork

FORK = """
def in_child(run):
    pid = os.fork()
    if pid == 0:
        run()
        sys.exit()  # with everything that Python does at the end of a program
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

def refused(call):
    try:
        call()
    except kinform.KinformError as error:
        assert "was forked after the start" in str(error), error
    else:
        raise AssertionError(call)
"""


async def test_objects_made_before_a_fork_start_in_the_child(server):
    server.generate(PODS, 3)
    text = f"""{FORK}
api = kinform.sync.connect(url)
pods = kinform.sync.Informer(api, "{PODS}")
seen = []
pods.on_add(seen.append)

def follow():
    with api, pods:
        pods.synced(timeout=20)
        while len(seen) < 3:
            time.sleep(0.01)
        print(len(pods.store))

in_child(follow)
in_child(follow)
follow()
"""
    async with program(text, server.url) as process:
        assert await end(process) == (0, "3\n" * 3, "")


async def test_a_lock_that_a_thread_held_at_a_fork_blocks_no_child(server):
    server.generate(PODS, 3)
    text = f"""{FORK}{OPEN}
changes = pods.changes()

def child():
    refused(lambda: pods.on_add(print))
    refused(pods.changes)
    refused(pods.__enter__)
    changes.close()
    print("child")

with pods._lifetime._lock:
    in_child(child)
print("parent")
pods.__exit__(None, None, None)
api.__exit__(None, None, None)
"""
    async with program(text, server.url) as process:
        assert await end(process) == (0, "child\nparent\n", "")


async def test_objects_started_before_a_fork_raise_in_the_child(server):
    keys = server.generate(PODS, 3)
    text = f"""{FORK}{OPEN}
changes = pods.changes()
stream = kinform.sync.watcher(api, "{PODS}")
events = iter(stream)
next(events)
lock = threading.Thread(target=lambda: list(changes), daemon=True)
lock.start()
time.sleep(0.3)  # the thread waits for changes, with the lock of the iterator

def child():
    refused(pods.synced)
    refused(lambda: pods.wait_for("1"))
    refused(pods.failed)
    refused(lambda: pods.on_add(print))
    refused(pods.changes)
    refused(changes.next)
    refused(lambda: next(events))
    refused(api.refresh_credentials)
    refused(pods.__enter__)
    changes.close()
    stream.relist()
    assert len(list(pods.store.items())) == 3
    assert not pods.health().ok
    assert pods.state == pods.stats().state == "stopped"
    pods.__exit__(None, None, None)
    api.__exit__(None, None, None)
    with kinform.sync.connect(url) as own, kinform.sync.Informer(own, "{PODS}") as mine:
        mine.synced(timeout=20)
        assert len(mine.store) == 3
    for name in ("pods", "api", "changes", "stream", "events"):
        del globals()[name]
    gc.collect()
    print("child")

in_child(child)
print("parent")
version = sys.stdin.readline().strip()
pods.wait_for(version, timeout=5)
for event in events:
    if isinstance(event, kinform.Apply):
        print(event.object.resource_version == version)
        break
stream.close()
pods.__exit__(None, None, None)
api.__exit__(None, None, None)
lock.join()
print([thread.name for thread in threading.enumerate()])
"""
    async with program(text, server.url) as process:
        assert await line(process) == "child"
        assert await line(process) == "parent"
        version = server.touch(PODS, keys[0])
        assert process.stdin is not None
        process.stdin.write(f"{version}\n".encode())
        assert await end(process) == (0, "True\n['MainThread']\n", "")
