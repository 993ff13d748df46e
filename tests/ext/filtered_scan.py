"""Bodies through a scanner that drops objects: what is left of them."""

from __future__ import annotations

from typing import Any

from kinform_ext._scan import Batch, Scanner


def frame(item: bytes, verb: str = "ADDED") -> bytes:
    """Makes the line of an object in a WATCH body."""
    return b'{"type":"%s","object":%s}\n' % (verb.encode(), item)


def filtered(mode: Any, body: bytes, size: int = 1 << 20, **options: Any) -> list[Any]:
    """Returns the versions of batches, and the other items, of a body in chunks."""
    scanner = Scanner(mode, **options)
    found: list[Any] = []
    for at in range(0, len(body), size):
        for each in scanner.feed(body[at : at + size]):
            found += [each.resource_version(i) for i in range(len(each))] if isinstance(each, Batch) else [each]
    scanner.finish()
    return found
