"""The reader of a store: reads complete states, from any thread, and decodes them."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from contextlib import suppress
from operator import itemgetter
from typing import Literal, NoReturn, TypeVar, get_args, overload

from kinform._checks import require_instance, require_one_of
from kinform._decoding import DICT, T, check_type
from kinform._errors import KinformError, OptionError
from kinform._objects import Meta
from kinform._options import Prune
from kinform._paths.conflicts import check_labels
from kinform._paths.index_program import CONTROLLER, OWNER_PATH, IndexPath, parse_indexes
from kinform._selectors import label_keys, parse_label_selector, required_labels
from kinform._stats import DecodedCacheStats
from kinform._store.contents import StoreContents
from kinform._store.expectations import Expected
from kinform._store.indexes import values_of
from kinform._store.object_decoder import ObjectDecoder, OnUndecodable
from kinform._store.state import Selection, StoreState
from kinform._store.writer import Writer
from kinform_ext._table import Ids, Table

R = TypeVar("R")

_KEY = 'a string: "namespace/name", or "name" for a cluster-scoped object'


class Store(Mapping[str, T]):
    """Reads a collection, from any thread. Each call sees one complete state.

    Keys are `"namespace/name"`, or `"name"` for cluster-scoped objects. For a value that is no string, `in` is False.

    A store is a `collections.abc.Mapping` whose contents change. Two reads can see two states, and so can functions
    that read a mapping several times, such as `dict`. `keys`, `items`, `values` and `snapshot` each show one state. A
    store is equal only to itself, and has a hash.
    """

    def __init__(
        self,
        contents: StoreContents,
        type: type[T],
        indexes: Mapping[str, str] = {},
        decoded_cache: int | None = None,
        prune: Prune | None = None,
    ) -> None:
        self._contents = contents
        self._program = None if prune is None else prune.program()
        self._indexes = parse_indexes(indexes)
        self._objects = ObjectDecoder(contents.name, type, decoded_cache, contents.turns)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self!r}: pass its objects, or start an informer in the other process")

    def __repr__(self) -> str:  # not the contents: they may be Secrets
        return f"<kinform.Store of {self._contents.name}: {len(self._contents.table)} objects>"

    def __len__(self) -> int:
        contents = self._contents
        return len(self._state(None)) if contents.expectations.entries else len(contents.table)

    def __contains__(self, key: object) -> bool:
        """Returns whether the store has an object with this key.

        False for a value that is no string, such as `("shop", "web")`.
        """
        contents = self._contents
        if contents.expectations.entries and isinstance(key, str) and (expected := contents.expected(key)):
            return expected.raw is not None
        return key in contents.table

    def __getitem__(self, key: str) -> T:
        """Returns the object, newly decoded unless it is in the cache.

        Raises:
            KeyError: The store has no object with this key.
            OptionError: The key is not a string.
            DecodeError: The object does not fit the type of the store.
        """
        found = self._get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    @overload
    def get(self, key: str, default: None = None) -> T | None: ...
    @overload
    def get(self, key: str, default: T) -> T: ...
    @overload
    def get(self, key: str, default: R) -> T | R: ...
    def get(self, key: str, default: R | None = None) -> T | R | None:
        """Returns the object, or the default if the store does not have it.

        Each read decodes a new object, except for those in the cache of decoded objects: see `decoded_cache` of
        `Informer`.

        Raises:
            OptionError: The key is not a string.
            DecodeError: The object does not fit the type of the store.
        """
        found = self._get(key)
        return default if found is None else found

    def raw(self, key: str) -> bytes | None:
        """Returns the pruned JSON of the object, or None if the store does not have it.

        `apiVersion` and `kind` come first.

        Raises:
            OptionError: The key is not a string.
        """
        contents = self._contents
        contents.turns.give_way()
        try:
            expected = contents.expected(key)
            return contents.table.raw(key) if expected is None else expected.raw
        except TypeError:
            _require_key(key)
            raise

    def meta(self, key: str) -> Meta | None:
        """Returns identity and version of the object, without decoding it.

        None if the store does not have it.

        Raises:
            OptionError: The key is not a string.
        """
        contents = self._contents
        try:
            if expected := contents.expected(key):
                return None if expected.raw is None else expected.meta
            found = contents.table.meta(key)
        except TypeError:
            _require_key(key)
            raise
        return None if found is None else Meta(*found)

    def keys(self, namespace: str | None = None) -> KeysView[str]:
        """Returns a view of the keys that the store has at the time of the call.

        The view shows this state however often you use it: it has a length, `in`, and the operations of sets. See
        `snapshot` for the memory that it takes.

        Args:
            namespace: Only keys of this namespace. None: all.
        """
        return self._state(namespace).keys()

    @overload
    def items(
        self, namespace: str | None = None, *, on_undecodable: Literal["raise"] = "raise"
    ) -> ItemsView[str, T]: ...
    @overload
    def items(
        self, namespace: str | None = None, *, label_selector: str = "", on_undecodable: OnUndecodable = "raise"
    ) -> Iterable[tuple[str, T]]: ...
    def items(
        self, namespace: str | None = None, *, label_selector: str = "", on_undecodable: OnUndecodable = "raise"
    ) -> Iterable[tuple[str, T]]:
        """Returns a view of keys and objects, as the store has them at the call.

        The view shows this state however often you use it. It decodes each object when an iteration reaches it. An
        iteration keeps the objects that it has not reached, and the view keeps all: see `snapshot`.

        With `label_selector` or `on_undecodable="skip"`, the result has no length, because its objects are not known
        before they are decoded. You can iterate over it repeatedly.

        Args:
            namespace: Only objects of this namespace. None: all.
            label_selector: Only objects whose labels match. The store must keep the labels that it reads. If the
                selector is `app=web`, for example, and the store has an index of `metadata.labels.app`, only the
                objects with `app=web` are decoded.
            on_undecodable: `"raise"`: raise the error of an object that does not fit the type, and end the iteration.
                `"skip"`: leave out such objects. The store counts them in `undecodable_reads`, and logs one of them in
                ten minutes.

        Raises:
            OptionError: The selector or `on_undecodable` is not valid, or pruning drops a label of the selector.
            DecodeError: The iteration reached an object that does not fit the type of the store.
        """
        if label_selector == "" and on_undecodable == "raise":
            return self._state(namespace).items()
        return self._selection(namespace, label_selector, on_undecodable, lambda pairs: pairs)

    @overload
    def values(self, namespace: str | None = None, *, on_undecodable: Literal["raise"] = "raise") -> ValuesView[T]: ...
    @overload
    def values(
        self, namespace: str | None = None, *, label_selector: str = "", on_undecodable: OnUndecodable = "raise"
    ) -> Iterable[T]: ...
    def values(
        self, namespace: str | None = None, *, label_selector: str = "", on_undecodable: OnUndecodable = "raise"
    ) -> Iterable[T]:
        """Returns a view of the objects that the store has at the time of the call.

        Like `items`, but without the keys.

        Args:
            namespace: Only objects of this namespace. None: all.
            label_selector: Only objects whose labels match. The store must keep the labels that it reads.
            on_undecodable: `"raise"` or `"skip"`.

        Raises:
            OptionError: The selector or `on_undecodable` is not valid, or pruning drops a label of the selector.
            DecodeError: The iteration reached an object that does not fit the type of the store.
        """
        if label_selector == "" and on_undecodable == "raise":
            return self._state(namespace).values()
        return self._selection(namespace, label_selector, on_undecodable, lambda pairs: map(itemgetter(1), pairs))

    def snapshot(self) -> Mapping[str, T]:
        """Returns the state at the time of the call as an immutable mapping.

        It never changes, whatever is written to the store. It decodes an object at each read, as the store does. It is
        equal to a mapping with the same keys and equal objects, and has no hash. It has nothing to do with the file of
        `Snapshot`.

        It takes two bits for each object of the store, and keeps the objects in the store's memory that are replaced or
        deleted while it exists. `stats().memory.limbo_bytes` has their size. All this is freed with the mapping and its
        views and iterators. A look-up in a mapping that is older than many changes takes longer.
        """
        return self._state(None)

    def index(self, name: str, value: str, *, on_undecodable: OnUndecodable = "raise") -> list[T]:
        """Returns the objects that have this value in the index, sorted by key.

        All objects come from the same state.

        Args:
            name: The name of the index.
            value: The value.
            on_undecodable: `"raise"` or `"skip"`: see `items`.

        Raises:
            OptionError: The store has no index of this name, or `value` or `on_undecodable` is not valid.
            DecodeError: An object does not fit the type of the store.
            KinformError: The index is not built yet, because its informer has not started.
        """
        require_one_of("on_undecodable", on_undecodable, get_args(OnUndecodable))
        _require_value(value)
        indexed = self._indexed(self._path_of(name), value)
        return [each for _, each in sorted(indexed.decoded(None, on_undecodable), key=itemgetter(0))]

    def index_keys(self, name: str, value: str) -> list[str]:
        """Returns the sorted keys of the objects that have this value in the index.

        Raises:
            OptionError: The store has no index of this name, or the value is not a string.
            KinformError: The index is not built yet, because its informer has not started.
        """
        path = self._path_of(name)
        _require_value(value)
        if self._contents.expectations.entries:
            return sorted(self._indexed(path, value))
        return sorted(self._read_index(path, lambda table, number: table.index_keys(number, value)))

    def owned_keys(self, kind: str, owner: str) -> list[str]:
        """Returns the sorted keys of the objects whose controller is this object.

        That is the owner in `metadata.ownerReferences` that has `controller: true`. It need not exist any more. Its
        version and uid do not matter: objects of a deleted owner are found until the garbage collector deletes them.

        The store must have an index with the path `metadata.ownerReferences[controller]`. The informers that a
        `kinform.controllers.Controller` gets as `owns` have one.

        Args:
            kind: Kind and group of the owner: `"Deployment.apps"`; the kind alone in the core group: `"Node"`.
            owner: The key of the owner. With a namespace, the result has objects of this namespace only.

        Raises:
            OptionError: An argument is not a string.
            KinformError: The store has no such index, or the index is not built yet.
        """
        require_instance("kind", kind, str, 'the kind of the owner with its group: "ReplicaSet.apps", "Node"')
        require_instance("owner", owner, str, _KEY)
        namespace, _, name = owner.rpartition("/")
        return sorted(self._indexed(OWNER_PATH, f"{kind}/{name}", namespace or None))

    def index_values(self, name: str) -> list[str]:
        """Returns all values in the index, sorted. Each occurs in at least one object.

        Raises:
            OptionError: The store has no index of this name.
            KinformError: The index is not built yet, because its informer has not started.
        """
        contents, path = self._contents, self._path_of(name)
        found = set(self._read_index(path, Table.index_values))
        if contents.expectations.entries:
            self._replace_values(found, path, contents.expectations.newer(contents.table))
        return sorted(found)

    @property
    def stale(self) -> int:
        """Number of objects in an old version, because a newer version was skipped."""
        return self._contents.table.stale

    @property
    def undecodable_reads(self) -> int:
        """Number of objects that reads left out, because they do not fit the type.

        An object counts once for each read.
        """
        return self._objects.undecodable_reads

    @property
    def decoded_cache(self) -> DecodedCacheStats | None:
        """Statistics of the cache of decoded objects; None if the store has none."""
        cache = self._objects.cache
        return None if cache is None else cache.stats()

    def _get(self, key: str) -> T | None:
        contents = self._contents
        try:
            if expected := contents.expected(key):
                return None if expected.raw is None else self._objects.of_raw(key, expected.raw)
            return self._objects.get(contents.table, key)
        except TypeError:  # a check before each read would slow them all down
            _require_key(key)
            raise

    def _state(self, namespace: str | None, label_selector: str = "") -> StoreState[T]:
        if namespace is not None:
            require_instance("namespace", namespace, str, "the name of one namespace, or None for all")
        return self._captured(
            lambda table: self._matching_ids(table, namespace, label_selector),
            lambda expected: namespace in (None, expected.meta.namespace),
        )

    def _indexed(self, path: IndexPath, value: str, namespace: str | None = None) -> StoreState[T]:
        """Returns the objects that have this value in the index."""
        return self._captured(
            lambda _: self._read_index(path, lambda table, number: table.index_ids(number, value, namespace)),
            lambda expected: namespace in (None, expected.meta.namespace) and value in values_of(path, expected.raw),
        )

    def _captured(self, select: Callable[[Table], Ids], admits: Callable[[Expected], bool]) -> StoreState[T]:
        """Returns objects of the table, and the own writes that are newer.

        Args:
            select: Pins the objects of the table.
            admits: Returns whether an own write belongs to them.
        """
        contents = self._contents
        while True:
            entries, table = contents.expectations.entries, contents.table
            newer = contents.expectations.newer(table) if entries else {}
            ids = select(table)
            # Another thread may write: own writes that the table got meanwhile must not be missing in both.
            if contents.expectations.entries is entries and contents.table is table:
                break
        instead = {key: expected.raw if admits(expected) else None for key, expected in newer.items()}
        return StoreState(self._objects, table, ids, instead)

    def _selection(
        self,
        namespace: str | None,
        label_selector: str,
        on_undecodable: OnUndecodable,
        select: Callable[[Iterator[tuple[str, T]]], Iterator[R]],
    ) -> Selection[R]:
        require_one_of("on_undecodable", on_undecodable, get_args(OnUndecodable))
        matches = None
        if label_selector != "":
            matches = parse_label_selector(label_selector, field="label_selector")
            if self._program is not None:
                check_labels(label_selector, label_keys(label_selector), self._program)
        state = self._state(namespace, label_selector)
        return Selection(lambda: select(state.decoded(matches, on_undecodable)))

    def _matching_ids(self, table: Table, namespace: str | None, label_selector: str) -> Ids:
        complete = self._contents.indexes.complete
        for label, value in required_labels(label_selector) if label_selector and complete else ():
            number = complete.get(("metadata", "labels", label))
            if number is not None:
                with suppress(IndexError):  # dropped just now
                    return table.index_ids(number, value, namespace)
        return table.ids(namespace)

    def _replace_values(self, values: set[str], path: IndexPath, newer: Mapping[str, Expected]) -> None:
        """Replaces the values of older versions by those of own writes."""
        for key in newer:
            for value in values_of(path, self._contents.table.raw(key)):
                if not self._indexed(path, value):
                    values.discard(value)
        for expected in newer.values():
            values.update(values_of(path, expected.raw))

    def _path_of(self, name: str) -> IndexPath:
        path = self._indexes.get(name) if isinstance(name, str) else None
        if path is None:
            known = " or ".join(map(repr, self._indexes))
            raise OptionError("index", name, known or "an index, of which the store has none")
        return path

    def _read_index(self, path: IndexPath, read: Callable[[Table, int], R]) -> R:
        number = self._contents.indexes.complete.get(path)
        if number is not None:
            with suppress(IndexError):  # dropped just now
                return read(self._contents.table, number)
        name = next((name for name, its_path in self._indexes.items() if its_path == path), None)
        if name is None:
            raise KinformError(
                f"{self._contents.name}: no index has the path {CONTROLLER}: declare one in `indexes`, or pass the "
                "informer to a Controller as `owns`, which builds it when it runs"
            )
        raise KinformError(f"{self._contents.name}: index {name!r} is not built yet, or its informer has stopped")


def _require_value(value: object) -> None:
    require_instance("value", value, str, 'a string, also for numbers and booleans: "3", "true"')


def _require_key(key: object) -> None:
    require_instance("key", key, str, _KEY)


def store(
    *,
    type: type[T] = DICT,  # type: ignore[assignment]
    indexes: Mapping[str, str] = {},
    decoded_cache: int | None = None,
    name: str = "store",
) -> tuple[Writer, Store[T]]:
    """Makes an empty store and returns its writer and its reader.

    Args:
        type: The type that objects are decoded to: `dict`, any type that msgspec decodes to, or a model of a Kubernetes
            client, like `V1Pod`.
        indexes: Maps the name of each index to the path of the field by which the index finds objects.
        decoded_cache: Number of decoded objects to keep for further reads: see `Informer`. None: none.
        name: Name of the collection in messages.

    Raises:
        OptionError: No object decodes to the type, a name of an index is empty, a path is not valid, or `decoded_cache`
            is not positive.
    """
    check_type(type, None)
    require_instance("name", name, str, "a text")
    contents = StoreContents(name, indexes)
    return Writer(contents), Store(contents, type, indexes, decoded_cache)
