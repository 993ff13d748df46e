"""Objects out of a user's own cluster: what `kubectl get -o json` wrote, or one object a line; plain, .xz or .zst."""

from __future__ import annotations

import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from benchmarks.corpus.objects import Kind, Object, key_of

XZ, ZSTD = b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"


def read_dump(path: Path) -> tuple[Kind, list[Object]]:
    """The objects of the most frequent kind in a dump, each key once.

    Raises:
        ValueError: It is no dump, or holds no object with a name and a kind.
    """
    data = path.read_bytes()
    if data.startswith(XZ):
        data = lzma.decompress(data)
    elif data.startswith(ZSTD):
        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    found = [each for each in _objects(data) if _named(each)]
    if not found:
        raise ValueError(f"{path}: no objects with apiVersion, kind and metadata.name")
    (api_version, kind), _ = Counter((each["apiVersion"], each["kind"]) for each in found).most_common(1)[0]
    chosen = {key_of(each): each for each in found if (each["apiVersion"], each["kind"]) == (api_version, kind)}
    group = api_version.rpartition("/")[0]
    # The path by which it is served here; what the plural is on a real server does not matter.
    custom = "." in group and not group.endswith(".k8s.io")
    return Kind(f"{api_version}/{kind.lower()}s", kind, custom), [*chosen.values()]


def _objects(data: bytes) -> list[Any]:
    try:
        whole = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return [msgspec.json.decode(line) for line in data.splitlines() if line.strip()]
    return whole["items"] if isinstance(whole, dict) and isinstance(whole.get("items"), list) else [whole]


def _named(found: Any) -> bool:
    try:
        return bool(found["apiVersion"] and found["kind"] and found["metadata"]["name"])
    except (KeyError, TypeError):
        return False
