"""Namespaces that match a label selector, and the streams that follow them.

Follows the metadata of the namespaces. A namespace has its own stream, or is covered by the stream of all namespaces.
Never decodes an object.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

from kinform._events import Applied, Init, InitDone, Skipped
from kinform._informer.covering_writer import CoveringWriter
from kinform._listwatch.pacing import Pacing
from kinform._listwatch.stream import Stream
from kinform._namespace_selector import NamespaceSelector
from kinform._options import Prune, Resource, Scope, WatchOptions
from kinform._spec import CollectionSpec
from kinform._stats import NamespacesStats
from kinform._store.writer import Writer
from kinform._transport.base import Transport
from kinform_ext._scan import Batch

ALL = ""
_NAMESPACES = Resource(version="v1", plural="namespaces")


class NamespaceFollower:
    """Follows the names of the namespaces that match a selector.

    Args:
        transport: The transport to the cluster.
        selector: The selector.
        options: How the stream starts, and how long it waits.
        pacing: The pace of the stream.
        on_names: Called with the names after each change, before the stream goes on.

    Attributes:
        stream: The stream of the metadata of the namespaces.
    """

    def __init__(
        self,
        transport: Transport,
        selector: NamespaceSelector,
        options: WatchOptions,
        pacing: Pacing | None,
        on_names: Callable[[frozenset[str]], Awaitable[None]],
    ) -> None:
        scope = Scope(label_selector=selector.label_selector, metadata_only=True)
        spec = CollectionSpec.of(_NAMESPACES, scope, Prune(keep=["metadata.name"]), None, options)
        self.stream = Stream(transport, spec, namespace=ALL, pacing=pacing)
        self._on_names = on_names

    async def run(self) -> None:
        """Follows the namespaces until it is cancelled.

        Raises:
            StatusError: The server refuses the request, and a retry cannot succeed.
        """
        names, staged = set[str](), set[str]()
        async with aclosing(self.stream.steps()) as steps:
            async for step in steps:
                before = len(names)
                is_changed = False
                match step:
                    case Init():
                        staged = set()
                    case Applied(batch, True):
                        staged.update(map(batch.name, range(len(batch))))
                    case Applied(batch):
                        is_changed = _apply(batch, names)
                    # A namespace whose metadata cannot be read matches nevertheless.
                    case Skipped("DELETED", str(key)):
                        names.discard(key)
                    case Skipped(_, str(key), initial):
                        (staged if initial else names).add(key)
                    case Skipped(_, None, True):
                        staged |= names
                    case InitDone():
                        names, is_changed = staged, True
                if is_changed or len(names) != before:
                    await self._on_names(frozenset(names))
                del step


def _apply(batch: Batch, names: set[str]) -> bool:
    """Adds and removes the names of a batch. Returns whether any changed."""
    is_changed = False
    for i in range(len(batch)):
        name, is_there = batch.name(i), batch.verb(i) != "DELETED"
        if is_there != (name in names):
            is_changed = True
            (names.add if is_there else names.discard)(name)
    return is_changed


class Streams(Protocol):
    """The streams of a collection."""

    def follow(self, namespace: str, covering: CoveringWriter | None = None) -> Stream:
        """Starts the stream of a namespace, or of all (`""`)."""
        ...

    async def leave(self, namespace: str) -> None:
        """Ends the stream of a namespace. Its objects stay."""
        ...

    async def drop(self, namespace: str) -> None:
        """Removes the objects of a namespace."""
        ...


class SelectedNamespaces:
    """Keeps the streams of a collection in line with the namespaces that match.

    Args:
        selector: The selector.
        streams: The streams.
        writer: The writer of the store.

    Attributes:
        names: The namespaces that match.
    """

    def __init__(self, selector: NamespaceSelector, streams: Streams, writer: Writer) -> None:
        self.names = frozenset[str]()
        self._selector = selector
        self._streams = streams
        self._own = set[str]()  # the namespaces that have streams of their own
        self._covering = CoveringWriter(writer)
        self._covers = False  # the stream of all namespaces exists

    def stats(self) -> NamespacesStats:
        """Returns the numbers of namespaces."""
        own = len(self._own)
        return NamespacesStats(matching=len(self.names), own_streams=own, covered=len(self.names) - own)

    async def select(self, names: frozenset[str]) -> None:
        """Follows other namespaces."""
        added, removed = names - self.names, self.names - names
        self.names = names
        for namespace in sorted(removed):
            self._covering.uncover(namespace)
            if namespace in self._own:
                self._own.discard(namespace)
                await self._streams.leave(namespace)
            await self._streams.drop(namespace)
        if len(self._own) + len(added) > self._selector.max_streams:
            await self._cover_all()
        else:
            for namespace in sorted(added):
                self._own.add(namespace)
                self._streams.follow(namespace)

    async def _cover_all(self) -> None:
        """Replaces all streams of single namespaces by that of all namespaces."""
        for namespace in sorted(self._own):
            await self._streams.leave(namespace)
        self._own.clear()
        self._covering.wanted = self.names
        if self._covers:
            self._covering.relist()
        else:
            self._covers = True
            self._covering.relist = self._streams.follow(ALL, self._covering).relist
