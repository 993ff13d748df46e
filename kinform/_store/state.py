"""A state of a store, as an immutable mapping, and its views.

A state pins the versions of its objects: one that is replaced or deleted later stays in the table until the state is
released. It decodes an object when it is read. Source: the contracts of `collections.abc`.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from operator import itemgetter
from typing import TypeVar

from kinform._decoding import T
from kinform._selectors import LabelMatch
from kinform._store.object_decoder import ObjectDecoder, OnUndecodable
from kinform_ext._table import Ids, Table

R = TypeVar("R")


class StoreState(Mapping[str, T]):
    """A state of a store.

    Args:
        objects: Decodes the objects.
        table: The table.
        ids: The versions of the objects; no other code may advance it.
        instead: JSON that takes the place of the version of a key; None: the state has no object of this key.
    """

    def __init__(self, objects: ObjectDecoder[T], table: Table, ids: Ids, instead: Mapping[str, bytes | None]) -> None:
        self._objects = objects
        self._table = table
        self._ids = ids
        self._instead = instead
        self._removed: dict[str, int] = {}  # the ids of versions that the table has removed since

    def __repr__(self) -> str:
        return f"<state of {len(self)} objects>"  # not the contents: they may be Secrets

    def __len__(self) -> int:
        replaced = sum(self._find(key) >= 0 for key in self._instead)
        return len(self._ids) - replaced + sum(raw is not None for raw in self._instead.values())

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        return self._instead[key] is not None if key in self._instead else self._find(key) >= 0

    def __iter__(self) -> Iterator[str]:
        return _keys(self._ids.copy().keys(), self._instead) if self._instead else self._ids.copy().keys()

    def __getitem__(self, key: str) -> T:
        raw = self._instead.get(key)
        if raw is not None:
            return self._objects.of_raw(key, raw)
        id = self._find(key) if isinstance(key, str) and key not in self._instead else -1
        if id < 0:
            raise KeyError(key)
        return self._objects.of_id(self._table, id, key)

    def keys(self) -> KeysView[str]:
        """Returns the keys."""
        return _Keys(self)

    def items(self) -> ItemsView[str, T]:
        """Returns keys and objects."""
        return _Items(self)

    def values(self) -> ValuesView[T]:
        """Returns the objects."""
        return _Values(self)

    def decoded(
        self, matches: LabelMatch | None = None, on_undecodable: OnUndecodable = "raise"
    ) -> Iterator[tuple[str, T]]:
        """Iterates over keys and objects. See `ObjectDecoder.of_all`.

        The iterator does not need the state: it pins the versions that it has not passed yet.
        """
        return self._objects.of_all(self._table, self._ids.copy(), self._instead, matches, on_undecodable)

    def _find(self, key: str) -> int:
        """Returns the id of a key, or -1."""
        id = self._ids.find(key)
        if id < 0 and self._ids.removed:
            if len(self._removed) < self._ids.removed:
                self._removed = {self._table.key_of(id): id for id in self._ids.removed_ids()}
            id = self._removed.get(key, -1)
        return id


def _keys(keys: Iterator[str], instead: Mapping[str, bytes | None]) -> Iterator[str]:
    """Iterates over the keys of a state. Does not hold the state."""
    yield from (key for key in keys if key not in instead)
    yield from (key for key, raw in instead.items() if raw is not None)


class _Keys(KeysView[str]):
    """The keys of a state."""

    def __init__(self, state: StoreState[T]) -> None:
        super().__init__(state)
        self._state = state

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)


class _Items(ItemsView[str, T]):
    """The keys and objects of a state."""

    def __init__(self, state: StoreState[T]) -> None:
        super().__init__(state)
        self._state = state

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return self._state.decoded()


class _Values(ValuesView[T]):
    """The objects of a state."""

    def __init__(self, state: StoreState[T]) -> None:
        super().__init__(state)
        self._state = state

    def __iter__(self) -> Iterator[T]:
        return map(itemgetter(1), self._state.decoded())


class Selection(Iterable[R]):
    """Iterates over a part of a state, as often as the caller wants.

    Args:
        start: Starts an iterator.
    """

    def __init__(self, start: Callable[[], Iterator[R]]) -> None:
        self._start = start

    def __iter__(self) -> Iterator[R]:
        return self._start()
