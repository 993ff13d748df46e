"""The compared collections, and the digests by which processes are compared.

`versions` is the digest of `kinform.testing`, computed again: importing that package would add to the measured memory.
The naive part computes it once more, because it imports nothing of kinform.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

RESOURCES = ("v1/pods", "v1/namespaces")

Versions = dict[str, tuple[str, str]]
DigestEntry = tuple[str, str, str, str]


def entry(key: str, uid: str, version: str, content: dict[str, Any]) -> DigestEntry:
    """Returns key, uid and resourceVersion of an object, and a digest of its content.

    The digest excludes managedFields, which kinform drops by default, and does not depend on the order of members.
    """
    content["metadata"].pop("managedFields", None)
    return key, uid, version, hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def digest_of(entries: Iterable[DigestEntry]) -> dict[str, Any]:
    """Returns the digests of a collection.

    `versions` covers key, uid and resourceVersion of each object, `contents` their content.
    """
    versions, contents, count = hashlib.sha256(), hashlib.sha256(), 0
    for key, uid, version, content in sorted(entries):
        versions.update(f"{key} {uid} {version}\n".encode())
        contents.update(f"{key} {content}\n".encode())
        count += 1
    return {"objects": count, "versions": versions.hexdigest(), "contents": contents.hexdigest()}
