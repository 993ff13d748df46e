"""The five ways to follow a collection.

    naive     one LIST, decoded as a whole, into a dict of dicts
    buffered  pages into one list, and each object copied into a new dict that replaces the old one: kube-rs before
              0.92, which holds the list, the new store and the old store at once (3x)
    streamed  each object into a new dict as it arrives: kube-rs since 0.92, the new store and the old store (2x)
    kinform   an Informer
    events    the same stream as `streamed`, without a store

All drop managedFields as early as they can, decode with msgspec and read the same transport, so that they differ only
in how they hold objects. The first two list again when a watch ends, as their users do; the others continue.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import msgspec

import kinform
from benchmarks.harness.digest import Digest
from benchmarks.memory.wire import Object, events, key_of, list_page, without_managed_fields

PAGE_OBJECTS = 500
"""The page size of kube-rs."""


class Mode(ABC):
    """A way to follow a collection, from `start` to `stop`.

    Args:
        api: The transport to the server.
        resource: The collection's resource.
        checked: Whether its digest will be read. Has an effect only without a store, where the digest is computed from
            the events.
    """

    def __init__(self, api: kinform.Transport, resource: str, *, checked: bool = True) -> None:
        self._api = api
        self._checked = checked
        self._resource = kinform.Resource.of(resource)
        self._version = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None]

    async def start(self) -> None:
        """Starts to follow."""
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stops to follow."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def reach(self, version: int) -> None:
        """Waits for a complete state of at least this version; 1 is the first."""
        while self._version < version:
            self._changed.clear()
            waiting = asyncio.create_task(self._changed.wait())
            await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if self._task.done():
                self._task.result()

    @abstractmethod
    def digest(self) -> dict[str, Any]:
        """Returns the digest of the content."""

    @abstractmethod
    async def _follow(self) -> None:
        """Follows the collection and calls `_reached` for each version. Never returns."""

    def _reached(self, version: str) -> None:
        self._version = int(version)
        self._changed.set()


class Listed(Mode):
    """A dict of dicts, listed and watched, and listed again when the watch ends."""

    def __init__(self, api: kinform.Transport, resource: str, *, checked: bool = True) -> None:
        super().__init__(api, resource, checked=checked)
        self._store: dict[str, Object] = {}
        self._kind = ""

    def digest(self) -> dict[str, Any]:
        # Items of a LIST carry no apiVersion and kind.
        names = {"apiVersion": self._resource.api_version, "kind": self._kind}
        return _digest((key, names | found) for key, found in self._store.items())

    async def _follow(self) -> None:
        while True:
            version = await self._list()
            self._reached(version)
            async for event in events(self._api, self._resource, version):
                found, version = event["object"], event["object"]["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    self._store.pop(key_of(found), None)
                elif event["type"] != "BOOKMARK":
                    self._store[key_of(found)] = without_managed_fields(found)
                    self._reached(version)

    @abstractmethod
    async def _list(self) -> str:
        """Replaces the store by a new state. Returns its version."""


class Naive(Listed):
    """A LIST, decoded as a whole."""

    async def _list(self) -> str:
        whole = await list_page(self._api, self._resource)
        self._kind = whole["kind"].removesuffix("List")
        self._store = {key_of(found): without_managed_fields(found) for found in whole["items"]}
        version: str = whole["metadata"]["resourceVersion"]
        return version


class Buffered(Listed):
    """Pages into a list, copied into the store."""

    async def _list(self) -> str:
        buffer, params = list[Object](), {"limit": str(PAGE_OBJECTS)}
        while True:
            page = await list_page(self._api, self._resource, **params)
            buffer += (without_managed_fields(found) for found in page.pop("items"))
            if not page["metadata"].get("continue"):
                break
            params["continue"] = page["metadata"]["continue"]
        self._kind = page["kind"].removesuffix("List")
        # kube-rs' event borrowed the list to its subscribers, so the store had to clone each object.
        self._store = {key_of(found): _clone(found) for found in buffer}
        version: str = page["metadata"]["resourceVersion"]
        return version


class Streamed(Mode):
    """Objects into a new store, which replaces the old one when it is complete."""

    def __init__(self, api: kinform.Transport, resource: str, *, checked: bool = True) -> None:
        super().__init__(api, resource, checked=checked)
        self._store: dict[str, Object] = {}

    def digest(self) -> dict[str, Any]:
        return _digest(self._store.items())

    async def _follow(self) -> None:
        staged: dict[str, Object] = {}
        async for event in kinform.watcher(self._api, self._resource, prune=kinform.Prune()):
            match event:
                case kinform.Init():
                    staged = {}
                case kinform.InitApply(found):
                    staged[found.key] = without_managed_fields(msgspec.json.decode(found.raw))
                case kinform.InitDone(version):
                    self._store, staged = staged, {}
                    self._reached(version)
                case kinform.Apply(found):
                    self._store[found.key] = without_managed_fields(msgspec.json.decode(found.raw))
                    self._reached(found.resource_version)
                case kinform.Delete(found):
                    self._store.pop(found.key, None)


class Events(Mode):
    """Objects decoded and dropped. The digest is computed as they pass."""

    def __init__(self, api: kinform.Transport, resource: str, *, checked: bool = True) -> None:
        super().__init__(api, resource, checked=checked)
        self._digest = Digest()

    def digest(self) -> dict[str, Any]:
        """Returns the digest of the last complete state, without the events since then."""
        return self._digest.result()

    async def _follow(self) -> None:
        staged = Digest()
        async for event in kinform.watcher(self._api, self._resource):
            match event:
                case kinform.Init():
                    staged = Digest()
                case kinform.InitApply(found):
                    decoded: Object = msgspec.json.decode(found.raw)
                    if self._checked:
                        staged.add_whole(found.key, decoded)
                case kinform.InitDone(version):
                    self._digest = staged
                    self._reached(version)


class Kinform(Mode):
    """An Informer with the default options."""

    def __init__(self, api: kinform.Transport, resource: str, *, checked: bool = True) -> None:
        super().__init__(api, resource, checked=checked)
        self._informer = kinform.Informer(api, self._resource)

    async def start(self) -> None:
        await self._informer.__aenter__()

    async def stop(self) -> None:
        await self._informer.__aexit__(None, None, None)

    async def reach(self, version: int) -> None:
        await (self._informer.wait_for(str(version)) if version > 1 else self._informer.synced())

    def digest(self) -> dict[str, Any]:
        store = self._informer.store
        return _digest((key, msgspec.json.decode(raw)) for key in store if (raw := store.raw(key)) is not None)

    async def _follow(self) -> None:
        raise NotImplementedError  # the informer has its own task


MODES: dict[str, type[Mode]] = {
    "naive": Naive,
    "buffered": Buffered,
    "streamed": Streamed,
    "kinform": Kinform,
    "events": Events,
}


def _digest(objects: Iterable[tuple[str, Object]]) -> dict[str, Any]:
    digest = Digest()
    for key, found in objects:
        digest.add_whole(key, found)
    return digest.result()


def _clone(found: Object) -> Object:
    # Copies strings too, as Rust's `clone` does and `copy.deepcopy` does not.
    copied: Object = msgspec.json.decode(msgspec.json.encode(found))
    return copied
