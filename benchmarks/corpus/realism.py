"""Realism: generated and real collections, compared by how well they compress.

Measures bytes per object without managedFields: as compact JSON; each object in a zstandard frame at level 3 with a
dictionary trained on every second object; and the whole collection by `xz -9e`, which is about the limit of sharing.
The ratios matter: if generated objects compress better than real ones, they flatter every store that compresses.
"""

from __future__ import annotations

import lzma
from typing import Any

import msgspec

from benchmarks.corpus.catalogue import make
from kinform.testing._objects.kinds import Object


class Sizes(msgspec.Struct, frozen=True):
    """Bytes per object."""

    pruned: int
    dictionary: int
    xz: int


class RealCollection(msgspec.Struct, frozen=True):
    """The measurement of a real collection.

    Provenance: dumps of four OpenShift clusters by its own gatherer, and of an application cluster (`application`
    below). Only the figures are here, not the objects.
    """

    name: str
    count: int
    dictionary_size: int
    sizes: Sizes
    source: str


REAL = (
    RealCollection("pods", 239, 64 << 10, Sizes(7033, 728, 353), "OpenShift"),
    RealCollection("pods", 158, 64 << 10, Sizes(3995, 444, 357), "application, 140 templates"),
    RealCollection("configmaps", 505, 64 << 10, Sizes(18587, 5973, 445), "OpenShift"),
    RealCollection("namespaces", 56, 8 << 10, Sizes(801, 132, 66), "OpenShift"),
    RealCollection("events", 3000, 64 << 10, Sizes(973, 136, 58), "OpenShift"),
    RealCollection("endpointslices", 77, 16 << 10, Sizes(1433, 198, 173), "OpenShift"),
    RealCollection("services", 143, 64 << 10, Sizes(592, 124, 74), "several of these"),
)


def rows(seed: int = 0, names: set[str] | None = None) -> list[dict[str, Any]]:
    """Returns a row for each real collection, or for those with these names.

    A row has `kind`, `n`, `source`, the sizes of the generated collection, and `real`: those of the real one.
    """
    found = []
    for real in REAL:
        if names is None or real.name in names:
            sizes = measure(make(real.name, real.count, seed)[1], real.dictionary_size)
            about = {"kind": real.name, "n": real.count, "source": real.source}
            found.append({**about, **msgspec.to_builtins(sizes), "real": msgspec.to_builtins(real.sizes)})
    return found


def measure(objects: list[Object], dictionary_size: int) -> Sizes:
    """Measures a collection."""
    import zstandard  # an optional package

    blobs: list[bytes | bytearray | memoryview] = [msgspec.json.encode(_pruned(obj)) for obj in objects]
    dictionary = zstandard.train_dictionary(dictionary_size, blobs[::2])
    compressor = zstandard.ZstdCompressor(level=3, dict_data=dictionary, write_dict_id=False, write_checksum=False)
    totals = (
        sum(map(len, blobs)),
        sum(len(compressor.compress(blob)) for blob in blobs),
        len(lzma.compress(b"\n".join(blobs), preset=9 | lzma.PRESET_EXTREME)),
    )
    return Sizes(*(round(total / len(blobs)) for total in totals))


def ratio(row: dict[str, Any], column: str) -> float:
    """Returns the compressed size of generated objects relative to real ones.

    Each is relative to its own JSON. `column` is `"dictionary"` or `"xz"`.
    """
    generated, real = row[column] / row["pruned"], row["real"][column] / row["real"]["pruned"]
    return float(generated / real)


def _pruned(obj: Object) -> Object:
    return {**obj, "metadata": {name: value for name, value in obj["metadata"].items() if name != "managedFields"}}


def table(found: list[dict[str, Any]]) -> str:
    """Formats rows as a text table."""
    lines = [f"{'':16}{'n':>6}{'pruned':>16}{'dictionary':>16}{'xz':>12}{'dictionary, ratio':>20}{'xz, ratio':>12}"]
    for row in found:
        pairs = {name: f"{row[name]} / {row['real'][name]}" for name in ("pruned", "dictionary", "xz")}
        line = f"{row['kind']:16}{row['n']:6}{pairs['pruned']:>16}{pairs['dictionary']:>16}{pairs['xz']:>12}"
        lines.append(f"{line}{ratio(row, 'dictionary'):20.2f}{ratio(row, 'xz'):12.2f}  {row['source']}")
    return "\n".join([*lines, "generated / real; the ratios are relative to the JSON of each"])
