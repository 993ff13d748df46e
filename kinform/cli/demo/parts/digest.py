"""What is compared: which collections, and what tells whether two processes hold the same objects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

RESOURCES = ("v1/pods", "v1/namespaces")

Versions = dict[str, tuple[str, str]]
Entry = tuple[str, str, str, str]


def entry(key: str, uid: str, version: str, content: dict[str, Any]) -> Entry:
    """One object: key, uid, resourceVersion, and a digest of what is in it.

    That is without managedFields, which kinform leaves out by default, and whatever the order of the members.
    """
    content["metadata"].pop("managedFields", None)
    return key, uid, version, hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def digest_of(entries: Iterable[Entry]) -> dict[str, Any]:
    """Digests of a collection: of who and at which version (`versions`), and of what is in it (`contents`)."""
    versions, contents, count = hashlib.sha256(), hashlib.sha256(), 0
    for key, uid, version, content in sorted(entries):
        versions.update(f"{key} {uid} {version}\n".encode())
        contents.update(f"{key} {content}\n".encode())
        count += 1
    return {"objects": count, "versions": versions.hexdigest(), "contents": contents.hexdigest()}
