"""The table of metrics in docs/reference/metrics.md."""

from __future__ import annotations

from kinform.prometheus._informer_metrics import ROWS


def table() -> str:
    """Returns a row for each metric of an informer."""
    rows = "".join(
        f"| `{row.name}` | {row.type} | {f'`{row.label}`' if row.label else ''} | {row.help} |\n" for row in ROWS
    )
    return f"| metric | type | label | |\n|---|---|---|---|\n{rows}"
