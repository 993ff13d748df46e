"""What a caller can choose: resource, scope, pruning, and how to watch. Frozen, and checked when made.

Everything here raises `OptionError` for what can be known to be wrong without a network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

import msgspec
from msgspec.structs import force_setattr

from kinform._checks import instance, match, number, one_of, positive, strings, whole
from kinform._errors import KinformError, OptionError
from kinform._paths.prune_program import Program, compile_prune
from kinform._selectors import check_fields, parse_labels

Start = Literal["auto", "list", "stream"]
Compression = Literal["identity", "gzip"]
Transform = Callable[[bytes], bytes | None]

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_VERSION = re.compile(r"v[0-9]+(?:(?:alpha|beta)[0-9]+)?")


class Resource(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A kind of objects as the API server serves it: group, version and plural.

    Attributes:
        group: API group; `""` for the core group.
        version: API version, `"v1"`.
        plural: The plural in lower case, `"pods"`.

    Raises:
        OptionError: One of them cannot be a group, version or plural.
    """

    group: str = ""
    version: str
    plural: str

    def __post_init__(self) -> None:
        if self.group == "core":
            raise OptionError("Resource.group", self.group, '"" for the core group, as in "v1/pods"')
        if self.group != "":
            match("Resource.group", self.group, _DOMAIN, '"" for the core group, or a DNS name like "apps"')
        match("Resource.version", self.version, _VERSION, 'a version like "v1" or "v1beta1"')
        match("Resource.plural", self.plural, _DOMAIN, 'a plural in lower case like "pods"')

    @classmethod
    def of(cls, resource: Resource | str) -> Resource:
        """Reads `"v1/pods"` or `"apps/v1/deployments"`; what is a Resource already is returned as it is."""
        if isinstance(resource, Resource):
            return resource
        allowed = '"version/plural" or "group/version/plural", like "v1/pods" or "apps/v1/deployments"'
        parts = resource.split("/") if isinstance(resource, str) else []
        if len(parts) not in (2, 3) or not parts[0]:
            raise OptionError("resource", resource, allowed)
        try:
            return cls(group="/".join(parts[:-2]), version=parts[-2], plural=parts[-1])
        except OptionError as error:
            raise OptionError("resource", resource, f"{allowed}; {error.value!r} is not {error.allowed}") from None

    def __str__(self) -> str:
        return f"{self.api_version}/{self.plural}"

    @property
    def api_version(self) -> str:
        """`"v1"` or `"apps/v1"`, as in an object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None) -> str:
        """The collection's path on the API server; all namespaces where none is named."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects of a resource, decided by the server, so that the rest never crosses the network.

    Attributes:
        namespaces: Names of namespaces, each watched by a stream of its own; None: all, in one stream. Has no
            meaning for a cluster-scoped resource, which then stays `not_found`.
        label_selector: As in `kubectl -l`; `""`: no condition.
        field_selector: As in `kubectl --field-selector`; which fields a resource offers only the server knows.
        metadata_only: Ask for metadata alone (`PartialObjectMetadata`): no spec, no status.

    Raises:
        OptionError: A namespace or selector cannot be one.
    """

    namespaces: tuple[str, ...] | Iterable[str] | None = None
    label_selector: str = ""
    field_selector: str = ""
    metadata_only: bool = False

    def __post_init__(self) -> None:
        if self.namespaces is not None:
            allowed = 'None for all namespaces, or a list of names like ["shop", "till"]'
            names = strings("Scope.namespaces", self.namespaces, allowed)
            if not names:
                raise OptionError("Scope.namespaces", self.namespaces, allowed)
            for name in names:
                match("Scope.namespaces", name, _LABEL, allowed)
            force_setattr(self, "namespaces", tuple(dict.fromkeys(names)))
        for field in ("label_selector", "field_selector"):
            instance(f"Scope.{field}", getattr(self, field), str, "a string")
        parse_labels(self.label_selector, field="Scope.label_selector")
        check_fields(self.field_selector, field="Scope.field_selector")
        instance("Scope.metadata_only", self.metadata_only, bool, "True or False")


class Prune(msgspec.Struct, frozen=True, kw_only=True):
    """What of each object is kept, decided on bytes before anything of it exists in memory.

    A path is names joined by dots; `["a.b/c"]` for a name with dots; `[*]` for each element of a list or each
    value of an object. First `keep` and `keep_last`, then `drop`. `kind`, `apiVersion`, `metadata.name`,
    `.namespace`, `.uid` and `.resourceVersion` always stay. Containers on the way to a path stay, maybe empty.

    Attributes:
        drop: Paths to leave out.
        keep: If given, everything but these paths is left out.
        keep_last: List path to n: of a list of conditions, for each `type` the n newest by
            `lastTransitionTime`; of a list without `type`, the last n.

    Raises:
        OptionError: A path cannot be parsed, would drop what must stay, or n is not a positive number.
    """

    drop: tuple[str, ...] | Iterable[str] = ()
    keep: tuple[str, ...] | Iterable[str] = ()
    keep_last: Mapping[str, int] = {}

    def __post_init__(self) -> None:
        for field in ("drop", "keep"):
            allowed = 'a list of paths like ["metadata.managedFields"]'
            force_setattr(self, field, strings(f"Prune.{field}", getattr(self, field), allowed))
        instance("Prune.keep_last", self.keep_last, Mapping, 'a dict like {"status.conditions": 3}')
        force_setattr(self, "keep_last", dict(self.keep_last))
        self.program()

    def program(self) -> Program | None:
        """The compiled form that the scanner runs; None where nothing is pruned."""
        return compile_prune(self.drop, self.keep, self.keep_last)


DEFAULT_PRUNE = Prune(drop=["metadata.managedFields"])


class Backoff(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How long to wait after a failure. Only real progress starts it over: a state complete, an event, a bookmark.

    Attributes:
        initial: Seconds after the first failure; each further one doubles it.
        maximum: Seconds it never grows beyond, jitter aside.
        jitter: Each wait is lengthened by a random part of up to this fraction, so that clients part.
        refused: Seconds after 401, 403 and 404, which heal slowly if at all.

    Raises:
        OptionError: A wait is not positive, or the maximum is below the initial one.
    """

    initial: float = 0.8
    maximum: float = 30.0
    jitter: float = 0.5
    refused: float = 30.0

    def __post_init__(self) -> None:
        for field in ("initial", "maximum", "refused"):
            positive(f"Backoff.{field}", getattr(self, field))
        if self.maximum < self.initial:
            raise OptionError("Backoff.maximum", self.maximum, f"at least Backoff.initial, {self.initial}")
        number("Backoff.jitter", self.jitter, "a fraction from 0 to 1", lambda n: 0 <= n <= 1)


class WatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a collection is followed.

    Attributes:
        initial: `"list"`: LIST, then WATCH. `"stream"`: WatchList (KEP-3157), and an error where the server has
            none. `"auto"`: WatchList, and LIST where it is refused or never completes, remembered per resource.
        page_size: Objects a page of a LIST; 0: one page. Has no effect on a stream.
        compression: `"gzip"` invites the server to compress LISTs, which saves network and costs CPU time. Has
            no effect on a watch.
        watch_timeout: Seconds after which the server is asked to end a watch, drawn anew from once to twice this
            for each.
        headers_timeout: Seconds to wait for an answer to begin; and, until a state is complete, for each next
            piece of it.
        silence_timeout: Seconds without a byte after which a watch counts as dead; None: the watch's own time
            plus 15, at most 200.
        max_object_bytes: Largest object accepted, as sent; larger ones are left out and reported.
        backoff: Waits after failures.
        start_jitter: The first request of a stream waits a random part of so many seconds, so that thousands of
            processes that start at once do not all ask at once.
        on_error: Called with each error that was recovered from. An exception in it is logged.

    Raises:
        OptionError: A value is out of range.
    """

    initial: Start = "auto"
    page_size: int = 500
    compression: Compression = "identity"
    watch_timeout: float = 300.0
    headers_timeout: float = 60.0
    silence_timeout: float | None = None
    max_object_bytes: int = 16 << 20
    backoff: Backoff = Backoff()
    start_jitter: float = 0.0
    on_error: Callable[[KinformError], object] | None = None

    def __post_init__(self) -> None:
        one_of("WatchOptions.initial", self.initial, get_args(Start))
        one_of("WatchOptions.compression", self.compression, get_args(Compression))
        whole("WatchOptions.page_size", self.page_size, 0, "0 for one page, or a positive number")
        whole("WatchOptions.max_object_bytes", self.max_object_bytes, 1024, "at least 1024 bytes")
        number("WatchOptions.watch_timeout", self.watch_timeout, "at least 1 second", lambda n: n >= 1)
        positive("WatchOptions.headers_timeout", self.headers_timeout)
        if self.silence_timeout is not None:
            positive("WatchOptions.silence_timeout", self.silence_timeout)
        number("WatchOptions.start_jitter", self.start_jitter, "0 or more seconds", lambda n: 0 <= n < float("inf"))
        instance("WatchOptions.backoff", self.backoff, Backoff, "a Backoff")
        if self.on_error is not None and not callable(self.on_error):
            raise OptionError("WatchOptions.on_error", self.on_error, "a callable, or None")


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Where an informer keeps its collection between two runs, so that the next starts without a LIST.

    The file may hold Secrets: it is readable by its owner alone. A file that is cut, damaged, of another cluster,
    resource, scope, pruning or transform, or of another format is refused with a warning, never loaded in part, and
    a list takes its place. An etcd that was restored from a backup cannot be told for certain: a resourceVersion may
    come to name another state than it did, and then the copy stays wrong where nothing changes. Delete the files
    after a restore, or bound their age.

    Attributes:
        path: The file. Its folder has to be there, and writable; what is written beside it takes its place at once.
        max_age: Seconds after which a file is refused; None: never. The server refuses a state it cannot carry on.
        interval: Seconds between two writings while something changes, about: drawn anew each time. It is also
            written when the informer stops.

    Raises:
        OptionError: The path is none, or a time is not positive.
    """

    path: str | os.PathLike[str]
    max_age: float | None = None
    interval: float = 300.0

    def __post_init__(self) -> None:
        if not _is_path(self.path):
            raise OptionError("Snapshot.path", self.path, "the path of a file")
        if self.max_age is not None:
            positive("Snapshot.max_age", self.max_age)
        positive("Snapshot.interval", self.interval)

    @classmethod
    def of(cls, snapshot: Snapshot | str | os.PathLike[str]) -> Snapshot:
        """Reads a path; what is a Snapshot already is returned as it is."""
        if isinstance(snapshot, Snapshot):
            return snapshot
        if not _is_path(snapshot):
            raise OptionError("snapshot", snapshot, "the path of a file, or a kinform.Snapshot")
        return cls(path=snapshot)


def _is_path(path: object) -> bool:
    return isinstance(path, str | os.PathLike) and isinstance(os.fspath(path), str) and bool(os.fspath(path))
