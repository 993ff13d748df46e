"""Writes the stream of all namespaces to the states of some of them.

Objects go to the state of their namespace, or are dropped. So a namespace can pass from its own stream to that of all:
unchanged objects are only marked, and readers see no change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kinform._events import Applied, Init, InitDone, Skipped, Step
from kinform._store.writer import Writer
from kinform_ext._scan import Batch


class CoveringWriter:
    """Writes the steps of the stream of all namespaces to the states of some.

    Args:
        writer: The writer of the store.

    Attributes:
        wanted: The namespaces that the next complete state shall cover.
        covered: The namespaces whose objects are those of this stream.
        relist: A function that requests another state: the one that came in does not cover all that are wanted.
    """

    def __init__(self, writer: Writer) -> None:
        self.wanted = frozenset[str]()
        self.covered = frozenset[str]()
        self._staged = frozenset[str]()  # by the state that comes in
        self.relist: Callable[[], None] = lambda: None
        self._writer = writer

    def uncover(self, namespace: str) -> None:
        """Ignores the objects of a namespace from now on."""
        self.wanted -= {namespace}
        self.covered -= {namespace}
        self._staged -= {namespace}

    async def write(self, stream: str, step: Step, owner: object = None) -> None:
        """Applies one step. See `Writer.write`.

        Raises:
            MemoryLimitError: The store takes more than its limit.
        """
        match step:
            case Init():
                self._staged = self.wanted
                for namespace in self._staged:
                    await self._writer.write(namespace, step, owner)
            case Applied(batch, initial):
                names = self._staged if initial else self.covered
                self._writer.apply_to_streams(batch, names, initial=initial)
            case Skipped(_, None):
                for namespace in self._staged if step.initial else self.covered:
                    self._writer.skip(namespace, step)
            case Skipped(_, str(key), initial):
                namespace = key.rpartition("/")[0]
                if namespace in (self._staged if initial else self.covered):
                    self._writer.skip(namespace, step)
            case InitDone(resource_version):
                self.covered, self._staged = self._staged, frozenset()
                for namespace in self.covered:
                    self._writer.commit(namespace)
                    self._writer.reached(namespace, resource_version)
                for namespace in self.covered:
                    while namespace in self.covered and self._writer.sweep(namespace):
                        await asyncio.sleep(0)
                if not self.wanted <= self.covered:
                    self.relist()

    def heal(self, stream: str, key: str, batch: Batch | None) -> None:
        """Replaces an object that was skipped. See `Writer.heal`."""
        namespace = key.rpartition("/")[0]
        if namespace in self.covered:
            self._writer.heal(namespace, key, batch)

    def abort(self, stream: str, owner: object = None) -> None:
        """Discards the states that are coming in."""
        for namespace in self._staged:
            self._writer.abort(namespace, owner)
        self._staged = frozenset()

    def reached(self, stream: str, resource_version: str) -> None:
        """Ends the expectations that the stream has reached. See `Writer.reached`."""
        for namespace in self.covered:
            self._writer.reached(namespace, resource_version)
