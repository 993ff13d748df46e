"""The store of a lazy informer: it raises an error without a complete state.

Each read counts as a use of the informer. An ordinary store pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kinform._decoding import T
from kinform._options import Prune
from kinform._store.contents import StoreContents
from kinform._store.reader import Store


class LazyStore(Store[T]):
    """A store that raises an error as long as its informer has no complete state.

    Args:
        contents: The contents of the store.
        type: The type that objects are decoded to.
        indexes: The indexes of this reader.
        decoded_cache: Number of decoded objects to keep, or None.
        prune: The parts of each object that the store keeps.
        note_read: A function that is called before each read, and raises if the store cannot be read.
    """

    def __init__(
        self,
        contents: StoreContents,
        type: type[T],
        indexes: Mapping[str, str],
        decoded_cache: int | None,
        *,
        prune: Prune,
        note_read: Callable[[], None],
    ) -> None:
        self._note_read: Callable[[], None] = lambda: None
        super().__init__(contents, type, indexes, decoded_cache, prune)
        self._note_read = note_read

    def release(self) -> None:
        """Releases the decoded objects that it keeps."""
        if self._objects.cache is not None:
            self._objects.cache.clear()

    @property
    def _contents(self) -> StoreContents:
        self._note_read()
        return self._bound_contents

    @_contents.setter
    def _contents(self, contents: StoreContents) -> None:
        self._bound_contents = contents
