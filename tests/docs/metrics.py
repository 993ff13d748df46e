"""The tables of metrics in docs/reference/metrics.md."""

from __future__ import annotations

from collections.abc import Iterable

from kinform.prometheus import _election_metrics, _shards_metrics
from kinform.prometheus._informer_metrics import ROWS, SHARED_ROWS


def table(*, shared: bool) -> str:
    """Returns a row for each metric, either unshared or shared by informers."""
    rows = "".join(
        f"| `{row.name}` | {row.type} | {f'`{row.label}`' if row.label else ''} | {row.help} |\n"
        for row in (SHARED_ROWS if shared else ROWS)
    )
    return f"| metric | type | label | |\n|---|---|---|---|\n{rows}"


def election_table() -> str:
    """Returns a row for each metric of elections."""
    return _unlabelled(_election_metrics.ROWS)


def shards_table() -> str:
    """Returns a row for each metric of shards."""
    return _unlabelled(_shards_metrics.ROWS)


def _unlabelled(metrics: Iterable[_election_metrics.ElectionRow | _shards_metrics.ShardsRow]) -> str:
    rows = "".join(f"| `{row.name}` | {row.type} | {row.help} |\n" for row in metrics)
    return f"| metric | type | |\n|---|---|---|\n{rows}"
