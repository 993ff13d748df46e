"""The tables of metrics in docs/reference/metrics.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kinform.prometheus._election_metrics import ELECTION_ROWS
from kinform.prometheus._informer_metrics import ROWS, SHARED_ROWS
from kinform.prometheus._on_demand_metrics import ON_DEMAND_ROWS
from kinform.prometheus._queue_metrics import QUEUE_ROWS
from kinform.prometheus._recorder_metrics import RECORDER_ROWS
from kinform.prometheus._shards_metrics import SHARDS_ROWS

TABLES: dict[str, Sequence[Any]] = {
    "metrics": ROWS,
    "shared metrics": SHARED_ROWS,
    "metrics of caches": ON_DEMAND_ROWS,
    "metrics of recorders": RECORDER_ROWS,
}
NAMED: dict[str, Sequence[Any]] = {
    "metrics of work queues": QUEUE_ROWS,
    "metrics of elections": ELECTION_ROWS,
    "metrics of shards": SHARDS_ROWS,
}


def table(name: str) -> str:
    """Returns a row for each metric of a table."""
    rows = "".join(
        f"| `{row.name}` | {row.type} | {f'`{row.label}`' if row.label else ''} | {row.help} |\n"
        for row in TABLES[name]
    )
    return f"| metric | type | label | |\n|---|---|---|---|\n{rows}"


def named_table(name: str) -> str:
    """Returns a row for each metric of sources whose only label is their name."""
    rows = "".join(f"| `{row.name}` | {row.type} | {row.help} |\n" for row in NAMED[name])
    return f"| metric | type | |\n|---|---|---|\n{rows}"
