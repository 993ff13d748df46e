"""The labels that identify an informer.

`informer` is its name in logs and errors, whose length is bounded. If another informer with the same name exists, a
number follows, so that no two informers have the same series.
"""

from __future__ import annotations

import weakref

from kinform.prometheus._sources import InformerSource

NAMES: tuple[str, str] = ("resource", "informer")


class InformerLabels:
    """The labels of informers. An informer keeps them as long as it exists."""

    def __init__(self) -> None:
        self._names: weakref.WeakKeyDictionary[InformerSource, str] = weakref.WeakKeyDictionary()

    def of(self, informer: InformerSource) -> tuple[str, str]:
        """Returns the values of `NAMES`. One thread at a time may call it."""
        name = self._names.get(informer)
        if name is None:
            name = self._names[informer] = self._free(informer.name)
        return str(informer.resource), name

    def _free(self, name: str) -> str:
        taken = set(self._names.values())
        found, number = name, 1
        while found in taken:
            number += 1
            found = f"{name} #{number}"
        return found
