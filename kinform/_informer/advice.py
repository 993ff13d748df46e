"""Advice for informers on the same objects that do not share their stream.

For the warning of a factory. Names options, and paths of prunes; never quotes an object.
"""

from __future__ import annotations

from collections.abc import Iterable

from kinform._options import Prune, WatchOptions
from kinform._printable import MAX_LISTED
from kinform._spec import CollectionSpec


def advice(spec: CollectionSpec, others: Iterable[CollectionSpec]) -> str | None:
    """Returns how a new collection could be the same as one of the others.

    Args:
        spec: The new collection.
        others: The collections that exist.

    Returns:
        Two clauses, for a message; or None if no other collection has the same resource and scope.
    """
    similar = [_differences(spec, other) for other in others if (other.resource, other.scope) == _objects(spec)]
    if not similar:
        return None
    nearest = min(similar, key=len)
    options = " and ".join(name for name, _ in nearest)
    remedies = " and ".join(remedy for _, remedy in nearest)
    return f"another informer on the same objects has a different {options}; they would share with {remedies}"


def _objects(spec: CollectionSpec) -> tuple[object, object]:
    return spec.resource, spec.scope


def _differences(one: CollectionSpec, other: CollectionSpec) -> list[tuple[str, str]]:
    """Returns the options that differ, each with what would make them equal."""
    found = []
    if one.prune != other.prune:
        found.append(("prune", _merged(one.prune, other.prune)))
    if one.transform != other.transform:
        found.append(("transform", "the same transform function"))
    if one.options != other.options:
        fields = [
            field
            for field in WatchOptions.__struct_fields__
            if getattr(one.options, field) != getattr(other.options, field)
        ]
        found.append((f"WatchOptions ({', '.join(fields)})", "equal WatchOptions"))
    return found


def _merged(one: Prune, other: Prune) -> str:
    """Returns a prune that serves both, if it is short."""
    merged = None
    if one.keep_last == other.keep_last:
        if one.keep and other.keep and one.drop == other.drop:
            merged = Prune(keep={*one.keep, *other.keep}, drop=one.drop, keep_last=one.keep_last)
        elif not one.keep and not other.keep:
            merged = Prune(drop={*one.drop} & {*other.drop}, keep_last=one.keep_last)
    if merged is None or len(merged.keep) + len(merged.drop) + len(merged.keep_last) > MAX_LISTED:
        return "the same prune"
    fields = (("drop", list(merged.drop)), ("keep", list(merged.keep)), ("keep_last", merged.keep_last))
    return f"prune=kinform.Prune({', '.join(f'{name}={value}' for name, value in fields if value)}) for both"
