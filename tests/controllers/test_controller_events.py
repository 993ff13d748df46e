"""A controller records Events about its objects."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import kubernetes_asyncio
import pytest

import kinform
from kinform.controllers import Controller
from kinform.testing import Forbidden, Server
from tests.controllers.running import Recorder, idle, running
from tests.support.waiting import until

EVENTS, MAPS = "events.k8s.io/v1/events", "v1/configmaps"


async def test_an_event_about_an_object_is_written(cluster):
    async def work(key: str) -> None:
        for _ in range(2):
            controller.event(key, "Created", "made a bucket", action="Create")
        controller.event(key, "Failed", "no quota", type="Warning")

    scope = kinform.Scope(namespaces=[cluster.namespace])
    made = await cluster.create("a")
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        async with kinform.Informer(api, MAPS, scope=scope, prune=kinform.Prune(keep=["metadata.labels"])) as maps:
            controller = Controller(maps, work, name="example.com/operator")
            async with running(controller):
                await until(lambda: controller.events.stats().created == 2)
            events = {each["reason"]: each async for each in api.list(EVENTS, scope=scope)}
    found = events["Created"]
    about = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": cluster.namespace, "name": "a"}
    assert about.items() <= found["regarding"].items()
    assert found["regarding"]["uid"] == made["metadata"]["uid"]
    assert (found["reportingController"], found["action"]) == ("example.com/operator", "Create")
    assert (found["note"], found["series"]["count"]) == ("made a bucket", 2)
    assert (events["Failed"]["type"], events["Failed"]["action"]) == ("Warning", "Failed")


async def test_events_of_the_last_calls_are_written_at_the_end(server: Server):
    async def work(key: str) -> None:
        started.set()
        await gate.wait()
        controller.event(key, "Created", "made")

    server.put(MAPS, {"metadata": {"namespace": "shop", "name": "a"}})
    started, gate = asyncio.Event(), asyncio.Event()
    async with kinform.connect(server.url) as api, kinform.Informer(api, MAPS) as maps:
        controller = Controller(maps, work)
        async with running(controller) as task:
            await started.wait()
            task.cancel()
            asyncio.get_running_loop().call_later(0.05, gate.set)
        [event] = [each async for each in api.list(EVENTS)]
        assert (event["reason"], event["reportingController"]) == ("Created", "configmaps")
        controller.event("shop/a", "Late", "after the end")
        assert controller.events.stats().dropped == 1


async def test_an_object_that_is_gone_gets_no_event(server: Server, caplog: pytest.LogCaptureFixture):
    async def work(key: str) -> None:
        if key not in maps.store:
            controller.event(key, "Deleted", "secret")

    caplog.set_level(logging.DEBUG, "kinform.controllers")
    server.put(MAPS, {"metadata": {"namespace": "shop", "name": "a"}})
    recorder = Recorder(work)
    async with kinform.connect(server.url) as api, kinform.Informer(api, MAPS) as maps:
        controller = Controller(maps, recorder)
        async with running(controller):
            await recorder.called("shop/a")
            server.delete(MAPS, "shop/a")
            await until(lambda: len(recorder.keys) == 2)
            await idle(controller)
        assert not server.keys(EVENTS)
    assert "no event about shop/a: the store does not have it" in caplog.text
    assert "secret" not in caplog.text


async def test_a_missing_right_for_events_ends_no_call(server: Server, caplog: pytest.LogCaptureFixture):
    async def work(key: str) -> None:
        controller.event(key, "Created", "secret")

    server.put(MAPS, {"metadata": {"namespace": "shop", "name": "a"}})
    server.fault(Forbidden(), on="create", times=None)
    async with kinform.connect(server.url) as api, kinform.Informer(api, MAPS) as maps:
        controller = Controller(maps, work)
        async with running(controller):
            await until(lambda: controller.events.stats().failed == 1)
            assert controller.queue.stats().retries == 0
    assert "events of configmaps: event not written" in caplog.text
    assert "secret" not in caplog.text


async def test_a_wrong_argument_of_an_event_is_named(server: Server):
    async def work(key: str) -> None: ...

    server.put(MAPS, {"metadata": {"namespace": "shop", "name": "a"}})
    async with kinform.connect(server.url) as api, kinform.Informer(api, MAPS) as maps:
        await maps.synced()
        controller = Controller(maps, work)
        with pytest.raises(kinform.OptionError, match="reason"):
            controller.event("shop/a", "", "made")
        wrong: Any = "Error"
        with pytest.raises(kinform.OptionError, match="type: 'Error' is not allowed"):
            controller.event("shop/a", "Created", "made", type=wrong)
        with pytest.raises(kinform.OptionError, match="name: 'my operator' is not allowed"):
            Controller(maps, work, name="my operator")
        for key in ("shop/a", "shop/missing"):
            with pytest.raises(kinform.KinformError, match=r"events of configmaps: not running: .* `run`, first"):
                controller.event(key, "Early", "before run")
        with pytest.raises(kinform.OptionError, match="key: 'a' is not allowed; expected \"namespace/name\""):
            controller.event("a", "Created", "made")


async def test_events_need_a_connection_of_kinform(server: Server):
    async def work(key: str) -> None: ...

    configuration = kubernetes_asyncio.client.Configuration(host=server.url)
    async with kubernetes_asyncio.client.ApiClient(configuration) as client:
        async with kinform.Informer(client, MAPS) as maps:
            with pytest.raises(kinform.KinformError, match="Events need a primary informer"):
                Controller(maps, work).event("shop/a", "Created", "made")
