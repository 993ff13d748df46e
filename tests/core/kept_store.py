"""A store whose changes are kept, for tests of the writer and the reader."""

from __future__ import annotations

from kinform._store.reader import store
from kinform_ext._table import Change
from tests.core.wire import batch


class Kept:
    """A store, its writer, and the changes that its listener received."""

    def __init__(self, **options):
        self.writer, self.store = store(**options)
        self.changes: list[Change] = []
        self.writer.listener = self.changes.append

    def relist(self, *objects, stream="", skips=()):
        self.writer.begin(stream)
        if objects:
            self.writer.apply(stream, batch(*objects), initial=True)
        for skip in skips:
            self.writer.skip(stream, skip)
        self.commit(stream)

    def commit(self, stream=""):
        self.writer.commit(stream)
        while self.writer.sweep(stream):
            pass

    def live(self, verb, *objects, stream=""):
        self.writer.apply(stream, batch(*objects, verb=verb), initial=False)

    def notified(self):
        """Returns the changes since the last call: (kind, key, new rv, old rv, synthetic)."""
        found = [
            (
                "deleted" if change.new is None else "added" if change.old is None else "updated",
                change.key,
                change.new and change.new.resource_version,
                change.old and change.old.resource_version,
                change.synthetic,
            )
            for change in self.changes
        ]
        self.changes.clear()
        return found
