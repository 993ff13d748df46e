"""Events: bodies, series, limits, and faults that the caller never sees."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import kinform
from kinform.controllers import EventRecorder, EventStats
from kinform.controllers._events.limits import BURST
from kinform.controllers._events.recorder import MAX_RETRY_AFTER
from kinform.testing import Forbidden, Hangup, LostResponse, Server, Stall, Unavailable
from tests.support.clusters import Cluster
from tests.support.virtual_time import run
from tests.support.waiting import until

EVENTS = "events.k8s.io/v1/events"
MAPS = "v1/configmaps"
NAME = "example.com/widget-operator"


def about(name: str = "w", namespace: str = "shop", uid: str = "u") -> dict[str, Any]:
    metadata = {"name": name, "uid": uid, "resourceVersion": "7"} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata, "spec": {"secret": "s"}}


class FakeApi(kinform.Connection):
    """Keeps the writes, with the time of each in virtual time."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.writes: list[tuple[float, str, dict[str, Any]]] = []

    async def _note(self, verb: str, body: dict[str, Any]) -> None:
        self.writes.append((asyncio.get_running_loop().time(), verb, body))
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)

    async def create(self, resource, obj, **options):  # type: ignore[no-untyped-def, override]
        await self._note("create", dict(obj))

    async def patch(self, resource, key, patch, **options):  # type: ignore[no-untyped-def, override]
        await self._note("patch", dict(patch) | {"key": key})


def counts(stats: EventStats) -> dict[str, int]:
    values = {field: getattr(stats, field) for field in EventStats.__struct_fields__}
    return {field: value for field, value in values.items() if value}


def recorded(program, *errors: Exception, **options):
    """Runs a program with a recorder in virtual time; returns writes and counts."""
    api = FakeApi(*errors)

    async def main() -> EventStats:
        recorder = EventRecorder(api, reporting_controller=NAME, reporting_instance="pod-0", **options)
        async with recorder:
            await program(recorder)
        return recorder.stats()

    stats = run(main())
    return api.writes, counts(stats)


# --- on both servers


async def test_an_event_about_an_object_reaches_the_server(cluster: Cluster) -> None:
    await cluster.create("w")
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        found = await api.get(MAPS, f"{cluster.namespace}/w")
        scope = kinform.Scope(namespaces=[cluster.namespace])
        async with EventRecorder(api, reporting_controller=NAME, reporting_instance="pod-0") as recorder:
            for _ in range(3):
                recorder.event(found, "Created", "made " + "ä" * 1024, action="Create")
            recorder.event(found, "Failed", "no quota", type="Warning")
        assert counts(recorder.stats()) == {"created": 2, "repeated": 2}
        events = {each["reason"]: each async for each in api.list(EVENTS, scope=scope)}
    created, failed = events["Created"], events["Failed"]
    assert created["regarding"] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": cluster.namespace,
        "name": "w",
        "uid": found["metadata"]["uid"],
    }
    assert (created["type"], created["action"], failed["type"], failed["action"]) == (
        "Normal",
        "Create",
        "Warning",
        "Failed",
    )
    assert (created["reportingController"], created["reportingInstance"]) == (NAME, "pod-0")
    assert created["series"]["count"] == 3
    assert created["series"]["lastObservedTime"] >= created["eventTime"]
    assert len(created["note"].encode()) <= 1024
    assert created["note"].endswith("ä...")
    assert "series" not in failed


async def test_a_repetition_updates_the_event(cluster: Cluster) -> None:
    await cluster.create("w")
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        found = await api.get(MAPS, f"{cluster.namespace}/w")
        async with EventRecorder(api, reporting_controller=NAME) as recorder:
            for each in range(1, 6):
                recorder.event(found, "Created", "made")
                await until(lambda each=each: recorder.stats().created + recorder.stats().updated >= min(each, 2))
        assert counts(recorder.stats()) == {"created": 1, "updated": 2, "repeated": 4}
        (event,) = [each async for each in api.list(EVENTS, scope=kinform.Scope(namespaces=[cluster.namespace]))]
    assert event["series"]["count"] == 5


async def test_events_of_cluster_scoped_objects_are_in_default(cluster: Cluster) -> None:
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace, "uid": "u"}}
        async with EventRecorder(api, reporting_controller=NAME) as recorder:
            recorder.event(namespace, "Seen", "seen")
        scope = kinform.Scope(namespaces=["default"], field_selector=f"regarding.name={cluster.namespace}")
        (event,) = [each async for each in api.list(EVENTS, scope=scope)]
        await api.delete(EVENTS, f"default/{event['metadata']['name']}")
    assert event["regarding"] == {"apiVersion": "v1", "kind": "Namespace", "name": cluster.namespace, "uid": "u"}


