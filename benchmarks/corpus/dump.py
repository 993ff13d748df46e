"""Objects of a user's own cluster: the output of kubectl, or one object per line.

Files may be compressed by xz or zstd. Errors name the file and the line, and never show contents.
"""

from __future__ import annotations

import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from kinform.testing._objects.kinds import Kind, Object, key_of

_XZ_MAGIC, _ZSTD_MAGIC = b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_EXPECTED = (
    "expected the output of `kubectl get -o json`, or one JSON object per line; plain, or compressed by xz or zstd"
)


def read_dump(path: Path) -> tuple[Kind, list[Object]]:
    """Returns the objects of the most frequent kind in a dump.

    If several objects have the same key, it keeps the last one.

    Raises:
        ValueError: The file is not a dump, or has no object with a name and a kind.
        OSError: The file cannot be read.
    """
    try:
        data = path.read_bytes()
    except IsADirectoryError as error:
        raise ValueError(f"{path}: is a folder; {_EXPECTED}") from error
    objects = [each for each in _objects(path, _decompressed(path, data)) if _is_object(each)]
    if not objects:
        raise ValueError(f"{path}: no objects with apiVersion, kind and metadata.name; {_EXPECTED}")
    (api_version, kind), _ = Counter((each["apiVersion"], each["kind"]) for each in objects).most_common(1)[0]
    chosen = {key_of(each): each for each in objects if (each["apiVersion"], each["kind"]) == (api_version, kind)}
    group = api_version.rpartition("/")[0]
    custom = "." in group and not group.endswith(".k8s.io")
    # The benchmarks serve the objects at this path, whatever the plural is in the user's cluster.
    return Kind(f"{api_version}/{kind.lower()}s", kind, custom), [*chosen.values()]


def _decompressed(path: Path, data: bytes) -> bytes:
    damaged = f"{path}: begins as compressed by xz or zstd, but is damaged"
    if data.startswith(_XZ_MAGIC):
        try:
            return lzma.decompress(data)
        except lzma.LZMAError as error:
            raise ValueError(damaged) from error
    if data.startswith(_ZSTD_MAGIC):
        import zstandard  # takes memory, which measured processes must not have

        try:
            return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
        except zstandard.ZstdError as error:
            raise ValueError(damaged) from error
    return data


def _objects(path: Path, data: bytes) -> list[Any]:
    lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{path}: empty; {_EXPECTED}")
    document, document_error = _decoded(data)
    if not document_error:
        return _items(document)
    objects = []
    for number, line in lines:
        obj, error = _decoded(line)
        if error and number == lines[0][0]:
            raise ValueError(
                f"{path}: not JSON as a whole ({document_error}), nor in line {number} ({error}); {_EXPECTED}"
            )
        if error:
            raise ValueError(f"{path}: line {number} is not JSON ({error}), but the lines before it are; {_EXPECTED}")
        objects.append(obj)
    return objects


def _decoded(data: bytes) -> tuple[Any, str]:
    """Returns the value and `""`, or None and the error."""
    try:
        return msgspec.json.decode(data), ""
    except msgspec.DecodeError as error:
        return None, str(error)
    except UnicodeDecodeError:
        return None, "not UTF-8"


def _items(document: Any) -> list[Any]:
    if not isinstance(document, dict):
        return document if isinstance(document, list) else []
    items = document.get("items")
    if not isinstance(items, list):
        return [document]
    # In a LIST of a server, only the envelope has the kind; kubectl writes it into each item.
    kind = str(document.get("kind", "")).removesuffix("List")
    about = {"apiVersion": document.get("apiVersion"), "kind": kind} if kind else {}
    return [about | item if isinstance(item, dict) else item for item in items]


def _is_object(value: Any) -> bool:
    try:
        names = (value["apiVersion"], value["kind"], value["metadata"]["name"])
    except (KeyError, TypeError):
        return False
    return all(isinstance(name, str) and name for name in names)
