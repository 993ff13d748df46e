"""The informers of one factory, and the collections that they share.

The last informer that stops ends the collection; no registry keeps one alive. Never decodes an object.
Source: client-go's shared informer factory, which keeps all.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from kinform._connection.connection import require_open
from kinform._decoding import T
from kinform._errors import KinformError, OptionError
from kinform._informer.advice import advice
from kinform._informer.collection import Collection
from kinform._informer.informer import Informer
from kinform._informer.waits import Waits
from kinform._listwatch.pacing import Pacing
from kinform._loop_binding import LoopBinding
from kinform._namespace_selector import NamespaceSelector
from kinform._options import Resource, Snapshot
from kinform._spec import CollectionSpec
from kinform._store.contents import StoreContents
from kinform._transport.base import Transport

log = logging.getLogger("kinform.informer")

FACTORY_NAME = "the factory"


class Sharing:
    """The informers of one factory, and the collections that they share.

    Args:
        transport: The transport to the cluster.
        pacing: The pace of all streams.

    Attributes:
        transport: The transport to the cluster.
        pacing: The pace of all streams.
        informers: The informers whose blocks were not left.
        running: The block of the factory was entered, and was not left.
        binding: The event loop of the factory.
        changed: Set when an informer has failed, or when the block of the factory was left.
        waits: The waits for all streams.
    """

    def __init__(self, transport: Transport, pacing: Pacing) -> None:
        self.transport = transport
        self.pacing = pacing
        self.informers: dict[SharedInformer[Any], None] = {}
        self.running = False
        self.binding = LoopBinding(FACTORY_NAME)
        self.changed = asyncio.Event()
        self.waits = Waits(FACTORY_NAME)
        self._collections: weakref.WeakValueDictionary[CollectionSpec, Collection] = weakref.WeakValueDictionary()

    def check_running(self) -> None:
        """Checks that the factory runs, in the event loop of the caller."""
        self.binding.check()
        if not self.running:
            raise KinformError(f"{FACTORY_NAME} is not running: use it inside of its block")

    def collection_of(self, spec: CollectionSpec) -> Collection:
        """Returns the collection that all informers of a spec share.

        Raises:
            OptionError: A function of the spec is not hashable, so that it cannot be compared.
        """
        functions = (("transform", spec.transform), ("WatchOptions.on_error", spec.options.on_error))
        for field, function in functions:
            if function is not None and type(function).__hash__ is None:
                raise OptionError(field, function, "a hashable callable in a factory, which compares it with others")
        key = _key(spec)
        collection = self._collections.get(key)
        if collection is None:
            if how := advice(key, (_key(each._collection.spec) for each in self.informers)):
                log.warning("%s: a stream and a store of its own: %s", spec.name(), how)
            collection = Collection(
                self.transport, spec, indexes={}, snapshot=None, memory_limit=None, pacing=self.pacing
            )
            collection.on_progress = self.waits.wake
            self._collections[key] = collection
        return collection

    def add(self, informer: SharedInformer[Any]) -> None:
        """Adds an informer. It starts at once if the factory runs.

        Raises:
            OptionError: Another informer of its collection has another snapshot or memory limit.
        """
        collection = informer._collection
        if not any(each._collection is collection for each in self.informers):
            collection.configure(informer._snapshot, informer._memory_limit)
        for field, wanted, found in (
            ("snapshot", informer._snapshot, collection.snapshot),
            ("memory_limit", informer._memory_limit, collection.memory_limit),
        ):
            if wanted is not None and wanted != found:
                allowed = "None" if found is None else f"None, or {found!r}"
                raise OptionError(field, wanted, f"{allowed}, as for the first informer that has this stream")
        self.informers[informer] = None
        if self.running:
            informer._handle.begin()

    def drop(self, informer: SharedInformer[Any]) -> None:
        """Forgets an informer whose block was left.

        The block of the factory forgets none at its end, so that all can be read.
        """
        if self.running:
            self.informers.pop(informer, None)

    async def start(self) -> None:
        """Starts all informers."""
        require_open(self.transport)
        self.binding.bind()
        self.pacing.begin()
        self.running = True
        for informer in self.informers:
            informer._handle.begin()
        for informer in list(self.informers):
            await informer._handle.wait_entered()

    async def wait_opening(self) -> None:
        """Waits until the collections that are being opened are open, or have failed."""
        for informer in list(self.informers):
            await informer._handle.wait_opening()

    async def stop(self) -> None:
        """Stops all informers."""
        self.running = False
        ends = [asyncio.create_task(informer._handle.leave()) for informer in self.informers]
        cancelled: asyncio.CancelledError | None = None
        while waiting := [end for end in ends if not end.done()]:
            try:
                await asyncio.wait(waiting)
            except asyncio.CancelledError as error:
                cancelled = error
                for end in waiting:  # `gather` would do it before they start
                    end.cancel()
        self.changed.set()
        self.waits.wake()
        errors = [cancelled, *(end.exception() for end in ends if not end.cancelled())]
        if first := next(filter(None, errors), None):
            raise first

    @property
    def failure(self) -> Exception | None:
        """The error of an informer that has failed."""
        failures = (informer._dispatcher.failure for informer in list(self.informers))
        return next((failure for failure in failures if failure is not None), None)

    @property
    def collections(self) -> list[Collection]:
        """The collections that run."""
        opened = (informer._collection for informer in list(self.informers) if informer._handle.opened)
        return list(dict.fromkeys(opened))


class SharedInformer(Informer[T]):
    """An informer that shares its collection.

    Args:
        sharing: The informers and the collections of its factory.
        resource: As for `Informer`, as are all options.
    """

    def __init__(self, sharing: Sharing, resource: Resource | str, **options: Any) -> None:
        self._sharing = sharing
        self._in_block = False
        super().__init__(sharing.transport, resource, **options)
        self._handle.indexes = self._indexes
        self._dispatcher.on_failure = sharing.changed.set
        sharing.add(self)

    def _collection_of(
        self,
        transport: Transport,
        spec: CollectionSpec,
        indexes: Mapping[str, str],
        snapshot: Snapshot | None,
        memory_limit: int | None,
    ) -> Collection:
        self._snapshot, self._memory_limit, self._indexes = snapshot, memory_limit, indexes
        StoreContents(spec.name(), indexes)  # raises for indexes that cannot work
        return self._sharing.collection_of(spec)

    def _begin(self) -> None:
        self._sharing.check_running()
        if self._in_block:
            raise KinformError(f"{self._collection.name}: the informer is running already: its block was not left")
        if not self._handle.entered:
            self._sharing.add(self)
        self._in_block = True

    async def _leave(self) -> None:
        try:
            await super()._leave()
        finally:
            self._in_block = False
            self._sharing.drop(self)

    async def add_namespace(
        self, namespace: str, timeout: float | None = None, *, wait: bool = False, allow_skipped: bool = False
    ) -> None:
        """Raises an error: the streams of this informer belong to all that share them."""
        self._refuse(namespace)

    async def remove_namespace(self, namespace: str) -> None:
        """Raises an error: the streams of this informer belong to all that share them."""
        self._refuse(namespace)

    def _refuse(self, namespace: str) -> None:
        why = "no change: the streams of a factory are shared. Make another informer, or use a kinform.Informer"
        raise OptionError("namespace", namespace, why)


def _key(spec: CollectionSpec) -> CollectionSpec:
    """Returns the spec with its namespaces in order, which does not matter."""
    namespaces = spec.scope.namespaces
    if namespaces is None or isinstance(namespaces, NamespaceSelector):
        return spec
    return replace(spec, scope=replace(spec.scope, namespaces=sorted(namespaces)))
