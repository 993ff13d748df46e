"""Objects out of a user's own cluster: what `kubectl get -o json` wrote, or one object a line; plain, .xz or .zst.

Errors name the file, and where in it; never what it holds.
"""

from __future__ import annotations

import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from kinform.testing._objects.kinds import Kind, Object, key_of

XZ, ZSTD = b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
EXPECTED = "expected what `kubectl get -o json` writes, or one JSON object a line; plain, or compressed by xz or zstd"


def read_dump(path: Path) -> tuple[Kind, list[Object]]:
    """The objects of the most frequent kind in a dump, each key once: the last one of that key.

    Raises:
        ValueError: It is no dump, or holds no object with a name and a kind.
        OSError: It cannot be read.
    """
    try:
        data = path.read_bytes()
    except IsADirectoryError as error:
        raise ValueError(f"{path}: is a folder; {EXPECTED}") from error
    found = [each for each in _objects(path, _decompressed(path, data)) if _named(each)]
    if not found:
        raise ValueError(f"{path}: no objects with apiVersion, kind and metadata.name; {EXPECTED}")
    (api_version, kind), _ = Counter((each["apiVersion"], each["kind"]) for each in found).most_common(1)[0]
    chosen = {key_of(each): each for each in found if (each["apiVersion"], each["kind"]) == (api_version, kind)}
    group = api_version.rpartition("/")[0]
    # The path by which it is served here; what the plural is on a real server does not matter.
    custom = "." in group and not group.endswith(".k8s.io")
    return Kind(f"{api_version}/{kind.lower()}s", kind, custom), [*chosen.values()]


def _decompressed(path: Path, data: bytes) -> bytes:
    try:
        if data.startswith(XZ):
            return lzma.decompress(data)
        if data.startswith(ZSTD):
            return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    except (lzma.LZMAError, zstandard.ZstdError) as error:
        raise ValueError(f"{path}: begins as if compressed by xz or zstd, and is damaged further on") from error
    return data


def _objects(path: Path, data: bytes) -> list[Any]:
    lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{path}: empty; {EXPECTED}")
    whole, wrong = _decoded(data)
    if not wrong:
        return _items(whole)
    found = []
    for number, line in lines:
        one, why = _decoded(line)
        if why and number == lines[0][0]:
            raise ValueError(f"{path}: no JSON as a whole ({wrong}), nor in line {number} ({why}); {EXPECTED}")
        if why:
            raise ValueError(f"{path}: line {number} is no JSON ({why}), though those before it are; {EXPECTED}")
        found.append(one)
    return found


def _decoded(data: bytes) -> tuple[Any, str]:
    """What it says, or why that cannot be known."""
    try:
        return msgspec.json.decode(data), ""
    except msgspec.DecodeError as error:
        return None, str(error)
    except UnicodeDecodeError:
        return None, "not UTF-8"


def _items(whole: Any) -> list[Any]:
    if not isinstance(whole, dict):
        return whole if isinstance(whole, list) else []
    items = whole.get("items")
    if not isinstance(items, list):
        return [whole]
    # A server's own list tells once for all what its items are; kubectl writes it into each.
    kind = str(whole.get("kind", "")).removesuffix("List")
    about = {"apiVersion": whole.get("apiVersion"), "kind": kind} if kind else {}
    return [about | each if isinstance(each, dict) else each for each in items]


def _named(found: Any) -> bool:
    try:
        return all(
            isinstance(each, str) and each for each in (found["apiVersion"], found["kind"], found["metadata"]["name"])
        )
    except (KeyError, TypeError):
        return False
