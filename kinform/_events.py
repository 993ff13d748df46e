"""Events of a stream and of a store. All are immutable.

A stream yields `Init`, `InitApply`, `InitDone`, `Apply` and `Delete` (source: kube-runtime's `watcher::Event`).
A store yields `Added`, `Updated`, `Deleted` and `Synced`.
"""

from __future__ import annotations

from typing import Generic, TypeAlias

import msgspec

from kinform._decoding import T
from kinform._objects import Object
from kinform_ext._scan import Batch


class Init(msgspec.Struct, frozen=True, gc=False):
    """A new complete state starts.

    If an earlier `Init` had no `InitDone`, the earlier state stays incomplete. Discard the objects that came between
    the earlier `Init` and this one.
    """


class InitApply(msgspec.Struct, frozen=True, gc=False):
    """An object of the state between `Init` and `InitDone`.

    The same key may occur more than once. The last occurrence is valid.

    Attributes:
        object: The object.
    """

    object: Object


class InitDone(msgspec.Struct, frozen=True, gc=False):
    """The state is complete.

    Objects that did not occur since `Init` do not exist any more.

    Attributes:
        resource_version: The resourceVersion of the state.
    """

    resource_version: str = ""


class Apply(msgspec.Struct, frozen=True, gc=False):
    """An object was created or changed.

    Attributes:
        object: The object in its new version.
    """

    object: Object


class Delete(msgspec.Struct, frozen=True, gc=False):
    """An object was deleted.

    Between `Init` and `InitDone`, it cancels the earlier `InitApply` of the same object.

    Attributes:
        object: The object in its last version.
    """

    object: Object


class Added(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """The store has a new object.

    Attributes:
        key: `"namespace/name"` or `"name"`.
        object: The object, decoded.
    """

    key: str
    object: T

    def __repr__(self) -> str:  # never the contents: it may be a Secret
        return f"Added({self.key!r})"


class Updated(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """The store has a new version of an object.

    Attributes:
        key: `"namespace/name"` or `"name"`.
        object: The new version, decoded.
        old: The version before; if it does not decode, the last one that came before it. None if none of them decodes,
            or if the old versions that wait for a slow reader would take more than 16 MiB.
    """

    key: str
    object: T
    old: T | None

    def __repr__(self) -> str:  # never the contents: it may be a Secret
        return f"Updated({self.key!r})"


class Deleted(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """The store no longer has an object.

    Attributes:
        key: `"namespace/name"` or `"name"`.
        object: Its last known state, decoded. If it does not decode, the last version that came before it.
        synthetic: True if the server did not send the deletion. kinform derived it from a relist, from a new
            object of the same name, from a fetch of a skipped object, or from the removal of a namespace.
    """

    key: str
    object: T
    synthetic: bool

    def __repr__(self) -> str:  # never the contents: it may be a Secret
        return f"Deleted({self.key!r}, synthetic={self.synthetic})"


class Synced(msgspec.Struct, frozen=True, gc=False):
    """The initial state is complete: no object is missing. Later events are changes.

    Attributes:
        key: Always `""`. It exists so that every event has a key.
    """

    key: str = ""


class Applied(msgspec.Struct, frozen=True, gc=False):
    """A batch of objects, in the order in which the server sent them.

    Attributes:
        batch: The objects of one chunk.
        initial: True if they belong to the state that `Init` started.
    """

    batch: Batch
    initial: bool


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """An object that the stream skipped: see `SkippedError`.

    Attributes:
        verb: `"ADDED"`, `"MODIFIED"` or `"DELETED"`; `""` in a LIST.
        key: Its key; None where the key could not be read.
        initial: True if it belongs to the state that `Init` started.
    """

    verb: str
    key: str | None
    initial: bool


Change: TypeAlias = Added[T] | Updated[T] | Deleted[T] | Synced
"""An event of `changes()`, for annotations: `Change[Pod]`."""

Step = Init | Applied | Skipped | InitDone
"""A stream gives steps to a store: `Init`, then batches, then `InitDone`, and then the batches of the watch."""
