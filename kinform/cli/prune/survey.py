"""The survey: reads a collection, watches it for some time, and fills the report."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from kinform import Connection, Informer, OptionError, Prune, Resource, Scope
from kinform._paths.grammar import Path, format_path
from kinform.cli._sample import Sample, Sizes
from kinform.cli.prune.path_sizes import PathSize, PathSizes, changed_paths
from kinform.cli.prune.report import PathReport, PruneReport
from kinform.cli.prune.suggestion import suggest

LISTED = 0.01
"""The part of all bytes from which on a path is listed."""
PAUSE_OBJECTS = 100
"""The number of objects after which other tasks run."""

Progress = Callable[[str], None]


class Changes:
    """The paths that change in updates.

    Attributes:
        updates: The number of updates.
    """

    def __init__(self) -> None:
        self.updates = 0
        self._counts: Counter[Path] = Counter()
        self._of_updates: Counter[frozenset[Path]] = Counter()

    def add(self, old: object, new: object) -> None:
        """Adds an update. The resourceVersion changes in each one, and is not counted."""
        found = {path for path in changed_paths(old, new) if path != ("metadata", "resourceVersion")}
        self.updates += 1
        self._of_updates[frozenset(found)] += 1
        self._counts.update({path[:length] for path in found for length in range(1, len(path) + 1)})

    def parts(self) -> dict[Path, float]:
        """Returns for each path the part of the updates that change it, or one below it."""
        return {path: count / self.updates for path, count in self._counts.items()}

    def only_in(self, dropped: Iterable[Path]) -> int:
        """Returns the number of updates that change nothing outside of these paths."""
        dropped = set(dropped)

        def is_dropped(path: Path) -> bool:
            return any(path[:length] in dropped for length in range(1, len(path) + 1))

        return sum(count for paths, count in self._of_updates.items() if all(map(is_dropped, paths)))


async def read_collection(
    api: Connection, resource: Resource, scope: Scope, seconds: float, on_progress: Progress
) -> tuple[PathSizes, Sample, Changes]:
    """Reads a live collection, and watches it.

    Raises:
        StatusError: The server refuses the request.
    """
    sizes, sample, changes = PathSizes(), Sample(), Changes()
    async with Informer(api, resource, scope=scope, prune=Prune()) as informer:
        on_progress(f"reading {resource}")
        await informer.synced(allow_skipped=True)
        informer.on_update(changes.add)
        for number, key in enumerate(informer.store.keys()):
            raw = informer.store.raw(key)
            if raw is not None:
                sample.add(raw)
                sizes.add(msgspec.json.decode(raw))
            if number % PAUSE_OBJECTS == 0:
                await asyncio.sleep(0)
        on_progress(f"watching {resource} for {seconds:g} s")
        await asyncio.sleep(seconds)
    return sizes, sample, changes


def read_objects(objects: Iterable[bytes]) -> tuple[PathSizes, Sample, Changes]:
    """Reads the objects of a dump."""
    sizes, sample = PathSizes(), Sample()
    for raw in objects:
        sample.add(raw)
        sizes.add(msgspec.json.decode(raw))
    return sizes, sample, Changes()


async def make_report(
    name: str,
    resource: Resource,
    found: tuple[PathSizes, Sample, Changes],
    *,
    seconds: float,
    type: Any = None,
    on_progress: Progress,
) -> PruneReport:
    """Returns the report.

    Args:
        name: The name of the collection.
        resource: The resource.
        found: The result of `read_collection` or `read_objects`.
        seconds: The time of the watch.
        type: The type that the program reads; None: suggest paths to drop.
        on_progress: Called with what is measured.

    Raises:
        OptionError: `Prune.from_type` does not support the type.
    """
    sizes, sample, changes = found
    on_progress("measuring")
    parts = changes.parts()
    largest = list(sizes.largest(LISTED))
    suggested = [] if type is not None else suggest(largest, sizes.bytes, parts)
    prune = Prune.from_type(type) if type is not None else Prune(drop=[format_path(each.path) for each in suggested])
    whole = await sample.sizes(resource, Prune())
    pruned, default = await sample.sizes(resource, prune), await sample.sizes(resource)
    return PruneReport(
        resource=name,
        objects=sizes.objects,
        bytes=sizes.bytes,
        stored_bytes=whole.stored,
        paths=[
            PathReport(
                path=format_path(each.path),
                depth=len(each.path),
                objects=each.objects,
                bytes=each.bytes,
                stored_bytes=await _stored(each, resource, sample, whole),
                changes=parts.get(each.path, 0.0) if changes.updates else None,
            )
            for each in largest
        ],
        updates=changes.updates,
        seconds=seconds,
        drop=[] if type is not None else list(prune.drop),
        keep=list(prune.keep),
        pruned_bytes=pruned.json,
        pruned_stored_bytes=pruned.stored,
        default_stored_bytes=default.stored,
        quiet_updates=changes.only_in(each.path for each in suggested),
    )


async def _stored(path: PathSize, resource: Resource, sample: Sample, whole: Sizes) -> int | None:
    """The bytes that the store saves without a path; None if every object keeps it."""
    try:
        prune = Prune(drop=[format_path(path.path)])
    except OptionError:
        return None
    return max(0, whole.stored - (await sample.sizes(resource, prune)).stored)
