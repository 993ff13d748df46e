"""The rows that `kinform watch` prints, one for each event or for each second.

Each row is a line of its own, so that a message between two rows is readable. Columns have the names that kubectl
gives them, and sizes are quantities of Kubernetes.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import Any

import click

from kinform._stats import Stats

_COLOURS = {"ADDED": "green", "MODIFIED": "yellow", "DELETED": "red", "SYNCED": "cyan"}
_NAMESPACE_WIDTH = 20
# The widest state is "unauthorized", and the widest quantity "1023Mi". A row has 79 characters.
STATS_HEADER = "TIME     STATE        OBJECTS   JSON  STORE   READ READ/S MEMORY ERRORS SKIPPED\n"


def use_colour(stream: Any) -> bool:
    """Returns whether to use colours on a stream. Source: https://no-color.org."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class EventRows:
    """Formats events as rows.

    Args:
        namespaces: Whether the rows have a column with the namespace.
    """

    def __init__(self, *, namespaces: bool) -> None:
        self._namespaces = namespaces
        colour = use_colour(sys.stdout)
        self._events = {
            event: click.style(f"{event:8}", fg=_COLOURS[event]) if colour else f"{event:8}" for event in _COLOURS
        }

    @property
    def header(self) -> bytes:
        """The names of the columns."""
        namespace = f"{'NAMESPACE':{_NAMESPACE_WIDTH}} " if self._namespaces else ""
        return f"{'TIME':8} {'EVENT':8} {namespace}NAME\n".encode()

    def encode(self, event: str, key: str, obj: object, remark: str = "") -> bytes:
        """Returns the row of an event: its key and a remark, without the object."""
        namespace, _, name = key.rpartition("/")
        column = f"{namespace:{_NAMESPACE_WIDTH}} " if self._namespaces and key else ""
        what = " ".join(filter(None, (name, f"({remark})" if remark else "")))
        return f"{datetime.now():%H:%M:%S} {self._events[event]} {column}{what}\n".encode()


def stats_row(stats: Stats, read_per_second: float, memory: int | None) -> bytes:
    """Returns the row of one second.

    Args:
        stats: The statistics of the informer.
        read_per_second: Bytes of objects received in the last second.
        memory: Bytes of the process; None if unknown.
    """
    errors = sum(stream.errors for stream in stats.streams.values())
    skipped = sum(stream.skipped for stream in stats.streams.values())
    sizes = (stats.memory.pruned_bytes, stats.memory.held_bytes, stats.wire_bytes, read_per_second, memory)
    return (
        f"{datetime.now():%H:%M:%S} {state_words(stats.state):12} {stats.objects:7} "
        f"{' '.join(f'{quantity(size):>6}' for size in sizes)} {errors:6} {skipped:7}\n"
    ).encode()


def quantity(size: float | None) -> str:
    """Formats bytes as a quantity of Kubernetes, in at most six characters."""
    if size is None:
        return "-"
    for unit in ("", "Ki", "Mi", "Gi"):
        if round(size) < 1024:
            return f"{size:.1f}{unit}" if unit and size < 9.95 else f"{size:.0f}{unit}"
        size /= 1024
    return f"{size:.0f}Ti"


def state_words(state: str) -> str:
    """Returns a state in words: `"not found"`."""
    return state.replace("_", " ")
