"""Puts objects into a table as an informer does: by a LIST or by events.

The objects are pruned of managedFields.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.corpus import dump
from kinform._paths.prune_program import compile_prune
from kinform_ext._scan import Batch, Scanner
from kinform_ext._table import Table

Objects = list[dict[str, Any]]
CHUNK_BYTES = 128 << 10
MAX_PLACEHOLDERS, MIN_PLACEHOLDER_BYTES = 32, 2
"""The strings of an object that the coder takes from its record, and their size."""
_PROGRAM = compile_prune(("metadata.managedFields",), (), {})


def listed(objects: Objects) -> list[Batch]:
    """Returns the batches of a LIST of these objects, sorted by key.

    Raises:
        SystemExit: The scanner skipped an object.
    """
    ordered = sorted(objects, key=lambda found: (found["metadata"].get("namespace", ""), found["metadata"]["name"]))
    items = b",".join(map(dump, ordered))
    return _batches("list", b'{"kind":"List","apiVersion":"v1","metadata":{},"items":[%s]}' % items, len(objects))


def watched(objects: Objects, verb: str) -> list[Batch]:
    """Returns the batches of one watch event for each object, in this order.

    Raises:
        SystemExit: The scanner skipped an object.
    """
    lines = (b'{"type":"%s","object":%s}\n' % (verb.encode(), dump(found)) for found in objects)
    return _batches("watch", b"".join(lines), len(objects))


def _batches(mode: str, body: bytes, count: int) -> list[Batch]:
    scanner = Scanner(mode, _PROGRAM)  # type: ignore[arg-type]
    chunks = (body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES))
    found = [each for chunk in chunks for each in scanner.feed(chunk) if isinstance(each, Batch)]
    scanner.finish()
    if sum(map(len, found)) != count:
        raise SystemExit(f"store: the scanner skipped {count - sum(map(len, found))} objects; no figures are reported")
    return found


def load(table: Table, batches: Iterable[Batch], *, stream: int = 0) -> float:
    """Replaces the content of a stream by a LIST; returns the CPU seconds."""
    start = time.thread_time()
    table.begin(stream)
    for batch in batches:
        table.apply(stream, batch, True, False)
    table.commit(stream)
    while table.sweep(stream, 1 << 10, False)[1]:
        pass
    return time.thread_time() - start


def update(table: Table, batches: Iterable[Batch], *, stream: int = 0) -> float:
    """Applies watch events to a stream. Returns the CPU seconds of the writes."""
    start = time.thread_time()
    for batch in batches:
        table.apply(stream, batch, False, False)
    return time.thread_time() - start


def keys(batches: Iterable[Batch]) -> list[str]:
    """Returns the keys of the objects, in order."""
    return [batch.key(i) for batch in batches for i in range(len(batch))]


def raws(batches: Iterable[Batch]) -> list[bytes]:
    """Returns the JSON of the objects, in order."""
    return [batch.raw(i) for batch in batches for i in range(len(batch))]


def cuts(batches: Iterable[Batch]) -> list[bytes]:
    """Returns the JSON without the strings that a record stores anyway.

    These are namespace, name, uid, resourceVersion, and the name up to its last dot: see
    kinform_ext/records/placeholders.h. Each becomes one byte. So blobs and other encodings are compared on equal terms.
    """
    return list(_cuts(batches))


def _cuts(batches: Iterable[Batch]) -> Iterator[bytes]:
    for batch in batches:
        for i in range(len(batch)):
            name = batch.name(i)
            values = [batch.namespace(i), name, batch.uid(i), batch.resource_version(i)]
            values = [value if len(value) >= MIN_PLACEHOLDER_BYTES else "" for value in values]
            values.append(name.rpartition(".")[0])
            codes = {value.encode(): b'"%c' % number for number, value in reversed([*enumerate(values, 1)]) if value}
            choice = b"|".join(re.escape(value.encode()) for value in values if value)
            yield re.sub(
                b'"(%s)(?=["\\\\])' % choice,
                lambda found, codes=codes: codes[found[1]],  # type: ignore[misc]
                batch.raw(i),
                count=MAX_PLACEHOLDERS,
            )


def check(table: Table, expected: Iterable[bytes]) -> None:
    """Compares all objects of a table with their JSON.

    Raises:
        SystemExit: They differ.
    """
    if sorted(map(table.raw_of, table.ids())) != sorted(expected):
        raise SystemExit("store: an object differs when it is read back; no figures are reported")


def kept_bytes(table: Table) -> tuple[int, int]:
    """Returns the bytes of all blobs, and what the coder keeps in addition to them.

    The second is templates whose objects are gone, and slot lists, literals and hints. Templates of present objects are
    blobs.
    """
    stats = table.stats()
    return stats["blob_bytes"], stats["coder_bytes"] + stats["hidden_bytes"]
