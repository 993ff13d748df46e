"""The labels that identify an informer.

`informer` is its name in logs and errors, whose length is bounded. If another informer with the same name exists, a
number follows, so that no two informers have the same series.
"""

from __future__ import annotations

import weakref

from kinform.prometheus._sources import Cache, Informer

NAMES: tuple[str, str] = ("resource", "informer")


class SourceLabels:
    """The labels of informers, or those of caches.

    A source keeps them as long as it exists.
    """

    def __init__(self) -> None:
        self._names: weakref.WeakKeyDictionary[Informer | Cache, str] = weakref.WeakKeyDictionary()

    def of(self, source: Informer | Cache) -> tuple[str, str]:
        """Returns the resource and the name. One thread at a time may call it."""
        name = self._names.get(source)
        if name is None:
            name = self._names[source] = self._free(source.name)
        return str(source.resource), name

    def _free(self, name: str) -> str:
        taken = set(self._names.values())
        found, number = name, 1
        while found in taken:
            number += 1
            found = f"{name} #{number}"
        return found
