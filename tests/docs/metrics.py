"""The tables of metrics in docs/reference/metrics.md."""

from __future__ import annotations

from kinform.prometheus._informer_metrics import ROWS, SHARED_ROWS


def table(*, shared: bool) -> str:
    """Returns a row for each metric, either unshared or shared by informers."""
    rows = "".join(
        f"| `{row.name}` | {row.type} | {f'`{row.label}`' if row.label else ''} | {row.help} |\n"
        for row in (SHARED_ROWS if shared else ROWS)
    )
    return f"| metric | type | label | |\n|---|---|---|---|\n{rows}"
