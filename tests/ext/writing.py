"""Writes to a table in one call, and changes of a table as tuples."""

from __future__ import annotations

import json

from kinform_ext._table import Table
from tests.core.wire import batch, obj

UID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"


def put(table, name, *, namespace="shop", uid=UID, rv="1", raw=None, initial=False, listen=True, stream=0):
    if raw is None:
        raw = json.dumps({"metadata": {"name": name, "uid": uid, "resourceVersion": rv}}).encode()
    return table.put(stream, namespace, name, uid, rv, raw, initial, listen)


def relist(table, *objects, stream=0, sweep_missing=True):
    table.begin(stream)
    if objects:
        table.apply(stream, batch(*objects), True, True)
    table.commit(stream, sweep_missing)
    changes, more = table.sweep(stream, 1 << 20, True)
    assert not more
    return summary(changes)


def summary(changes):
    return [
        (
            "deleted" if change.new is None else "added" if change.old is None else "updated",
            change.key,
            change.new and change.new.resource_version,
            change.old and change.old.resource_version,
            change.synthetic,
        )
        for change in changes
    ]


def filled():
    """Returns a table with the objects a, b and c of the namespace shop."""
    table = Table()
    relist(table, obj("a"), obj("b"), obj("c"))
    return table
