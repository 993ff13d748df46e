"""The metrics of recorders of Events, as data.

docs/reference/metrics.md is generated from `RECORDER_ROWS`.
Source: "Metric and label naming" of the Prometheus documentation. client-go has no such metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal

import msgspec
from prometheus_client import Metric

from kinform.prometheus._sources import Recorder

if TYPE_CHECKING:
    from kinform.controllers import EventStats


class RecorderRow(msgspec.Struct, frozen=True):
    """A metric of a recorder, with the label `name`: its `reporting_controller`.

    Attributes:
        name: Its name; a counter has `_total` at the end.
        type: `"counter"` or `"gauge"`.
        help: The text that Prometheus shows for it.
        read: Reads a value from the statistics of a recorder, or one for each value of `label`.
        label: The label in addition to `name`, or `""`.
    """

    name: str
    type: Literal["counter", "gauge"]
    help: str
    read: Callable[[EventStats], Mapping[str, int]]
    label: str = ""


# fmt: off
RECORDER_ROWS: tuple[RecorderRow, ...] = (
    RecorderRow("kinform_event_writes_waiting", "gauge", "Writes of Events that wait.",
        lambda stats: {"": stats.waiting}),
    RecorderRow("kinform_event_writes_total", "counter",
        "Writes of Events: created ones, updates of series, and those that the server refused or did not answer.",
        lambda stats: {"created": stats.created, "updated": stats.updated, "failed": stats.failed}, "result"),
    RecorderRow("kinform_event_repetitions_total", "counter", "Events that only added to the count of a series.",
        lambda stats: {"": stats.repeated}),
    RecorderRow("kinform_events_not_written_total", "counter",
        "Events that were not written: their object has had too many (limited), or too many waited (dropped).",
        lambda stats: {"limited": stats.limited, "dropped": stats.dropped}, "reason"),
)
"""The metrics of a recorder."""
# fmt: on


def recorder_families(recorders: Iterable[tuple[str, Recorder]]) -> list[Metric]:
    """Returns all metrics, with the samples of these recorders.

    Without a recorder, it returns none.

    Args:
        recorders: The name of each recorder in the label, and the recorder.
    """
    found = [(name, recorder.stats()) for name, recorder in recorders]
    return [_family(row, found) for row in RECORDER_ROWS] if found else []


def _family(row: RecorderRow, recorders: list[tuple[str, EventStats]]) -> Metric:
    metric = Metric(row.name.removesuffix("_total"), row.help, row.type)
    for name, stats in recorders:
        for each, value in row.read(stats).items():
            metric.add_sample(row.name, {"name": name} | ({row.label: each} if row.label else {}), float(value))
    return metric
