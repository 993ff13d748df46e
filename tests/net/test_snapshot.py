"""Starts from a snapshot: readable at once, and continued without a list.

Over 500 lines: each way to start and each refusal is one short run, with the same helpers.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kinform
from kinform._sharding import ShardSet
from kinform.testing import Server, Stall
from tests.net.informers import fails, in_sync, quick, versions
from tests.support.clusters import Cluster
from tests.support.waiting import until

PODS = "v1/pods"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pods.kinform"


def put(server: Server, *names: str, namespace: str = "shop", **labels: str) -> None:
    for name in names:
        server.put(PODS, {"metadata": {"name": name, "namespace": namespace, "labels": labels}})


def informer(api: object, snapshot: Any, **changes: Any) -> kinform.Informer:
    options = {"options": quick(initial="list"), **changes}
    return kinform.Informer(api, PODS, snapshot=snapshot, **options)


async def run_once(api: object, path: Any, **changes: Any) -> None:
    """A first run, which leaves a snapshot."""
    async with informer(api, path, **changes) as pods:
        await pods.synced(timeout=10)
    assert pods.stats().snapshot.writes == 1


def lists(server: Server) -> int:
    return sum(request.verb == "list" for request in server.requests)


async def test_a_start_from_a_snapshot_reads_at_once_and_sends_no_list(server, api, path):
    server.generate(PODS, 2_000)
    await run_once(api, path)
    assert path.stat().st_mode & 0o777 == 0o600
    before, held = lists(server), server.versions(PODS)
    put(server, "new")
    async with informer(api, path, indexes={"app": "metadata.labels.app"}) as pods:
        assert versions(pods.store) == held
        assert pods.state == "stale"
        assert pods.stats().snapshot.loaded
        assert pods.stats().streams[""].state == "stale"
        await pods.synced(timeout=10)
        await until(lambda: in_sync(pods.store, server, PODS))
        assert pods.state == "live"
        for key in pods.store:
            raw = pods.store.raw(key)
            assert raw is not None
    assert lists(server) == before


async def test_changes_between_two_runs_arrive_as_events(server, api, path):
    put(server, "a", "b", "c")
    await run_once(api, path)
    put(server, "b", app="changed")
    server.delete(PODS, "shop/c")
    put(server, "d")
    pods, received = informer(api, path), []
    pods.on_add(lambda found: received.append(("added", found["metadata"]["name"])))
    pods.on_update(lambda old, new: received.append(("updated", old["metadata"]["name"])))
    pods.on_delete(lambda found: received.append(("deleted", found["metadata"]["name"])))
    changes = pods.changes()
    async with pods:
        await until(lambda: len(received) == 6)
        kinds = []
        async for change in changes:
            kinds.append((type(change).__name__, getattr(change, "key", "")))
            if len(kinds) == 7:
                break
    assert sorted(received[:3]) == [("added", "a"), ("added", "b"), ("added", "c")]
    assert received[3:] == [("updated", "b"), ("deleted", "c"), ("added", "d")]
    assert {kind for kind, _ in kinds[:3]} == {"Added"}
    assert [kind for kind in kinds[3:] if kind[0] != "Synced"] == [
        ("Updated", "shop/b"), ("Deleted", "shop/c"), ("Added", "shop/d"),
    ]  # fmt: skip
    assert ("Synced", "") in kinds


async def test_an_unchanged_collection_is_synced_once_its_watch_stands(server, api, path):
    put(server, "a")
    await run_once(api, path)
    async with informer(api, path) as pods:
        await pods.synced(timeout=5)
        assert pods.stats().streams[""].seconds_since_sync is not None


async def test_a_snapshot_is_not_synced_while_the_server_is_silent(server, api, path):
    put(server, "a")
    await run_once(api, path)
    await server.stop()
    async with informer(api, path) as pods:
        assert list(pods.store) == ["shop/a"]
        with pytest.raises(TimeoutError):
            await pods.synced(timeout=0.8)
        assert list(pods.store) == ["shop/a"]
        await server.start()
        await pods.synced(timeout=10)
    assert lists(server) == 1


async def test_a_snapshot_too_old_is_relisted_and_only_changes_notify(server, api, path):
    put(server, "a", "b", "c")
    await run_once(api, path)
    put(server, "b", app="changed")
    server.delete(PODS, "shop/c")
    server.compact()
    pods, received = informer(api, path), []
    async with pods:
        pods.on_update(lambda old, new: received.append(("updated", new["metadata"]["name"])))
        changes = pods.changes()
        before = {id: pods.store.raw(id) for id in pods.store}
        assert set(before) == {"shop/a", "shop/b", "shop/c"}
        await pods.synced(timeout=10)
        assert in_sync(pods.store, server, PODS)
        after = []
        async for change in changes:
            if isinstance(change, kinform.Updated | kinform.Deleted):
                after.append(change)
            if len(after) == 2:
                break
        await until(lambda: len(received) == 1)
    assert received == [("updated", "b")]
    updated = next(change for change in after if isinstance(change, kinform.Updated))
    deleted = next(change for change in after if isinstance(change, kinform.Deleted))
    assert updated.key == "shop/b"
    assert (deleted.key, deleted.synthetic) == ("shop/c", True)
    assert lists(server) == 2


async def test_each_namespace_resumes_at_its_own_version(server, api, path):
    put(server, "a", namespace="shop")
    put(server, "b", namespace="till")
    scope = kinform.Scope(namespaces=["till", "shop"])
    await run_once(api, path, scope=scope)
    before = lists(server)
    async with informer(api, path, scope=kinform.Scope(namespaces=["shop", "till"])) as pods:
        assert sorted(pods.store) == ["shop/a", "till/b"]
        await pods.synced(timeout=10)
        await pods.remove_namespace("shop")
        assert sorted(pods.store) == ["till/b"]
        server.delete(PODS, "till/b")
        await until(lambda: not len(pods.store))
    assert lists(server) == before


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"scope": kinform.Scope(label_selector="app=web")}, "another scope"),
        ({"scope": kinform.Scope(namespaces=["shop"])}, "other namespaces"),
        ({"scope": kinform.Scope(metadata_only=True)}, "another scope"),
        ({"scope": kinform.Scope(shard=(0, 1))}, "other shards"),
        ({"prune": kinform.Prune(drop=["status"])}, "other pruning"),
        ({"transform": bytes}, "another transform"),
    ],
    ids=["labels", "namespaces", "metadata", "shard", "prune", "transform"],
)
async def test_a_snapshot_of_another_scope_is_refused_with_a_warning(server, api, path, caplog, other, why):
    put(server, "a", app="web")
    await run_once(api, path)
    before = lists(server)
    with caplog.at_level(logging.WARNING, logger="kinform.snapshot"):
        async with informer(api, path, **other) as pods:
            assert len(pods.store) == 0
            await pods.synced(timeout=10)
            assert list(pods.store) == ["shop/a"]
            assert why in pods.stats().snapshot.refused
            assert not pods.stats().snapshot.loaded
    assert why in caplog.text
    assert lists(server) == before + 1


async def test_another_cluster_is_recognised_by_kube_systems_uid(server, path, caplog):
    put(server, "a")
    server.put("v1/namespaces", {"metadata": {"name": "kube-system", "uid": "one"}})
    async with kinform.connect(server.url) as api:
        await run_once(api, path)
    async with Server() as other, kinform.connect(other.url) as api:
        other.put("v1/namespaces", {"metadata": {"name": "kube-system", "uid": "one"}})
        put(other, "x")
        async with informer(api, path) as pods:
            assert pods.stats().snapshot.loaded
    async with Server() as other, kinform.connect(other.url) as api:
        put(other, "x")
        async with informer(api, path) as pods:
            assert "another cluster" in pods.stats().snapshot.refused
            await pods.synced(timeout=10)
            assert list(pods.store) == ["shop/x"]
    assert "another cluster" in caplog.text


async def test_a_damaged_file_is_refused_and_replaced_after_a_list(server, api, path):
    put(server, "a")
    await run_once(api, path)
    data = bytearray(path.read_bytes())
    data[-50] ^= 1
    path.write_bytes(data)
    async with informer(api, path) as pods:
        assert "damaged" in pods.stats().snapshot.refused
        assert len(pods.store) == 0
        await pods.synced(timeout=10)
    async with informer(api, path) as pods:
        assert pods.stats().snapshot.loaded


async def test_a_file_of_an_old_format_is_replaced_after_a_list(server, api, path):
    put(server, "a")
    await run_once(api, path)
    data = path.read_bytes()
    path.write_bytes(data[:8] + (1).to_bytes(2, "little") + data[10:])
    async with informer(api, path) as pods:
        assert "has format 1; this version of kinform reads format 4" in pods.stats().snapshot.refused
        await pods.synced(timeout=10)
        assert list(pods.store) == ["shop/a"]
    async with informer(api, path) as pods:
        assert pods.stats().snapshot.loaded


async def test_an_object_above_max_object_bytes_is_refused(server, api, path):
    put(server, "a", text="x" * 3_000)
    await run_once(api, path)
    async with informer(api, path, options=quick(initial="list", max_object_bytes=2_000)) as pods:
        assert "damaged" in pods.stats().snapshot.refused
    async with informer(api, path) as pods:
        assert pods.stats().snapshot.loaded


async def test_an_old_file_is_refused(server, api, path):
    put(server, "a")
    await run_once(api, path)
    await asyncio.sleep(0.02)
    async with informer(api, kinform.Snapshot(path=path, max_age=0.01)) as pods:
        assert "max_age" in pods.stats().snapshot.refused


async def test_a_snapshot_above_the_memory_limit_is_refused(server, api, path):
    server.generate(PODS, 200)
    await run_once(api, path)
    async with fails(informer(api, path, memory_limit=1000), kinform.MemoryLimitError) as pods:
        assert "memory_limit" in pods.stats().snapshot.refused
        with pytest.raises(kinform.MemoryLimitError):
            await pods.synced(timeout=10)


async def test_the_snapshot_is_written_at_intervals_while_changes_come(server, api, path):
    put(server, "a")
    async with informer(api, kinform.Snapshot(path=path, interval=0.05)) as pods:
        await pods.synced(timeout=10)
        await until(lambda: pods.stats().snapshot.writes == 1)
        first = path.read_bytes()
        put(server, "b")
        await until(lambda: pods.stats().snapshot.writes == 2)
        assert path.read_bytes() != first
        assert pods.stats().snapshot.file_bytes == path.stat().st_size
    assert pods.stats().snapshot.writes == 2


@pytest.mark.parametrize("why", ["missing", "full"])
async def test_a_failing_disk_is_counted_and_stops_nothing(server, api, path, caplog, monkeypatch, why):
    put(server, "a")
    if why == "missing":
        path = path.parent / "removed" / "pods"
        path.parent.mkdir(mode=0o700)
    else:

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
    async with informer(api, kinform.Snapshot(path=path, interval=0.05)) as pods:
        if why == "missing":  # from now on
            shutil.rmtree(path.parent)
        await pods.synced(timeout=10)
        await until(lambda: pods.stats().snapshot.failures >= 2)
        put(server, "b")
        await until(lambda: in_sync(pods.store, server, PODS))
        assert pods.state == "live"
        assert "cannot be written" in pods.stats().snapshot.error
    assert "cannot be written" in caplog.text
    assert not path.exists()
    assert not list(path.parent.glob("*.tmp"))
    assert not list(path.parent.glob(".*.tmp"))


async def test_nothing_is_written_before_the_first_complete_state(server, api, path):
    put(server, "a")
    server.fault(Stall(), on="list")
    async with informer(api, path):
        await server.wait_for_request(on="list")
    assert not path.exists()


async def test_a_snapshot_written_during_a_storm_can_be_resumed(server, api, path):
    server.generate(PODS, 500)
    async with informer(api, kinform.Snapshot(path=path, interval=0.02)) as pods:
        await pods.synced(timeout=10)
        for round in range(10):
            server.storm(PODS, 300)
            for key in server.keys(PODS)[:20]:
                server.delete(PODS, key)
            written = pods.stats().snapshot.writes
            await until(lambda written=written: pods.stats().snapshot.writes > written)
            copy = path.with_suffix(f".{round}")
            copy.touch(0o600)
            copy.write_bytes(path.read_bytes())
    before = lists(server)
    for round in range(10):
        async with informer(api, path.with_suffix(f".{round}")) as pods:
            assert pods.stats().snapshot.loaded
            await pods.synced(timeout=10)
            await until(lambda pods=pods: in_sync(pods.store, server, PODS))
    assert lists(server) == before


async def test_stopping_during_a_write_leaves_a_complete_file(server, api, path):
    server.generate(PODS, 300)
    for _ in range(5):
        async with informer(api, kinform.Snapshot(path=path, interval=0.001)) as pods:
            await pods.synced(timeout=10)
            server.storm(PODS, 50)
        assert not list(path.parent.glob(".*.tmp"))
        async with informer(api, path) as pods:
            assert pods.stats().snapshot.refused is None


async def test_the_first_request_waits_for_the_jitter(server, api):
    put(server, "a")
    async with informer(api, None, options=quick(start_jitter=3600.0)) as pods:
        with pytest.raises(TimeoutError):
            await pods.synced(timeout=0.2)
        assert not server.requests
    async with informer(api, None, options=quick(start_jitter=0.05)) as pods:
        await pods.synced(timeout=10)


async def test_starts_from_snapshots_agree_with_the_server(cluster: Cluster, path):
    for name in ("a", "b", "c"):
        await cluster.create(name, data={"k": name})
    scope = kinform.Scope(namespaces=[cluster.namespace])
    key = f"{cluster.namespace}/{{}}".format

    def informer() -> kinform.Informer:
        return kinform.Informer(api, cluster.resource, scope=scope, options=quick(initial="list"), snapshot=path)

    async def truth() -> dict[str, str]:
        answer = (await cluster.api.list_raw(cluster.resource, namespace=cluster.namespace)).json()
        return {key(found["metadata"]["name"]): found["metadata"]["resourceVersion"] for found in answer["items"]}

    def held(informer: kinform.Informer) -> dict[str, str]:
        return {key: rv for key, (_, rv) in versions(informer.store).items()}

    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        async with informer() as first:
            await first.synced(timeout=20)
        await cluster.replace("a", data={"k": "changed"})
        await cluster.delete("b")
        expected = await truth()
        async with informer() as second:
            assert second.store[key("a")]["data"] == {"k": "a"}
            assert second.stats().snapshot.loaded
            await second.synced(timeout=20)
            await until(lambda: held(second) == expected)
        await cluster.replace("c", data={"k": "changed"})
        await cluster.expire_history()
        expected = await truth()
        async with informer() as third:
            assert third.stats().snapshot.loaded
            await until(lambda: held(third) == expected, within=20)
            await third.synced(timeout=20)


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root can make a device")


def make_symlink(path: Path) -> None:
    path.with_name("target").write_bytes(b"kinform\0 and more")
    path.symlink_to("target")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.write_text("shopping: milk\n"), "not a snapshot of kinform"),
        (lambda path: path.write_bytes(b""), "not a snapshot of kinform"),
        (make_fifo, "a FIFO"),
        (make_device, "a device"),
        (make_symlink, "a symbolic link"),
        (Path.mkdir, "a folder"),
    ],
    ids=["text", "empty", "fifo", "device", "symlink", "folder"],
)
async def test_a_foreign_file_raises_at_start_and_stays(server, api, path, make, why):
    put(server, "a")
    make(path)
    before = path.lstat(), sorted(path.parent.iterdir())
    for _ in range(2):  # a failed start releases the path
        with pytest.raises(kinform.SnapshotError) as caught:
            async with asyncio.timeout(10):
                await run_once(api, path)
        assert why in caught.value.why
        assert str(path) in str(caught.value)
    assert (path.lstat(), sorted(path.parent.iterdir())) == before
    assert not server.requests


async def test_a_file_that_appears_later_is_never_replaced(server, api, path):
    put(server, "a")
    async with informer(api, kinform.Snapshot(path=path, interval=0.02)) as pods:
        path.write_text("shopping: milk\n")
        await pods.synced(timeout=10)
        await until(lambda: pods.stats().snapshot.failures >= 2)
        assert "not a snapshot of kinform" in pods.stats().snapshot.error
        assert pods.state == "live"
        path.unlink()
        await until(lambda: pods.stats().snapshot.writes)
        assert pods.stats().snapshot.error is None


async def test_a_fifo_named_like_a_temporary_file_stays(server, api, path):
    put(server, "a")
    fifo = path.with_name(f".{path.name}.0123456789abcdef.tmp")
    os.mkfifo(fifo)
    async with asyncio.timeout(10):
        await run_once(api, path)
    assert stat.S_ISFIFO(fifo.lstat().st_mode)


@pytest.mark.parametrize("name", ["nowhere/pods", "file/pods"])
async def test_a_missing_folder_is_an_error_at_the_start(server, api, path, name):
    put(server, "a")
    path = path.parent / name
    (path.parent.parent / "file").touch()
    with pytest.raises(kinform.SnapshotError, match=rf"{path}: its folder {path.parent} does not exist"):
        await run_once(api, path)
    assert not server.requests


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
async def test_a_folder_that_others_can_write_to_is_refused(server, api, path, mode):
    put(server, "a")
    path.parent.chmod(mode)
    with pytest.raises(kinform.SnapshotError, match=rf"{path}: .*others can write .*\(mode {mode:04o}\)"):
        await run_once(api, path)
    await run_once(api, kinform.Snapshot(path=path, allow_insecure_permissions=True))


@pytest.mark.parametrize("mode", [0o620, 0o602])
async def test_a_file_that_others_can_write_to_is_refused(server, api, path, mode):
    put(server, "a")
    await run_once(api, path)
    path.chmod(mode)
    with pytest.raises(kinform.SnapshotError, match=rf"{path}: .*others can write .*\(mode {mode:04o}\)"):
        await run_once(api, path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    async with informer(api, kinform.Snapshot(path=path, allow_insecure_permissions=True)) as pods:
        assert pods.stats().snapshot.loaded


async def test_a_second_informer_on_one_path_raises(server, api, path):
    put(server, "a")
    (path.parent / "link").symlink_to(path.parent)
    async with informer(api, path) as pods:
        for same in (path, path.parent / "link" / path.name):
            with pytest.raises(kinform.SnapshotError, match=f"{same}: another informer uses it"):
                await run_once(api, same)
        await run_once(api, path.with_name("other"))
        await pods.synced(timeout=10)
    async with informer(api, path) as pods:
        assert pods.stats().snapshot.loaded
    assert sorted(found.name for found in path.parent.iterdir()) == ["link", "other", "pods.kinform"]


async def test_a_start_that_fails_releases_the_path(server, api, path):
    class OfAnotherLoop:
        name, entered, current = "shop/worker", True, ShardSet(1, frozenset({0}))

        def subscribe(self, listener: object) -> Callable[[], None]:
            raise kinform.KinformError("another event loop")

    put(server, "a")
    with pytest.raises(kinform.KinformError, match="another event loop"):
        await run_once(api, path, scope=kinform.Scope(shards=OfAnotherLoop()))
    assert list(path.parent.iterdir()) == []
    await run_once(api, path)


async def test_a_path_in_use_by_another_process_raises(server, api, path):
    put(server, "a")
    program = (
        "import sys; from kinform._snapshot.location import Location;"
        "Location(sys.argv[1], allow_insecure_permissions=False).claim(); print(flush=True); sys.stdin.read()"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        await other.stdout.readline()
        with pytest.raises(kinform.SnapshotError, match="another informer uses it"):
            await run_once(api, path)
    finally:
        other.kill()
        await other.communicate()
    await run_once(api, path)  # the lock of a killed process does not last
    assert list(path.parent.iterdir()) == [path]
