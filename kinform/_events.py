"""What a stream tells: objects come and go on the wire, or change in a store.

`Init`, `InitApply`, `InitDone`, `Apply` and `Delete` are the wire's (source: kube-runtime's `watcher::Event`);
`Added`, `Updated`, `Deleted` and `Synced` are a store's. None of them is ever changed after it is made.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kinform._objects import Object
from kinform_ext._batch import Batch


class Init(msgspec.Struct, frozen=True, gc=False):
    """A complete state begins to come. Whatever an earlier `Init` began and did not end is void."""


class InitApply(msgspec.Struct, frozen=True, gc=False):
    """An object of the state that is coming. The same key may come again; the last one counts."""

    object: Object


class InitDone(msgspec.Struct, frozen=True, gc=False):
    """The state is complete: what was not in it since `Init` is gone.

    Attributes:
        resource_version: Where the state stands.
    """

    resource_version: str = ""


class Apply(msgspec.Struct, frozen=True, gc=False):
    """An object was created or changed."""

    object: Object


class Delete(msgspec.Struct, frozen=True, gc=False):
    """An object was deleted. Between `Init` and `InitDone` it takes back an `InitApply`."""

    object: Object


class Added(msgspec.Struct, frozen=True, gc=False):
    """A store holds an object that it did not hold before."""

    key: str
    object: Any


class Updated(msgspec.Struct, frozen=True, gc=False):
    """A store holds a new version of an object.

    Attributes:
        old: The version before, or None where a slow reader let too many bytes wait, or the old version
            cannot be decoded.
    """

    key: str
    object: Any
    old: Any


class Deleted(msgspec.Struct, frozen=True, gc=False):
    """A store no longer holds an object.

    Attributes:
        object: Its last known state.
        synthetic: The deletion was not told by the server but found by a relist, by a new object of the same
            name, or by leaving a namespace.
    """

    key: str
    object: Any
    synthetic: bool


class Synced(msgspec.Struct, frozen=True, gc=False):
    """What was there at the start has been told; from here on it is what happens.

    Attributes:
        key: `""`, since it is about no object: so every change has a key.
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
    """An object that the stream left out, because it was malformed or too large.

    Attributes:
        verb: `"ADDED"`, `"MODIFIED"` or `"DELETED"`; `""` in a LIST.
        key: Its key; None where the key could not be read.
        initial: True if it belongs to the state that `Init` started.
    """

    verb: str
    key: str | None
    initial: bool


Step = Init | Applied | Skipped | InitDone
"""What a stream gives to a store: `Init`, then batches, then `InitDone`; after that the batches of the watch."""
