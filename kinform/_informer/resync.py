"""Resyncs: all objects of a store are passed to the listeners again.

Sends no request. Source: the resync period of client-go's shared informer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from kinform._dispatch.dispatcher import Dispatcher
from kinform._informer.collection import Collection
from kinform._jitter import varied
from kinform_ext._table import Version

JITTER = 0.1  # largest random part of the period that is added or subtracted


async def run_resyncs(period: float, collection: Collection, dispatcher: Dispatcher[Any]) -> None:
    """Starts a resync each `period` seconds. Runs until it is cancelled."""
    while True:
        await asyncio.sleep(varied(period, JITTER))
        dispatcher.resync(lambda: _objects(collection), lambda: _keys(collection), collection.present_owners)


def _objects(collection: Collection) -> Iterator[Version | None]:
    """Yields the present objects, each in the version that it has at that time.

    Yields None while listeners have not been notified of all versions that the store has.
    """
    table = collection.writer.contents.table
    for key in collection.present_keys():
        while not collection.writer.swept:
            yield None
        id = table.find(key)
        if id >= 0:
            yield table.version_of(id)


def _keys(collection: Collection) -> Iterator[str]:
    """Yields the keys of the present objects, as far as they exist at that time."""
    table = collection.writer.contents.table
    return (key for key in collection.present_keys() if key in table)