async def test_the_longest_name_of_a_controller_is_accepted(cluster: Cluster) -> None:
    name = f"{'a.' * 126}b/{'o' * 63}"
    await cluster.create("w")
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        found = await api.get(MAPS, f"{cluster.namespace}/w")
        async with EventRecorder(api, reporting_controller=name) as recorder:
            recorder.event(found, "Seen", "seen")
        (event,) = [each async for each in api.list(EVENTS, scope=kinform.Scope(namespaces=[cluster.namespace]))]
    assert event["reportingController"] == name


async def test_an_event_in_a_missing_namespace_fails_alone(cluster: Cluster, caplog) -> None:
    await cluster.create("w")
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        found = await api.get(MAPS, f"{cluster.namespace}/w")
        async with EventRecorder(api, reporting_controller="x") as recorder:
            recorder.event(about("x" * 300, namespace="kinform-missing"), "Seen", "secret-note")
            recorder.event(found, "Seen", "seen")
        assert recorder.stats().created >= 1
    assert "secret-note" not in caplog.text


# --- series, in virtual time


def test_a_pause_of_six_minutes_starts_a_new_event():
    async def program(recorder):
        for pause in (0, 100, 350, 361, 1):
            await asyncio.sleep(pause)
            recorder.event(about(), "Created", "made")
        await asyncio.sleep(1000)

    writes, stats = recorded(program)
    assert [(verb, round(at)) for at, verb, _ in writes] == [
        ("create", 0),
        ("patch", 100),
        ("patch", 810),  # the first series ends, 360 s after its last repetition
        ("create", 811),
        ("patch", 812),
    ]
    assert [body["series"]["count"] for _, verb, body in writes if verb == "patch"] == [2, 3, 2]
    assert writes[0][2]["metadata"]["name"] != writes[3][2]["metadata"]["name"]
    assert stats == {"created": 2, "updated": 3, "repeated": 3}


def test_a_series_that_goes_on_is_written_each_half_hour():
    async def program(recorder):
        for _ in range(3 * 60):
            recorder.event(about(), "Created", "made")
            await asyncio.sleep(60)

    writes, _ = recorded(program)
    assert [verb for _, verb, _ in writes] == ["create"] + ["patch"] * (len(writes) - 1)
    assert 5 <= len(writes) <= 9
    assert writes[-1][2]["series"]["count"] == 180


@pytest.mark.parametrize(
    "other",
    [
        {"regarding": about("other")},
        {"regarding": about(uid="other")},
        {"reason": "Other"},
        {"type": "Warning"},
        {"action": "Other"},
    ],
)
def test_another_object_type_reason_or_action_is_another_event(other):
    async def program(recorder):
        recorder.event(about(), "Created", "made")
        recorder.event(**({"regarding": about(), "reason": "Created", "note": "made"} | other))

    writes, _ = recorded(program)
    assert [verb for _, verb, _ in writes] == ["create"] * 2


def test_an_object_has_25_writes_and_one_more_each_five_minutes():
    async def program(recorder):
        for at in range(BURST + 10):
            recorder.event(about(), f"Reason{at}", "made")
        recorder.event(about("other"), "Reason", "made")
        await asyncio.sleep(301)
        recorder.event(about(), "Later", "made")
        recorder.event(about(), "TooLate", "made")

    writes, stats = recorded(program)
    assert stats == {"created": BURST + 2, "limited": 11}
    assert writes[-1][2]["reason"] == "Later"


def test_a_full_queue_drops_events_and_counts_them():
    async def program(recorder):
        for at in range(10):
            recorder.event(about(f"w{at}"), "Created", "made")
        assert recorder.stats().waiting == 4

    _, stats = recorded(program, queue_bound=4)
    assert stats == {"created": 4, "dropped": 6}


def test_the_end_waits_five_seconds_for_the_last_writes():
    async def program(recorder):
        for at in range(10):
            recorder.event(about(f"w{at}"), "Created", "made")

    writes, stats = recorded(program, *(kinform.TransportError("away") for _ in range(10_000)))
    assert stats == {"dropped": 10}
    assert 3 <= len(writes) <= 5
    assert writes[-1][0] <= 5


def test_a_write_is_repeated_until_the_server_answers():
    async def program(recorder):
        recorder.event(about(), "Created", "made")
        await asyncio.sleep(60)

    away = [kinform.TransportError("away"), kinform.StatusError("r", 503), kinform.StatusError("r", 429)]
    writes, stats = recorded(program, *away)
    assert [verb for _, verb, _ in writes] == ["create"] * 4
    assert stats == {"created": 1}


