"""The tables of metrics in docs/reference/metrics.md."""

from __future__ import annotations

from kinform.prometheus._election_metrics import ELECTION_ROWS
from kinform.prometheus._informer_metrics import ROWS, SHARED_ROWS
from kinform.prometheus._queue_metrics import QUEUE_ROWS


def queue_table() -> str:
    """Returns a row for each metric of a work queue."""
    rows = "".join(f"| `{row.name}` | {row.type} | {row.help} |\n" for row in QUEUE_ROWS)
    return f"| metric | type | |\n|---|---|---|\n{rows}"


def table(*, shared: bool) -> str:
    """Returns a row for each metric, either unshared or shared by informers."""
    rows = "".join(
        f"| `{row.name}` | {row.type} | {f'`{row.label}`' if row.label else ''} | {row.help} |\n"
        for row in (SHARED_ROWS if shared else ROWS)
    )
    return f"| metric | type | label | |\n|---|---|---|---|\n{rows}"


def election_table() -> str:
    """Returns a row for each metric of elections."""
    rows = "".join(f"| `{row.name}` | {row.type} | {row.help} |\n" for row in ELECTION_ROWS)
    return f"| metric | type | |\n|---|---|---|\n{rows}"
