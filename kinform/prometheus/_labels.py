"""Names of sources in labels.

A source has the name that it has in logs and errors, whose length is bounded. If another source of its kind with the
same name exists, a number follows, so that no two sources have the same series.
"""

from __future__ import annotations

import weakref
from typing import Protocol


class Named(Protocol):
    """A source with a name."""

    @property
    def name(self) -> str:
        """The name in logs and errors."""
        ...


class UniqueNames:
    """The names of the sources of one kind.

    A source keeps its name as long as it exists.
    """

    def __init__(self) -> None:
        self._names: weakref.WeakKeyDictionary[Named, str] = weakref.WeakKeyDictionary()

    def of(self, source: Named) -> str:
        """Returns the name of a source. One thread at a time may call it."""
        name = self._names.get(source)
        if name is None:
            name = self._names[source] = self._free(source.name)
        return name

    def _free(self, name: str) -> str:
        taken = set(self._names.values())
        found, number = name, 1
        while found in taken:
            number += 1
            found = f"{name} #{number}"
        return found