@pytest.mark.parametrize(("asked", "wait"), [(None, 1), (0.5, 1), (20, 20), (1e9, MAX_RETRY_AFTER)])
def test_a_write_waits_for_retry_after_up_to_a_limit(asked, wait):
    async def program(recorder):
        recorder.event(about(), "Created", "made")
        await asyncio.sleep(200)

    for status in (429, 503):
        writes, stats = recorded(program, kinform.StatusError("r", status, retry_after=asked))
        assert wait <= writes[1][0] - writes[0][0] < 2 * wait
        assert stats == {"created": 1}


def test_a_series_whose_event_expired_is_created_again():
    async def program(recorder):
        recorder.event(about(), "Created", "made")
        await asyncio.sleep(1)
        api.errors.append(kinform.NotFoundError("r", 404))
        recorder.event(about(), "Created", "made")

    api = FakeApi()

    async def main():
        async with EventRecorder(api, reporting_controller=NAME) as recorder:
            await program(recorder)

    run(main())
    assert [(verb, body["series"]["count"]) for _, verb, body in api.writes[1:]] == [("patch", 2), ("create", 2)]


# --- faults of the simulator


@pytest.mark.parametrize("fault", [Unavailable(), Hangup(), LostResponse(), Stall()])
async def test_faults_of_the_server_never_reach_the_caller(server: Server, fault, monkeypatch):
    monkeypatch.setattr("kinform.controllers._events.recorder.REQUEST_SECONDS", 0.3)
    server.fault(fault, on="create", times=1)
    async with kinform.connect(server.url) as api, EventRecorder(api, reporting_controller=NAME) as recorder:
        recorder.event(about(), "Created", "made")
        await until(lambda: recorder.stats().created == 1)
    assert len(server.versions(EVENTS)) == 1


async def test_a_refused_event_is_counted_and_logged_without_its_note(server: Server, caplog):
    server.fault(Forbidden(), on="create", times=2)
    async with kinform.connect(server.url) as api, EventRecorder(api, reporting_controller=NAME) as recorder:
        with caplog.at_level(logging.WARNING, "kinform.controllers"):
            recorder.event(about(), "Created", "secret-note")
            recorder.event(about(), "Updated", "secret-note")
            await until(lambda: recorder.stats().failed == 2)
    assert len(caplog.records) == 1
    assert "secret-note" not in caplog.text


async def test_an_event_after_the_end_is_dropped(server: Server):
    async with kinform.connect(server.url) as api:
        recorder = EventRecorder(api, reporting_controller=NAME)
        async with recorder:
            recorder.event(about(), "Created", "made")
            with pytest.raises(kinform.KinformError, match="running"):
                await recorder.__aenter__()
        recorder.event(about(), "Late", "after the end")
        assert counts(recorder.stats()) == {"created": 1, "dropped": 1}


def test_an_event_before_the_start_is_refused():
    recorder = EventRecorder(FakeApi(), reporting_controller=NAME)

    async def main() -> None:
        early()
        async with recorder:
            recorder.event(about(), "Created", "made")

    def early() -> None:
        with pytest.raises(kinform.KinformError, match=f"events of {NAME}: not running: enter"):
            recorder.event(about(), "Early", "before the start")

    early()
    run(main())
    recorder.event(about(), "Late", "after the end, without a loop")
    assert counts(recorder.stats()) == {"created": 1, "dropped": 1}


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("reason", {"reason": ""}),
        ("reason", {"reason": "x" * 129}),
        ("reason", {"reason": "\ud800"}),
        ("note", {"note": None}),
        ("type", {"type": "Error"}),
        ("action", {"action": ""}),
        ("regarding", {"regarding": "shop/w"}),
        ("regarding", {"regarding": b"[]"}),
        ("regarding.metadata.name", {"regarding": {"apiVersion": "v1", "kind": "Pod"}}),
        ("regarding.kind", {"regarding": {"apiVersion": "v1", "metadata": {"name": "a"}}}),
        ("regarding.kind", {"regarding": {**about(), "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata"}}),
        ("regarding.apiVersion", {"regarding": {"kind": "Pod", "metadata": {"name": "a"}}}),
    ],
)
async def test_a_wrong_argument_is_named(field, changed):
    recorder = EventRecorder(FakeApi(), reporting_controller=NAME)
    arguments = {"regarding": about(), "reason": "Created", "note": "made"} | changed
    with pytest.raises(kinform.OptionError) as caught:
        recorder.event(**arguments)
    assert caught.value.field == field
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("api", {"api": None}),
        ("reporting_controller", {"reporting_controller": "Bad Name"}),
        ("reporting_controller", {"reporting_controller": "a/b/c"}),
        ("reporting_instance", {"reporting_instance": ""}),
        ("queue_bound", {"queue_bound": 0}),
    ],
)
def test_a_wrong_option_is_named(field, options):
    with pytest.raises(kinform.OptionError) as caught:
        EventRecorder(**({"api": FakeApi(), "reporting_controller": NAME} | options))
    assert caught.value.field == field
