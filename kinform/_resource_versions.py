"""The order of resourceVersions.

Source: KEP-5504 (comparable resourceVersions).
"""

from __future__ import annotations


def is_newer(resource_version: str, other: str) -> bool:
    """Returns whether a resourceVersion is progress after another.

    It is a higher number. If one is not a number, any other text is progress.
    """
    if not _are_numbers(resource_version, other):
        return resource_version != other
    return _rank(resource_version) > _rank(other)


def is_reached(resource_version: str, stream_version: str) -> bool:
    """Returns whether a stream has reached a resourceVersion.

    resourceVersions that are not numbers have no order: then the answer is yes.
    """
    return not _are_numbers(resource_version, stream_version) or _rank(resource_version) <= _rank(stream_version)


def is_at_least(resource_version: str, other: str) -> bool:
    """Returns whether a resourceVersion is not below another; both must be numbers."""
    return _are_numbers(resource_version, other) and _rank(resource_version) >= _rank(other)


def _are_numbers(resource_version: str, other: str) -> bool:
    return resource_version.isdecimal() and other.isdecimal()


def _rank(resource_version: str) -> tuple[int, str]:
    """Returns the rank of a number. `int` refuses numbers of many digits."""
    return len(resource_version), resource_version
