"""A controller reconciles each key that may need work, one call at a time.

Over 500 lines: one file shows which rules of a controller have a test.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from functools import partial
from typing import Any

import pytest

import kinform
from kinform.controllers import Controller, MetadataChanged, Requeue, Shards
from kinform.controllers._reconcile.workers import LOGGED_FAILURES
from kinform.testing import Server, Unavailable
from tests.controllers.running import Recorder, idle, running
from tests.net.informers import quick
from tests.support.waiting import until

MAPS, PODS, NODES = "v1/configmaps", "v1/pods", "v1/nodes"
QUICK = kinform.Backoff(initial=0.005, maximum=0.02, jitter=0.0)


def config_map(name: str, *, owner: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "shop", **fields.pop("metadata", {})}
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {"metadata": metadata, **fields}


def reference(name: str, kind: str = "Pod", version: str = "v1", *, controller: bool = True) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "name": name, "uid": f"uid-{name}", "controller": controller}


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", **metadata}, "spec": {}}


async def test_all_objects_are_reconciled_at_the_start(server: Server):
    server.generate(PODS, 50)
    recorder = Recorder()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder)):
            await recorder.called(*server.keys(PODS))
    assert len(recorder.keys) == 50


async def test_each_change_is_reconciled(server: Server):
    recorder = Recorder()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder)):
            for step in (
                lambda: server.put(PODS, pod("a")),
                lambda: server.touch(PODS, "shop/a"),
                lambda: server.delete(PODS, "shop/a"),
            ):
                recorder.forget()
                step()
                await recorder.called("shop/a")


async def test_reconcile_reads_the_newest_state(server: Server):
    seen: list[Any] = []

    async def work(key: str) -> None:
        seen.append((pods.store.get(key) or {}).get("metadata", {}).get("labels"))

    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, work)):
            server.put(PODS, pod("a", labels={"n": "1"}))
            await until(lambda: seen[-1:] == [{"n": "1"}])
            server.delete(PODS, "shop/a")
            await until(lambda: seen[-1:] == [None])


async def test_changes_during_a_reconcile_lead_to_one_more(server: Server):
    gate = asyncio.Event()

    async def work(key: str) -> None:
        await gate.wait()

    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        controller = Controller(pods, recorder, workers=4)
        async with running(controller):
            server.put(PODS, pod("a"))
            await recorder.called("shop/a")
            for _ in range(5):
                version = server.touch(PODS, "shop/a")
            await pods.wait_for(version, timeout=10)
            gate.set()
            await idle(controller)
    assert recorder.keys == ["shop/a", "shop/a"]


async def test_workers_reconcile_different_keys_at_the_same_time(server: Server):
    server.generate(PODS, 20)

    async def work(key: str) -> None:
        await asyncio.sleep(0.01)

    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder, workers=3)):
            await recorder.called(*server.keys(PODS))
    assert recorder.most == 3


async def test_the_first_call_comes_after_all_sources_are_synced(server: Server):
    server.generate(PODS, 3)
    server.fault(Unavailable(), resource=NODES, times=3)
    states: list[str] = []

    async def work(key: str) -> None:
        states.append(nodes.state)

    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS) as pods, kinform.Informer(api, NODES, options=quick()) as nodes:
            async with running(Controller(pods, work, watches={nodes: lambda change: ()})):
                await until(lambda: len(states) == 3)
    assert set(states) == {"live"}


async def test_live_changes_come_before_the_objects_of_the_start(server: Server):
    server.generate(PODS, 2_000)
    gate = asyncio.Event()

    async def work(key: str) -> None:
        await gate.wait()

    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder)):
            await until(lambda: len(recorder.keys) == 1)
            version = server.put(PODS, pod("new"))
            await pods.wait_for(version, timeout=10)
            gate.set()
            await until(lambda: len(recorder.keys) > 1)
            assert "shop/new" in recorder.keys[1:3]


async def test_a_resync_reconciles_all_objects_at_a_low_priority(server: Server):
    server.generate(PODS, 20)
    recorder = Recorder()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS, resync_period=0.2) as pods:
        controller = Controller(pods, recorder, predicate=MetadataChanged("generation"))
        async with running(Controller(pods, recorder)), running(controller):
            await until(lambda: len(recorder.keys) >= 40)
            recorder.forget()
            await until(lambda: len(recorder.keys) >= 40)


# Results


async def test_a_requeue_reconciles_again_later(server: Server):
    async def work(key: str) -> Requeue:
        if len(recorder.keys) < 3:
            raise OSError
        return Requeue(after=0.02)

    server.put(PODS, pod("a"))
    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        controller = Controller(pods, recorder, backoff=QUICK)
        async with running(controller):
            await until(lambda: len(recorder.keys) >= 6)
            assert controller.queue.num_requeues("shop/a") == 0


def test_a_requeue_without_a_positive_wait_is_refused():
    with pytest.raises(kinform.OptionError, match=r"Requeue.after: 0 is not allowed; expected a positive number"):
        Requeue(after=0)


async def test_a_call_that_raises_is_repeated(server: Server, caplog: pytest.LogCaptureFixture):
    async def work(key: str) -> None:
        if len(recorder.keys) < 8:
            raise ValueError("secret contents")

    server.put(PODS, pod("a"))
    recorder = Recorder(work)
    with caplog.at_level(logging.INFO):
        async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
            controller = Controller(pods, recorder, backoff=QUICK)
            async with running(controller):
                await until(lambda: len(recorder.keys) == 8)
                await idle(controller)
                assert controller.queue.num_requeues("shop/a") == 0
    lines = [record.getMessage() for record in caplog.records if record.name == "kinform.controllers"]
    assert len(lines) == 3, "once for each growth of the backoff: 5, 10 and 20 ms"
    place = f"test_controller.py:{work.__code__.co_firstlineno + 2}"
    start = "controller of v1/pods: reconcile of shop/a failed"
    assert lines[0].startswith(f"{start} once: ValueError at {place}; it is called again")
    assert lines[1].startswith(f"{start} 2 times: ValueError at {place}; it is called again")
    assert "secret" not in caplog.text


async def test_the_log_of_many_failing_keys_is_bounded(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    async def work(key: str) -> None:
        if fails:
            raise LookupError if key == "shop/other" else ValueError

    fails = True
    server.generate(PODS, 100)
    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        controller = Controller(pods, recorder, backoff=QUICK)
        async with running(controller):
            await recorder.called(*server.keys(PODS))
            server.put(PODS, pod("other"))
            await recorder.called("shop/other")
            monkeypatch.setattr("kinform._throttled_log.REPEAT_SECONDS", 0.0)  # the period ends
            server.put(PODS, pod("later"))
            await recorder.called("shop/later")
            fails = False
            await idle(controller)
    lines = [record.getMessage() for record in caplog.records if record.name == "kinform.controllers"]
    ends = [number for number, line in enumerate(lines) if "(and " in line]
    before = [line for line in lines[: ends[0]] if "ValueError" in line]
    assert len(before) == LOGGED_FAILURES
    assert before[-1].endswith(" s (similar ones are only counted for some minutes)")
    assert len({line.split()[5] for line in before}) > 2, "several keys"
    assert any("shop/other failed once: LookupError" in line for line in lines), "an error of another type"
    (suppressed,) = re.findall(r" s \(and (\d+) similar ones since the last\)", lines[ends[0]])
    assert int(suppressed) >= 100 - LOGGED_FAILURES


@pytest.mark.parametrize("wrap", [lambda work: work, partial, lambda work: lambda key: work(key)])
async def test_the_place_of_an_error_is_in_the_program(server: Server, caplog: pytest.LogCaptureFixture, wrap: Any):
    async def work(key: str) -> None:
        calls.append(key)
        if len(calls) == 1:
            json.loads("no JSON")  # raises in a frame of another package

    calls: list[str] = []
    server.put(PODS, pod("a"))
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, wrap(work), backoff=QUICK)):
            await until(lambda: len(calls) == 2)
    assert f"JSONDecodeError at test_controller.py:{work.__code__.co_firstlineno + 3};" in caplog.text


async def test_the_log_has_the_text_of_an_error_of_kinform(server: Server, caplog: pytest.LogCaptureFixture):
    async def work(key: str) -> None:
        await api.get(PODS, "shop/missing")

    server.put(PODS, pod("a"))
    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder, backoff=QUICK)):
            await until(lambda: len(recorder.keys) > 1)
    assert "get v1/pods shop/missing: the server answered 404" in caplog.text


async def test_a_result_of_another_type_is_a_failure(server: Server, caplog: pytest.LogCaptureFixture):
    async def work(key: str) -> Any:
        return 600

    server.put(PODS, pod("a"))
    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder, backoff=QUICK)):
            await until(lambda: len(recorder.keys) > 1)
    assert "the result of reconcile: a value of type int is not allowed; expected None or a Requeue" in caplog.text


async def test_a_call_that_takes_too_long_is_cancelled(server: Server, caplog: pytest.LogCaptureFixture):
    async def work(key: str) -> None:
        if key == "shop/slow" and len(recorder.keys) < 4:
            await asyncio.Event().wait()

    server.put(PODS, pod("slow"))
    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        controller = Controller(pods, recorder, backoff=QUICK, reconcile_timeout=0.05)
        async with running(controller):
            await until(lambda: len(recorder.keys) >= 4)
            await idle(controller)
    line = work.__code__.co_firstlineno + 2
    assert f"failed once: no end within reconcile_timeout, 0.05 s at test_controller.py:{line}" in caplog.text


async def test_each_call_has_the_whole_time(server: Server):
    async def work(key: str) -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(0.06)
        except asyncio.CancelledError:
            cancelled += 1
            raise

    cancelled = 0
    server.generate(PODS, 10)
    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        controller = Controller(pods, recorder, backoff=QUICK, reconcile_timeout=0.5)
        async with running(controller):
            await recorder.called(*server.keys(PODS))
            await idle(controller)
    assert (len(recorder.keys), cancelled) == (10, 0)


async def test_a_timeout_of_a_call_itself_is_not_the_limit(server: Server, caplog: pytest.LogCaptureFixture):
    async def work(key: str) -> None:
        if len(recorder.keys) == 1:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()

    server.put(PODS, pod("a"))
    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder, backoff=QUICK, reconcile_timeout=60)):
            await until(lambda: len(recorder.keys) == 2)
    assert "failed once: TimeoutError at test_controller.py:" in caplog.text


@pytest.mark.parametrize("error", [None, ValueError])
async def test_a_worker_goes_on_after_a_call_that_ignores_its_end(
    server: Server, caplog: pytest.LogCaptureFixture, error: type[Exception] | None
):
    async def work(key: str) -> None:
        if len(recorder.keys) == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)
                if error is not None:
                    raise error from None
        await asyncio.sleep(0.01)
        task = asyncio.current_task()
        assert task is not None
        left.append(task.cancelling())

    server.put(PODS, pod("a"))
    left: list[int] = []
    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder, backoff=QUICK, reconcile_timeout=0.05)) as task:
            await recorder.called("shop/a")
            server.put(PODS, pod("b"))
            await recorder.called("shop/b")
            await until(lambda: len(left) >= 2)
            assert not task.done()
    assert left[-1] == 0
    assert ("failed once: ValueError" in caplog.text) == (error is not None)


async def test_many_failed_keys_are_repeated_without_a_common_limit(server: Server):
    async def work(key: str) -> None:
        if key not in failed:
            failed.add(key)
            raise OSError

    server.generate(PODS, 1_000)  # with the rate of a WorkQueue, the last one would be repeated after 90 seconds
    failed: set[str] = set()
    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder)):
            await until(lambda: len(recorder.keys) == 2_000)


@pytest.mark.parametrize("awaits", [True, False])
async def test_a_call_that_cancels_its_own_task_ends_nothing(server: Server, awaits: bool):
    async def work(key: str) -> None:
        if key == "shop/a":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if awaits:
                await asyncio.sleep(0)

    server.put(PODS, pod("a"))
    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder, backoff=QUICK)) as task:
            await recorder.called("shop/a")
            server.put(PODS, pod("b"))
            await recorder.called("shop/b")
            assert not task.done()


async def test_a_call_that_waits_for_nothing_does_not_block_the_loop(server: Server):
    server.generate(PODS, 5)

    async def work(key: str) -> None:
        controller.queue.add(key)

    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        controller = Controller(pods, work)
        async with running(controller):
            await until(lambda: controller.queue.stats().adds > 1_000)


# Owners and mapped objects


async def test_the_owner_of_a_changed_object_is_reconciled(server: Server):
    server.put(PODS, pod("web"))
    recorder = Recorder()
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS) as pods, kinform.Informer(api, MAPS) as maps:
            async with running(Controller(pods, recorder, owns=[maps])):
                await recorder.called("shop/web")
                for step in (
                    lambda: server.put(MAPS, config_map("c", owner=reference("web"))),
                    lambda: server.put(MAPS, config_map("c", owner=reference("web"), data={"k": "v"})),
                    lambda: server.put(MAPS, config_map("c", owner=reference("api"))),
                ):
                    recorder.forget()
                    step()
                    await recorder.called("shop/web")
                await recorder.called("shop/api")
                recorder.forget()
                server.delete(MAPS, "shop/c")
                await recorder.called("shop/api")
                assert "shop/web" not in recorder.keys


async def test_only_controllers_of_the_right_kind_are_owners(server: Server):
    server.put(PODS, pod("web"))
    recorder = Recorder()
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS) as pods, kinform.Informer(api, MAPS) as maps:
            controller = Controller(pods, recorder, owns=[maps])
            async with running(controller):
                await recorder.called("shop/web")
                recorder.forget()
                for number, owner in enumerate(
                    (
                        reference("other", controller=False),
                        reference("other", kind="Node"),
                        reference("other", version="apps/v1"),
                    )
                ):
                    server.put(MAPS, config_map(f"c-{number}", owner=owner))
                server.put(MAPS, config_map("last", owner=reference("web")))
                await recorder.called("shop/web")
                assert recorder.keys == ["shop/web"]


async def test_an_owner_whose_name_is_not_in_the_scope_is_ignored(server: Server):
    server.put(PODS, pod("web"))
    recorder = Recorder()
    async with kinform.connect(server.url) as api:
        scope = kinform.Scope(names=["web", "api"])
        async with kinform.Informer(api, PODS, scope=scope) as pods, kinform.Informer(api, MAPS) as maps:
            async with running(Controller(pods, recorder, owns=[maps])):
                await recorder.called("shop/web")
                recorder.forget()
                for name in ("other", "api"):
                    server.put(MAPS, config_map(f"of-{name}", owner=reference(name)))
                await recorder.called("shop/api")
                assert recorder.keys == ["shop/api"]


@pytest.mark.parametrize(
    "options",
    [
        {"scope": kinform.Scope(metadata_only=True)},
        {"transform": lambda raw: b'{"kind":7}'},
        {"transform": lambda raw: b"{}"},
    ],
    ids=["metadata only", "other kind", "no kind"],
)
async def test_an_owner_without_a_known_kind_is_reconciled(server: Server, options: dict[str, Any]):
    server.put(PODS, pod("web"))
    recorder = Recorder()
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS, **options) as pods, kinform.Informer(api, MAPS) as maps:
            async with running(Controller(pods, recorder, owns=[maps])):
                await recorder.called("shop/web")
                recorder.forget()
                server.put(MAPS, config_map("of-node", owner=reference("web", "Node")))
                server.put(MAPS, config_map("of-pod", owner=reference("web")))
                await recorder.called("shop/web")
                await until(lambda: maps.stats().objects == 2)
                assert recorder.keys == ["shop/web"]


async def test_an_owner_can_be_cluster_scoped(server: Server):
    server.put(NODES, {"metadata": {"name": "node-1"}})
    recorder = Recorder()
    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, NODES) as nodes, kinform.Informer(api, MAPS) as maps:
            async with running(Controller(nodes, recorder, owns=[maps])):
                await recorder.called("node-1")
                recorder.forget()
                server.put(MAPS, config_map("c", owner=reference("node-1", "Node")))
                await recorder.called("node-1")


async def test_a_watched_object_is_mapped_to_keys(server: Server):
    recorder = Recorder()

    def keys_for(change: Any) -> list[str]:
        assert isinstance(change, kinform.Added | kinform.Updated | kinform.Deleted)
        return [f"shop/{change.key}-{type(change).__name__}"]

    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS) as pods, kinform.Informer(api, NODES) as nodes:
            async with running(Controller(pods, recorder, watches={nodes: keys_for})):
                server.put(NODES, {"metadata": {"name": "n"}})
                await recorder.called("shop/n-Added")
                server.touch(NODES, "n")
                await recorder.called("shop/n-Updated")
                server.delete(NODES, "n")
                await recorder.called("shop/n-Deleted")


@pytest.mark.parametrize("returned", [ValueError("secret"), "shop/a", [7], None])
async def test_a_map_that_fails_is_logged_and_ends_nothing(server: Server, caplog, returned: Any):
    recorder = Recorder()

    def keys_for(change: kinform.Added[Any]) -> Any:
        if change.key == "good":
            return ["shop/good"]
        if isinstance(returned, ValueError):
            raise returned
        return returned

    async with kinform.connect(server.url) as api:
        async with kinform.Informer(api, PODS) as pods, kinform.Informer(api, NODES) as nodes:
            async with running(Controller(pods, recorder, watches={nodes: keys_for})):
                server.put(NODES, {"metadata": {"name": "bad"}})
                server.put(NODES, {"metadata": {"name": "good"}})
                await recorder.called("shop/good")
    assert "keys_for failed at v1/nodes bad: " in caplog.text
    assert "secret" not in caplog.text
    assert recorder.keys == ["shop/good"]


# Predicates


async def test_a_predicate_skips_updates_that_change_nothing_of_it(server: Server):
    recorder = Recorder()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        predicate = MetadataChanged("generation", "labels")
        async with running(Controller(pods, recorder, predicate=predicate)):
            server.put(PODS, pod("a", generation=1, labels={"n": "1"}))
            await recorder.called("shop/a")
            recorder.forget()
            server.put(PODS, pod("a", generation=1, labels={"n": "1"}, annotations={"a": "b"}))
            server.put(PODS, pod("last", generation=1))
            await recorder.called("shop/last")
            assert "shop/a" not in recorder.keys
            for metadata in ({"generation": 2, "labels": {"n": "1"}}, {"generation": 2, "labels": {"n": "2"}}):
                recorder.forget()
                server.put(PODS, pod("a", **metadata))
                await recorder.called("shop/a")
            recorder.forget()
            server.delete(PODS, "shop/a")
            await recorder.called("shop/a")


async def test_an_update_counts_if_its_predicate_raises(server: Server, caplog: pytest.LogCaptureFixture):
    def fails(old: bytes, new: bytes) -> bool:
        raise ValueError("secret")

    recorder = Recorder()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        async with running(Controller(pods, recorder, predicate=fails)):
            server.put(PODS, pod("a"))
            await recorder.called("shop/a")
            recorder.forget()
            server.touch(PODS, "shop/a")
            await recorder.called("shop/a")
    assert "fails failed at v1/pods shop/a: ValueError" in caplog.text


def test_a_member_of_metadata_that_does_not_exist_is_refused():
    with pytest.raises(kinform.OptionError, match="members"):
        MetadataChanged("spec")
    with pytest.raises(kinform.OptionError, match="members"):
        MetadataChanged()


# Writes


async def test_an_own_write_is_read_at_once(cluster):
    scope = kinform.Scope(namespaces=[cluster.namespace])
    read: list[Any] = []

    async def work(key: str) -> None:
        if key.endswith("/a") and not read:
            written = {
                "kind": "ConfigMap",
                "metadata": {"namespace": cluster.namespace, "name": "b"},
                "data": {"k": "1"},
            }
            await api.apply(MAPS, written, field_manager="test", dry_run=True)
            read.append(maps.store.get(f"{cluster.namespace}/b"))
            await api.apply(MAPS, written, field_manager="test")
            read.append(maps.store.get(f"{cluster.namespace}/b"))
            await api.patch(MAPS, f"{cluster.namespace}/b", {"data": {"k": "2"}})
            read.append(maps.store.get(f"{cluster.namespace}/b"))

    await cluster.create("a")
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        async with kinform.Informer(api, MAPS, scope=scope) as maps:
            async with running(Controller(maps, work)):
                await until(lambda: len(read) == 3)
            assert not api.write_listeners
    assert read[0] is None
    assert [found["data"] for found in read[1:]] == [{"k": "1"}, {"k": "2"}]


async def test_a_write_is_not_expected_under_a_field_selector(server: Server):
    async def work(key: str) -> None:
        metadata = {"namespace": "shop", "name": "written"}
        await api.create(PODS, {"metadata": metadata, "status": {"phase": "Pending"}})
        read.append(pods.store.get("shop/written"))

    server.put(PODS, {**pod("a"), "status": {"phase": "Running"}})
    read: list[Any] = []
    scope = kinform.Scope(field_selector="status.phase=Running")
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS, scope=scope) as pods:
        async with running(Controller(pods, work)):
            await until(lambda: len(read) == 1)
    assert read == [None]


async def test_a_deleted_child_comes_back(cluster):
    scope = kinform.Scope(namespaces=[cluster.namespace], label_selector="app=child")
    parents = kinform.Scope(namespaces=[cluster.namespace], label_selector="app=parent")
    child = f"{cluster.namespace}/a-child"
    applies = 0

    async def work(key: str) -> None:
        nonlocal applies
        parent = maps.store.get(key)
        if parent is None or f"{key}-child" in children.store:
            return
        meta = parent["metadata"]
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"], "controller": True}
        name = f"{meta['name']}-child"
        metadata = {
            "namespace": meta["namespace"],
            "name": name,
            "labels": {"app": "child"},
            "ownerReferences": [owner],
        }
        await api.apply(MAPS, {"kind": "ConfigMap", "metadata": metadata}, field_manager="test", force=True)
        applies += 1

    async with kinform.connect(cluster.url, **cluster.connect_options) as api, kinform.Factory(api) as factory:
        maps, children = factory.informer(MAPS, scope=parents), factory.informer(MAPS, scope=scope)
        controller = Controller(maps, work, owns=[children], workers=4)
        async with running(controller):
            await cluster.create("a", labels={"app": "parent"})
            await until(lambda: child in children.store)
            await idle(controller)
            assert applies == 1
            await cluster.delete("a-child")
            await until(lambda: applies == 2)
            await until(lambda: child in children.store)
            await cluster.replace("a-child", labels={"app": "stripped"})
            await until(lambda: applies == 3)


async def test_at_rest_no_request_is_sent(server: Server):
    server.generate(PODS, 10)
    recorder = Recorder()
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        controller = Controller(pods, recorder)
        async with running(controller):
            await recorder.called(*server.keys(PODS))
            await idle(controller)
            before = len(server.requests)
            await asyncio.sleep(0.3)
            assert len(server.requests) == before
            assert controller.queue.stats().retries == 0


# Misuse


async def test_a_wrong_argument_is_refused(server: Server):
    async def work(key: str) -> None: ...

    async def asynchronous(old: bytes, new: bytes) -> bool:
        return True

    async def yields_later(change: Any) -> Any:
        yield "shop/a"

    def yields_keys(change: Any) -> Any:
        yield "shop/a"

    async def of_a_pair(name: str, namespace: str) -> None: ...

    async with kinform.connect(server.url) as api:
        pods, nodes = kinform.Informer(api, PODS), kinform.Informer(api, NODES)
        for options, message in (
            ({"workers": 0}, "workers: 0 is not allowed; expected a positive number of workers"),
            ({"owns": nodes}, "owns: .* is not allowed; expected a list of informers"),
            ({"owns": [NODES]}, "owns: 'v1/nodes' is not allowed; expected an informer of kinform"),
            (
                {"watches": [nodes]},
                "watches: a value of type list is not allowed; expected a dict of informers and functions",
            ),
            ({"watches": {nodes: 7}}, "watches: 7 is not allowed; expected a function that takes a change"),
            ({"watches": {nodes: lambda: ()}}, "watches: .* expected a function that takes a change and returns keys"),
            ({"watches": {nodes: yields_later}}, "watches: .*yields_later.* returns keys, without `async`"),
            ({"watches": {nodes: work}}, "watches: .*work.* returns keys, without `async`"),
            ({"predicate": 7}, "predicate: 7 is not allowed"),
            ({"predicate": lambda new: True}, "predicate: .* expected a function that takes the old and the new JSON"),
            (
                {"predicate": asynchronous},
                "predicate: .* takes the old and the new JSON, or None, without `async` and `yield`",
            ),
            ({"reconcile_timeout": 0}, "reconcile_timeout: 0 is not allowed; expected a positive number of seconds"),
            ({"drain_timeout": -1}, "drain_timeout: -1 is not allowed"),
            ({"backoff": 5}, "backoff: 5 is not allowed; expected a Backoff"),
            ({"leader": "shop/x"}, "leader: 'shop/x' is not allowed; expected an election, such as a LeaderElection"),
            ({"owns": [pods]}, "owns: 'v1/pods' is not allowed; expected another informer than primary"),
        ):
            with pytest.raises(kinform.OptionError, match=message):
                Controller(pods, work, **options)
        for reconcile in (7, of_a_pair, lambda: work("a")):
            with pytest.raises(
                kinform.OptionError, match=r"reconcile: .* expected an asynchronous function that takes"
            ):
                Controller(pods, reconcile)
        Controller(pods, work, watches={nodes: yields_keys})
        with pytest.raises(kinform.OptionError, match="primary: 'v1/pods' is not allowed"):
            Controller(PODS, work)
        assert repr(Controller(pods, work, name="pods")) == "<kinform.controllers.Controller 'pods': 0 keys>"


async def test_an_owned_informer_with_shards_is_refused(server: Server):
    async def work(key: str) -> None: ...

    async with kinform.connect(server.url) as api:
        pods = kinform.Informer(api, PODS)
        shards = Shards(api, "shop/shards", count=4)
        for scope in (kinform.Scope(shard=(1, 4)), kinform.Scope(shards=shards)):
            maps = kinform.Informer(api, MAPS, scope=scope)
            with pytest.raises(kinform.OptionError, match=r"owns: .*configmaps.* expected an informer without shards"):
                Controller(pods, work, owns=[maps])
            Controller(pods, work, watches={maps: lambda change: ()})


async def test_a_reconcile_that_yields_is_refused(server: Server):
    def generates(key: str) -> Any:
        yield

    class Yields:
        async def __call__(self, key: str) -> Any:
            yield

    async with kinform.connect(server.url) as api:
        for reconcile, name in ((generates, "generates"), (partial(generates), "partial"), (Yields(), "Yields")):
            with pytest.raises(kinform.OptionError, match=f"reconcile: '.*{name}.*' is not .* without `yield`"):
                Controller(kinform.Informer(api, PODS), reconcile)


@pytest.mark.parametrize("scope", [kinform.Scope(), kinform.Scope(shard=(0, 1))])
async def test_a_synchronous_reconcile_ends_the_controller(server: Server, scope: kinform.Scope):
    def work(key: str) -> None:
        calls.append(key)

    calls: list[str] = []
    server.generate(PODS, 5)
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS, scope=scope) as pods:
        message = r"reconcile: '.*work' is not .* has returned 'NoneType'"
        with pytest.raises(kinform.OptionError, match=message) as raised:
            async with asyncio.timeout(10):
                await Controller(pods, work).run()  # type: ignore[arg-type]
    assert raised.type is kinform.OptionError
    assert len(calls) == 1


async def test_a_function_that_returns_an_awaitable_is_called(server: Server):
    async def work(key: str) -> None:
        called.set()

    called = asyncio.Event()
    server.put(PODS, pod("a"))
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS) as pods:
        for reconcile in (lambda key: work(key), partial(work), lambda key: asyncio.ensure_future(work(key))):
            called.clear()
            async with running(Controller(pods, reconcile)), asyncio.timeout(10):
                await called.wait()


async def test_a_source_whose_pruning_drops_what_is_read_is_refused(server: Server):
    async def work(key: str) -> None: ...

    drop, keep = kinform.Prune(drop=["metadata.ownerReferences"]), kinform.Prune(keep=["metadata.labels.app"])
    async with kinform.connect(server.url) as api:
        pods = kinform.Informer(api, PODS, prune=keep)
        message = "'v1/configmaps' is not allowed; expected an informer whose pruning keeps metadata.ownerReferences"
        for prune in (drop, keep):
            with pytest.raises(kinform.OptionError, match=f"owns: {message}"):
                Controller(pods, work, owns=[kinform.Informer(api, MAPS, prune=prune)])
        with pytest.raises(kinform.OptionError, match="because pruning drops it"):
            Controller(pods, work, predicate=MetadataChanged("labels", "generation"))
        Controller(pods, work, predicate=MetadataChanged("labels"))
        pods = kinform.Informer(api, PODS, prune=kinform.Prune(drop=["metadata.generation"]))
        with pytest.raises(kinform.OptionError, match=r"does not read metadata.generation, because pruning drops it"):
            Controller(pods, work, predicate=MetadataChanged("generation"))
        scope = kinform.Scope(metadata_only=True)
        Controller(pods, work, owns=[kinform.Informer(api, MAPS, scope=scope)])
