"""Recorders of Events give metrics of their counts."""

from __future__ import annotations

import kinform
import kinform.prometheus
from kinform.controllers import EventRecorder
from kinform.prometheus._recorder_metrics import RECORDER_ROWS
from kinform.testing import Forbidden, Server
from tests.prometheus.exposed import samples
from tests.support.waiting import until

WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"namespace": "shop", "name": "w"}}


async def test_metrics_of_a_recorder_are_those_of_stats(server: Server):
    async with kinform.connect(server.url) as api:
        recorder = EventRecorder(api, reporting_controller="example.com/operator")
        collector = kinform.prometheus.Collector(recorder)
        async with recorder:
            recorder.event(WIDGET, "Created", "made")
            await until(lambda: recorder.stats().created == 1)
            for _ in range(2):
                recorder.event(WIDGET, "Created", "made")
            for number in range(30):
                recorder.event(WIDGET, f"Reason{number}", "too many")
        server.fault(Forbidden(), on="create")
        async with recorder:
            recorder.event({**WIDGET, "metadata": {"name": "other"}}, "Created", "made")
        recorder.event(WIDGET, "Created", "after the end")
        found, stats = samples(collector), recorder.stats()

    def value(name: str, **labels: str) -> float | None:
        return found.get((name, frozenset({"name": "example.com/operator", **labels}.items())))

    assert (stats.updated, stats.repeated, stats.dropped, stats.failed) == (1, 2, 1, 1)
    assert stats.created > 20
    assert stats.limited > 0
    assert value("kinform_event_writes_waiting") == 0
    for result in ("created", "updated", "failed"):
        assert value("kinform_event_writes_total", result=result) == getattr(stats, result)
    assert value("kinform_event_repetitions_total") == 2
    for reason in ("limited", "dropped"):
        assert value("kinform_events_not_written_total", reason=reason) == getattr(stats, reason)
    assert {name for name, _ in found} == {row.name for row in RECORDER_ROWS}
