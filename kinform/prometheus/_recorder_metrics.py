"""The metrics of recorders of Events; `name` is their `reporting_controller`.

Source: "Metric and label naming" of the Prometheus documentation. client-go has no such metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinform.prometheus._stats_metrics import StatsRow

if TYPE_CHECKING:
    from kinform.controllers import EventStats

# fmt: off
RECORDER_ROWS: tuple[StatsRow[EventStats], ...] = (
    StatsRow("kinform_event_writes_waiting", "gauge", "Writes of Events that wait.",
        lambda stats: stats.waiting),
    StatsRow("kinform_event_writes_total", "counter",
        "Writes of Events: created ones, updates of series, and those that the server refused or did not answer.",
        lambda stats: {"created": stats.created, "updated": stats.updated, "failed": stats.failed}, "result"),
    StatsRow("kinform_event_repetitions_total", "counter", "Events that only added to the count of a series.",
        lambda stats: stats.repeated),
    StatsRow("kinform_events_not_written_total", "counter",
        "Events that were not written: their object has had too many (limited), or too many waited (dropped).",
        lambda stats: {"limited": stats.limited, "dropped": stats.dropped}, "reason"),
)
"""The metrics of a recorder."""
# fmt: on
