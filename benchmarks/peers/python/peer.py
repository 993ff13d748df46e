"""What every program here has: its options, its handler's count, what tells its content and its versions.

Nothing of a library is here, and neither asyncio nor msgspec is imported before it is needed: a process is charged
with what its own library takes.
"""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from benchmarks.harness.digest import Digest


class Peer(ABC):
    """One library's program. Each order is a method of it, or of one of its bases.

    Attributes:
        packages: What takes part, by the names to install it by.
        modes: Those it has; the first is its default.
        resources: What it can follow; if empty, anything.
        secure: Whether it takes a CA and a token.
        calls: How often the handler was called.
    """

    packages: ClassVar[tuple[str, ...]]
    modes: ClassVar[tuple[str, ...]]
    resources: ClassVar[tuple[str, ...]] = ()
    secure: ClassVar[bool] = False

    def __init__(self, *, url: str, resource: str, mode: str | None, ca: str | None, token: str | None) -> None:
        self._url = url
        self._resource = resource
        self._mode = mode or self.modes[0]
        self._ca = ca
        self._token = token
        if self._mode not in self.modes:
            raise SystemExit(f"no mode {mode}, but {', '.join(self.modes)}")
        if self.resources and resource not in self.resources:
            raise SystemExit(f"cannot follow {resource}, but {', '.join(self.resources)}")
        if (ca or token) and not self.secure:
            raise SystemExit("takes neither a CA nor a token")
        self.calls = 0
        self._newest = 0

    def handle(self, version: str) -> None:
        """The handler: an object has this version, and the store has taken it."""
        self.calls += 1
        # kopf handles objects side by side: the newest need not be the last.
        if (number := int(version)) > self._newest:
            self._newest = number

    @abstractmethod
    def gather(self, digest: Digest, whole: bool) -> None:
        """Goes through the whole store; every value is wanted, or who each object is."""

    def told(self, whole: bool) -> dict[str, Any]:
        """What identifies the content of the store."""
        from benchmarks.harness.digest import Digest

        digest = Digest()
        self.gather(digest, whole)
        return digest.result()

    def taking_part(self) -> dict[str, str]:
        """Python's version, and those of the packages."""
        from importlib.metadata import version

        return {"python": platform.python_version(), **{name: version(name) for name in self.packages}}


def key_of(metadata: dict[str, Any]) -> str:
    """`"namespace/name"`, or `"name"`."""
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else str(metadata["name"])


def path_of(resource: str) -> str:
    """Where the collection is: `"/api/v1/pods"`, `"/apis/apps/v1/deployments"`."""
    return f"/{'apis' if resource.count('/') > 1 else 'api'}/{resource}"


def gather_decoded(digest: Digest, whole: bool, key: str, found: dict[str, Any], names: dict[str, str]) -> None:
    """Adds an object that is kept as it was sent, and what it did not tell of its kind; and leaves it as it is."""
    metadata = found["metadata"]
    if whole:
        digest.add_whole(key, {**names, **found, "metadata": dict(metadata)})
    else:
        digest.add(key, metadata["uid"], metadata["resourceVersion"], metadata.get("labels"))
