"""How like real collections what is made here compresses: the same measures of both, side by side.

Bytes an object, without managedFields: as compact JSON; each a zstandard frame of its own at level 3, with a dictionary
trained on every second one of them; and the whole collection through `xz -9e`, which is about what sharing everything
could reach. What counts are the ratios. Where made ones come out smaller than real ones, they flatter whoever
compresses them.
"""

from __future__ import annotations

import lzma
from typing import Any

import msgspec
import zstandard

from benchmarks.corpus.catalogue import make
from kinform.testing._objects.kinds import Object


class Sizes(msgspec.Struct, frozen=True):
    """Bytes an object."""

    pruned: int
    dictionary: int
    xz: int


class Real(msgspec.Struct, frozen=True):
    """A real collection: what of, how many, how large a dictionary, and what was measured.

    Provenance: dumps of four OpenShift clusters by its own gatherer, and of an application cluster (`application`
    below); figures only, no object of them is here.
    """

    name: str
    count: int
    dictionary_size: int
    sizes: Sizes
    source: str


REAL = (
    Real("pods", 239, 64 << 10, Sizes(7033, 728, 353), "OpenShift"),
    Real("pods", 158, 64 << 10, Sizes(3995, 444, 357), "application, 140 templates"),
    Real("configmaps", 505, 64 << 10, Sizes(18587, 5973, 445), "OpenShift"),
    Real("namespaces", 56, 8 << 10, Sizes(801, 132, 66), "OpenShift"),
    Real("events", 3000, 64 << 10, Sizes(973, 136, 58), "OpenShift"),
    Real("endpointslices", 77, 16 << 10, Sizes(1433, 198, 173), "OpenShift"),
    Real("services", 143, 64 << 10, Sizes(592, 124, 74), "several of these"),
)


def rows(seed: int = 0, names: set[str] | None = None) -> list[dict[str, Any]]:
    """A row of each real collection, or of those of these kinds: `kind`, `n`, what is made, and `real`."""
    found = []
    for real in REAL:
        if names is None or real.name in names:
            made = measure(make(real.name, real.count, seed)[1], real.dictionary_size)
            about = {"kind": real.name, "n": real.count, "source": real.source}
            found.append({**about, **msgspec.to_builtins(made), "real": msgspec.to_builtins(real.sizes)})
    return found


def measure(objects: list[Object], dictionary_size: int) -> Sizes:
    """Of a collection."""
    blobs: list[bytes | bytearray | memoryview] = [msgspec.json.encode(_pruned(each)) for each in objects]
    trained = zstandard.train_dictionary(dictionary_size, blobs[::2])
    compressor = zstandard.ZstdCompressor(level=3, dict_data=trained, write_dict_id=False, write_checksum=False)
    sizes = (
        sum(map(len, blobs)),
        sum(len(compressor.compress(each)) for each in blobs),
        len(lzma.compress(b"\n".join(blobs), preset=9 | lzma.PRESET_EXTREME)),
    )
    return Sizes(*(round(each / len(blobs)) for each in sizes))


def ratio(row: dict[str, Any], column: str) -> float:
    """How many times larger a made object is than a real one in `"dictionary"` or `"xz"`, each against its JSON."""
    made, real = row[column] / row["pruned"], row["real"][column] / row["real"]["pruned"]
    return float(made / real)


def _pruned(found: Object) -> Object:
    return {**found, "metadata": {name: each for name, each in found["metadata"].items() if name != "managedFields"}}


def table(found: list[dict[str, Any]]) -> str:
    """For people; the real figure after each one made."""
    lines = [f"{'':16}{'n':>6}{'pruned':>16}{'dictionary':>16}{'xz':>12}{'dictionary, ratio':>20}{'xz, ratio':>12}"]
    for row in found:
        pairs = {name: f"{row[name]} / {row['real'][name]}" for name in ("pruned", "dictionary", "xz")}
        line = f"{row['kind']:16}{row['n']:6}{pairs['pruned']:>16}{pairs['dictionary']:>16}{pairs['xz']:>12}"
        lines.append(f"{line}{ratio(row, 'dictionary'):20.2f}{ratio(row, 'xz'):12.2f}  {row['source']}")
    return "\n".join([*lines, "made / real; ratios: made against real, each against its own JSON"])
