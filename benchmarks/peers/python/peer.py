"""The common part of all programs: options, handler calls, digest and versions.

Imports no client library, and imports asyncio and msgspec only when they are needed: the process of each library
contains only what that library needs.
"""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from benchmarks.harness.digest import Digest


class Peer(ABC):
    """The program of one library. Each command is a method of it or of a subclass.

    Attributes:
        packages: The packages whose versions are reported.
        modes: The modes; the first is the default.
        resources: The resources it can follow; empty means any.
        calls: The number of handler calls.
    """

    packages: ClassVar[tuple[str, ...]]
    modes: ClassVar[tuple[str, ...]]
    resources: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, url: str, resource: str, mode: str | None, ca: str | None, token: str | None) -> None:
        self._url = url
        self._resource = resource
        self._mode = mode or self.modes[0]
        self._ca = ca
        self._token = token
        if self._mode not in self.modes:
            raise SystemExit(f"`{mode}` is not a mode: expected {', '.join(self.modes)}")
        if self.resources and resource not in self.resources:
            raise SystemExit(f"cannot follow {resource}: expected {', '.join(self.resources)}")
        self.calls = 0
        self._newest = 0

    def handle(self, version: str) -> None:
        """Handles an event of an object of this version, after the store has applied it."""
        self.calls += 1
        # kopf handles objects concurrently: the last is not always the newest.
        if (number := int(version)) > self._newest:
            self._newest = number

    @abstractmethod
    def add_to(self, digest: Digest, whole: bool) -> None:
        """Adds the store to a digest: whole objects, or only their identity."""

    def digest_of_store(self, whole: bool) -> dict[str, Any]:
        """Returns the digest of the store."""
        from benchmarks.harness.digest import Digest

        digest = Digest()
        self.add_to(digest, whole)
        return digest.result()

    def package_versions(self) -> dict[str, str]:
        """Returns the versions of Python and of the packages."""
        from importlib.metadata import version

        return {"python": platform.python_version(), **{name: version(name) for name in self.packages}}


def key_of(metadata: dict[str, Any]) -> str:
    """Returns `"namespace/name"`, or `"name"`."""
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def path_of(resource: str) -> str:
    """Returns a collection's path: `"/api/v1/pods"`, `"/apis/apps/v1/deployments"`."""
    return f"/{'apis' if resource.count('/') > 1 else 'api'}/{resource}"


def add_decoded(digest: Digest, whole: bool, key: str, found: dict[str, Any], names: dict[str, str]) -> None:
    """Adds an object that is kept as sent, without changing it.

    `names` has apiVersion and kind if it has not.
    """
    metadata = found["metadata"]
    if whole:
        digest.add_whole(key, {**names, **found, "metadata": dict(metadata)})
    else:
        digest.add(key, metadata["uid"], metadata["resourceVersion"], metadata.get("labels"))
