"""The same collection followed in five ways: those that kube-rs went through, the one before them, and kinform.

    naive     one LIST, decoded whole, into a dict of dicts
    buffered  pages into one list, each object copied into a new dict, which takes the old one's place: kube-rs before
              0.92, where the list, the new store and the old one are held at once (3x)
    streamed  each object into a new dict as it comes: kube-rs since 0.92, the new store and the old one (2x)
    kinform   an Informer
    events    the same stream as `streamed`, and nothing is kept

All drop managedFields as early as they can, decode with msgspec and read the same transport, so that what they differ
by is the retelling. The first two list anew when a watch ends, as their users do; the others go on by themselves.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import msgspec

import kinform
from benchmarks.harness.digest import Digest
from benchmarks.memory.wire import Object, answer, cleared, events, key_of

PAGE = 500
"""Objects a page: what kube-rs asks for."""


class Mode(ABC):
    """A collection that is followed, from `begin` to `end`.

    Args:
        api: Where it is.
        resource: What it is.
        checked: Whether its digest will be asked for; has no effect where something is held to take it from.
    """

    def __init__(self, api: kinform.Transport, resource: str, *, checked: bool = True) -> None:
        self._api = api
        self._checked = checked
        self._resource = kinform.Resource.of(resource)
        self._version = 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None]

    async def begin(self) -> None:
        """Begins to follow."""
        self._task = asyncio.create_task(self._follow())

    async def end(self) -> None:
        """Stops."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def reach(self, version: int) -> None:
        """Returns once a complete state of at least this version is there; 1 is the first that comes."""
        while self._version < version:
            self._news.clear()
            waiting = asyncio.create_task(self._news.wait())
            await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if self._task.done():
                self._task.result()

    @abstractmethod
    def digest(self) -> dict[str, Any]:
        """What identifies the content."""

    @abstractmethod
    async def _follow(self) -> None:
        """Follows for ever, and tells of each version by `_reached`."""

    def _reached(self, version: str) -> None:
        self._version = int(version)
        self._news.set()


class Listed(Mode):
    """A dict of dicts that is listed and watched, and listed anew whenever the watch ends."""

    def __init__(self, api: kinform.Transport, resource: str, *, checked: bool = True) -> None:
        super().__init__(api, resource, checked=checked)
        self._store: dict[str, Object] = {}
        self._kind = ""

    def digest(self) -> dict[str, Any]:
        # Items of a LIST do not tell their kind.
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
                    self._store[key_of(found)] = cleared(found)
                    self._reached(version)

    @abstractmethod
    async def _list(self) -> str:
        """Puts a new state in the place of the old one; returns its version."""


class Naive(Listed):
    """One LIST, decoded whole."""

    async def _list(self) -> str:
        whole = await answer(self._api, self._resource)
        self._kind = whole["kind"].removesuffix("List")
        self._store = {key_of(found): cleared(found) for found in whole["items"]}
        version: str = whole["metadata"]["resourceVersion"]
        return version


class Buffered(Listed):
    """Pages into a list, and from there copied into the store."""

    async def _list(self) -> str:
        buffer, following = list[Object](), {"limit": str(PAGE)}
        while True:
            page = await answer(self._api, self._resource, **following)
            buffer += (cleared(found) for found in page.pop("items"))
            if not page["metadata"].get("continue"):
                break
            following["continue"] = page["metadata"]["continue"]
        self._kind = page["kind"].removesuffix("List")
        # The event lent the list to whoever was interested, so the store had to clone what it kept.
        self._store = {key_of(found): _clone(found) for found in buffer}
        version: str = page["metadata"]["resourceVersion"]
        return version


class Streamed(Mode):
    """Each object into the store that is coming, which takes the old one's place once it is complete."""

    def __init__(self, api: kinform.Transport, resource: str, *, checked: bool = True) -> None:
        super().__init__(api, resource, checked=checked)
        self._store: dict[str, Object] = {}

    def digest(self) -> dict[str, Any]:
        return _digest(self._store.items())

    async def _follow(self) -> None:
        coming: dict[str, Object] = {}
        async for event in kinform.watcher(self._api, self._resource, prune=kinform.Prune()):
            match event:
                case kinform.Init():
                    coming = {}
                case kinform.InitApply(found):
                    coming[found.key] = cleared(msgspec.json.decode(found.raw))
                case kinform.InitDone(version):
                    self._store, coming = coming, {}
                    self._reached(version)
                case kinform.Apply(found):
                    self._store[found.key] = cleared(msgspec.json.decode(found.raw))
                    self._reached(found.resource_version)
                case kinform.Delete(found):
                    self._store.pop(found.key, None)


class Events(Mode):
    """Each object decoded, looked at and forgotten. What identifies the content is summed up as it goes by."""

    def __init__(self, api: kinform.Transport, resource: str, *, checked: bool = True) -> None:
        super().__init__(api, resource, checked=checked)
        self._digest = Digest()

    def digest(self) -> dict[str, Any]:
        """That of the last complete state; events since then are not in it."""
        return self._digest.result()

    async def _follow(self) -> None:
        coming = Digest()
        async for event in kinform.watcher(self._api, self._resource):
            match event:
                case kinform.Init():
                    coming = Digest()
                case kinform.InitApply(found):
                    decoded: Object = msgspec.json.decode(found.raw)
                    if self._checked:
                        coming.add_whole(found.key, decoded)
                case kinform.InitDone(version):
                    self._digest = coming
                    self._reached(version)


class Kinform(Mode):
    """An Informer, with nothing set."""

    def __init__(self, api: kinform.Transport, resource: str, *, checked: bool = True) -> None:
        super().__init__(api, resource, checked=checked)
        self._informer = kinform.Informer(api, self._resource)

    async def begin(self) -> None:
        await self._informer.__aenter__()

    async def end(self) -> None:
        await self._informer.__aexit__(None, None, None)

    async def reach(self, version: int) -> None:
        await (self._informer.wait_for(str(version)) if version > 1 else self._informer.synced())

    def digest(self) -> dict[str, Any]:
        store = self._informer.store
        return _digest((key, msgspec.json.decode(raw)) for key in store if (raw := store.raw(key)) is not None)

    async def _follow(self) -> None:
        raise NotImplementedError  # the informer has a task of its own


MODES: dict[str, type[Mode]] = {
    "naive": Naive,
    "buffered": Buffered,
    "streamed": Streamed,
    "kinform": Kinform,
    "events": Events,
}


def _digest(held: Iterable[tuple[str, Object]]) -> dict[str, Any]:
    digest = Digest()
    for key, found in held:
        digest.add_whole(key, found)
    return digest.result()


def _clone(found: Object) -> Object:
    # Strings as well, which `copy.deepcopy` shares and Rust's `clone` does not.
    copied: Object = msgspec.json.decode(msgspec.json.encode(found))
    return copied
