"""Options: resource, scope, pruning, watch behavior, snapshot. All are frozen.

Each is validated at construction and raises `OptionError` for every mistake that is visible without the network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal, get_args

import msgspec
from msgspec.structs import force_setattr

from kinform._checks import (
    require_instance,
    require_integer,
    require_match,
    require_number,
    require_one_of,
    require_positive,
    require_strings,
    require_synchronous,
)
from kinform._errors import KinformError, OptionError
from kinform._namespace_selector import NamespaceSelector
from kinform._paths.prune_program import Program, compile_prune, intersection
from kinform._paths.type_paths import paths_of_type
from kinform._plurals import suggest_built_in, suggest_plural
from kinform._selectors import check_field_selector, field_paths, parse_label_selector
from kinform._sharding import MAX_SHARDS, ShardSource

Start = Literal["auto", "list", "stream"]
Compression = Literal["identity", "gzip"]
StartMode = Literal["eager", "lazy"]
Transform = Callable[[bytes], bytes | None]
Strings = tuple[str, ...] | list[str] | AbstractSet[str]  # not a single string, which is iterable, too

_LAST_APPLIED = 'metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]'
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(rf"{_DNS_LABEL.pattern}(?:\.{_DNS_LABEL.pattern})*")
_OBJECT_NAME = re.compile(r"(?!\.{1,2}\Z)[^/%\x00-\x1f\x7f\ud800-\udfff]{1,253}")
_API_VERSION = re.compile(r"v[0-9]+(?:(?:alpha|beta)[0-9]+)?")


class Resource(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A resource of the API server: group, version and plural.

    Attributes:
        group: API group; `""` for the core group.
        version: API version, such as `"v1"`.
        plural: Plural name in lower case, such as `"pods"`.

    Raises:
        OptionError: The group, version or plural is not valid.
    """

    group: str = ""
    version: str
    plural: str

    def __post_init__(self) -> None:
        if self.group in ("core", "api", "apis"):  # in URLs, /api/ is the core group, and /apis/ contains the others
            raise OptionError("Resource.group", self.group, '"" for the core group, as in "v1/pods"')
        if self.group != "":
            require_match("Resource.group", self.group, _DNS_NAME, '"" for the core group, or a DNS name like "apps"')
        require_match("Resource.version", self.version, _API_VERSION, 'a version like "v1" or "v1beta1"')
        require_match("Resource.plural", self.plural, _DNS_NAME, 'a plural in lower case like "pods"')

    @classmethod
    def of(cls, resource: Resource | str) -> Resource:
        """Makes a Resource from a string: `"v1/pods"` or `"apps/v1/deployments"`.

        If the argument is already a Resource, returns it unchanged.

        Raises:
            OptionError: The string is not a valid resource.
        """
        if isinstance(resource, Resource):
            return resource
        allowed = '"version/plural" or "group/version/plural", like "v1/pods" or "apps/v1/deployments"'
        parts = resource.split("/") if isinstance(resource, str) else []
        if len(parts) not in (2, 3) or not parts[0]:
            raise OptionError("resource", resource, f"{allowed}{_suggest_resource(parts)}")
        try:
            return cls(group="/".join(parts[:-2]), version=parts[-2], plural=parts[-1])
        except OptionError as error:
            why = f"{error.value!r} is not {error.allowed}{_suggest_resource(parts)}"
            raise OptionError("resource", resource, f"{allowed}; {why}") from None

    def __str__(self) -> str:
        return f"{self.api_version}/{self.plural}"

    @property
    def api_version(self) -> str:
        """Group and version as in an object's `apiVersion`: `"v1"` or `"apps/v1"`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None) -> str:
        """Returns the URL path of the collection, for one namespace or for all (None)."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"


def _suggest_resource(parts: list[str]) -> str:
    """Returns a hint for a name, a URL path, or a kind: the resource; or `""`."""
    parts = [part for part in parts if part]
    if parts[:1] in (["api"], ["apis"], ["core"]):
        del parts[0]
    if len(parts) == 1:
        return _suggest_by_name(parts[0])
    scope = ""
    if parts[-3:-2] == ["namespaces"]:
        scope = f" with Scope(namespaces=[{parts[-2]!r}])"
        del parts[-3:-1]
    if len(parts) not in (2, 3):
        return ""
    try:
        group = "/".join(parts[:-2])
        meant = Resource(group=group, version=parts[-2], plural=suggest_plural(group, parts[-1]))
    except OptionError:
        return ""
    return f'; did you mean "{meant}"{scope}?'


def _suggest_by_name(name: str) -> str:
    """Returns a hint for a name without a version, such as `"pods"`; or `""`."""
    if meant := suggest_built_in(name):
        return f'; did you mean "{meant}"?'
    plural, _, group = name.partition(".")
    if group and _DNS_NAME.fullmatch(name):
        return f'; name the version: "{group}/v1/{plural}", if it is v1'
    return ""


class Scope(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Selects objects of a resource.

    The server sends only these objects, unless the description of a field says otherwise.

    Attributes:
        namespaces: Names of namespaces, each with its own stream; or a `NamespaceSelector`, for an informer. None: all
            namespaces, in one stream. Do not set it for a cluster-scoped resource: the informer would stay `not_found`.
        label_selector: Label selector as in `kubectl -l`. `""`: no condition.
        field_selector: Field selector as in `kubectl --field-selector`. `""`: no condition. Only the grammar is
            checked here; the server decides which fields the resource supports.
        names: Names of objects, such as `["web", "db"]`: the objects with these names, in each of the namespaces. They
            need not exist. For one name, the server sends only this object of each namespace. No request can name
            several: then the server sends all objects, and kinform drops those with other names before they are stored.
            None: all names.
        metadata_only: True: request metadata only (`PartialObjectMetadata`), without spec and status. A `Prune` must
            keep a part of the metadata.
        shard: Index and number of shards, such as `(3, 8)`: only about one eighth of the objects, by a hash of their
            uid. Each object is in exactly one of the shards 0 to 7, for its whole life. Objects without a uid are all
            in one shard. None: all objects. A server with the feature gate `ShardedListAndWatch` sends only these
            objects. Any other server sends all, and kinform drops those of other shards before they are stored.
        shards: The shards that this process has at the moment: a `kinform.controllers.Shards`, whose block is entered
            before that of the informer. If they change, a running informer follows: objects of a lost shard leave the
            store at once, and handlers get a deletion for each. Objects of a new one come in with a new complete state.
            None: all objects, or those of `shard`.

    Raises:
        OptionError: A namespace, a selector, a name or the shard is not valid, `names` is set and `field_selector`
            selects `metadata.name`, or both `shard` and `shards` are set.
    """

    namespaces: Strings | NamespaceSelector | None = None
    label_selector: str = ""
    field_selector: str = ""
    names: Strings | None = None
    metadata_only: bool = False
    shard: tuple[int, int] | None = None
    shards: ShardSource | None = None

    @property
    def fixed_namespaces(self) -> tuple[str, ...] | None:
        """The names of the namespaces; None: all.

        Raises:
            OptionError: A `NamespaceSelector` has their place: only an informer follows one.
        """
        if isinstance(self.namespaces, NamespaceSelector):
            raise OptionError("Scope.namespaces", self.namespaces, "None or names; an Informer takes a selector")
        return None if self.namespaces is None else tuple(self.namespaces)

    def __post_init__(self) -> None:
        if self.namespaces is not None and not isinstance(self.namespaces, NamespaceSelector):
            allowed = 'None for all namespaces, or a list of DNS labels (a-z, 0-9 and "-") like ["shop", "bank"]'
            names = _require_names("Scope.namespaces", self.namespaces, _DNS_LABEL, allowed)
            force_setattr(self, "namespaces", tuple(dict.fromkeys(names)))
        parse_label_selector(self.label_selector, field="Scope.label_selector")
        check_field_selector(self.field_selector, field="Scope.field_selector")
        self._check_names()
        require_instance("Scope.metadata_only", self.metadata_only, bool, "True or False")
        if self.shard is not None:
            allowed = f"None, or index and number of shards like (3, 8), with 0 <= index < number <= {MAX_SHARDS}"
            require_instance("Scope.shard", self.shard, tuple, allowed)
            if [type(part) for part in self.shard] != [int, int]:
                raise OptionError("Scope.shard", self.shard, allowed)
            index, count = self.shard
            if not 0 <= index < count <= MAX_SHARDS:
                raise OptionError("Scope.shard", self.shard, allowed)
        if self.shards is not None:
            require_instance("Scope.shards", self.shards, ShardSource, "None, or a kinform.controllers.Shards")
            if self.shard is not None:
                raise OptionError("Scope.shards", self.shards, "None, because Scope.shard is set")

    def _check_names(self) -> None:
        if self.names is None:
            return
        allowed = 'None for all names, or a list of names of objects like ["web-0", "web-1"], without "/" and "%"'
        names = _require_names("Scope.names", self.names, _OBJECT_NAME, allowed)
        if "metadata.name" in field_paths(self.field_selector):
            allowed = "a selector without metadata.name, because Scope.names is set"
            raise OptionError("Scope.field_selector", self.field_selector, allowed)
        force_setattr(self, "names", tuple(sorted(set(names))))


def _require_names(field: str, value: object, pattern: re.Pattern[str], allowed: str) -> tuple[str, ...]:
    """Requires an iterable of at least one name, each of this pattern."""
    names = require_strings(field, value, allowed)
    if not names:
        raise OptionError(field, value, allowed)
    for name in names:
        require_match(field, name, pattern, allowed)
    return names


class Prune(msgspec.Struct, frozen=True, kw_only=True):
    """Selects the fields of each object to keep. Works on bytes, without decoding.

    A path consists of names, joined by dots. `["a.b/c"]` is a name that contains dots or slashes. `[*]` is each element
    of a list, or each value of an object. `keep` and `keep_last` apply first, then `drop`. `kind`, `apiVersion`, and
    `name`, `namespace`, `uid` and `resourceVersion` in `metadata` are always kept. Objects and lists on the way to a
    path are kept too, even if they become empty.

    Attributes:
        drop: Paths to drop.
        keep: Paths to keep; everything else is dropped. Empty: keep everything.
        keep_last: Maps the path of a list to a number n. If the elements of the list have a `type`, as conditions do,
            the n newest elements of each type are kept, by `lastTransitionTime`. Otherwise the last n elements are
            kept. Only shortens lists: if `keep` is not empty, it must also cover the list.

    Two prunes are combined by `&`. The result keeps the fields that both keep, and the smaller number of elements:
    `Prune.from_type(Pod) & Prune.last_applied()`.

    Raises:
        OptionError: A path is not valid, a `drop` path covers a field that is always kept, or n is below 1.
    """

    drop: Strings = ()
    keep: Strings = ()
    keep_last: Mapping[str, int] = {}

    def __post_init__(self) -> None:
        for field in ("drop", "keep"):
            allowed = 'a list of paths like ["metadata.managedFields"]'
            paths = require_strings(f"Prune.{field}", getattr(self, field), allowed)
            force_setattr(self, field, tuple(sorted(set(paths))))
        require_instance("Prune.keep_last", self.keep_last, Mapping, 'a dict like {"status.conditions": 3}')
        force_setattr(self, "keep_last", dict(self.keep_last))
        self.program()

    def __hash__(self) -> int:
        return hash((self.drop, self.keep, frozenset(self.keep_last.items())))

    @classmethod
    def from_type(cls, type: Any) -> Prune:
        """Keeps the fields that a type reads.

        Reads nested types, elements of lists, values of dicts, all types of a union, and the JSON names of renamed
        fields. Where the type is `dict`, `Any` or `msgspec.Raw`, everything is kept, `metadata.managedFields` included;
        a `type` that is `dict` itself keeps whole objects. A type that contains itself is kept whole from its second
        level on. A null where the type expects an object or a list is dropped.

        Args:
            type: A Struct, dataclass, TypedDict or attrs class.

        Raises:
            OptionError: msgspec does not support the type, decodes no JSON object to it, or the type expects another
                form of `metadata` than that of Kubernetes. A model of a client, such as `V1Pod`, reads everything.
        """
        paths = paths_of_type(type, field="type")
        if paths is None:
            return cls()
        try:
            return cls(keep=paths)
        except OptionError as error:
            raise OptionError("type", type, f"a type of Kubernetes objects; it reads {error.value}: {error}") from None

    @classmethod
    def metadata(cls) -> Prune:
        """Keeps the metadata, without `managedFields`.

        `Scope(metadata_only=True)` lets the server send no more than that, which costs less. This preset is for objects
        whose `kind` and `apiVersion` you need, and for servers that send whole objects only.
        """
        return cls(keep=["metadata"], drop=["metadata.managedFields"])

    @classmethod
    def last_applied(cls) -> Prune:
        """Drops what tools write about their own changes.

        These are `metadata.managedFields`, and the annotation with the last configuration of `kubectl apply`.
        """
        return cls(drop=["metadata.managedFields", _LAST_APPLIED])

    def __and__(self, other: Prune) -> Prune:
        if not isinstance(other, Prune):
            return NotImplemented
        lasts = dict(self.keep_last)
        for path, n in other.keep_last.items():
            lasts[path] = min(n, lasts.get(path, n))
        keep = intersection(self.keep, other.keep) if self.keep and other.keep else self.keep or other.keep
        return Prune(drop={*self.drop, *other.drop}, keep=keep, keep_last=lasts)

    def program(self) -> Program | None:
        """Returns the paths as the scanner takes them, or None if nothing is pruned."""
        return compile_prune(self.drop, self.keep, self.keep_last)


DEFAULT_PRUNE = Prune(drop=["metadata.managedFields"])


class Backoff(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Delays between retries.

    Only progress resets the backoff: a complete state, a watch event or a bookmark with a higher resourceVersion, or a
    watch that lasted at least `Backoff.maximum` seconds. An accepted connection is not progress.

    Attributes:
        initial: Seconds to wait after the first failure. Each further failure doubles the wait. It is also the shortest
            time from one watch to the next if there was no failure.
        maximum: Upper limit of the wait in seconds. The jitter is added after this limit is applied.
        jitter: A random time is added to each wait, from 0 to `jitter` times the wait. It keeps many clients
            from retrying at the same moment.
        refused: Seconds to wait after 401, 403 or 404. They usually last until an operator changes something.

    Raises:
        OptionError: A wait is not positive, or `maximum` is below `initial`.
    """

    initial: float = 0.8
    maximum: float = 30.0
    jitter: float = 0.5
    refused: float = 30.0

    def __post_init__(self) -> None:
        for field in ("initial", "maximum", "refused"):
            require_positive(f"Backoff.{field}", getattr(self, field))
        if self.maximum < self.initial:
            raise OptionError("Backoff.maximum", self.maximum, f"at least Backoff.initial, {self.initial}")
        require_number("Backoff.jitter", self.jitter, "a fraction from 0 to 1", lambda n: 0 <= n <= 1)


class WatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of the list-watch stream.

    Attributes:
        initial: How to get the initial state. `"list"`: LIST, then WATCH. `"stream"`: WatchList (KEP-3157); an error
            if the server does not support it. `"auto"`: WatchList, and LIST in two cases. (1) The server refuses
            the WatchList. After 422, or an ERROR event with code 500, kinform uses LIST for this resource from then on.
            After 400, 403, 405, 406 or 415, it uses LIST only this time. After any other status it tries the WatchList
            again. (2) The server accepted two WatchLists of this resource and completed neither. If the network
            interrupted the last one, kinform uses LIST until the next complete state, otherwise from then on.
        page_size: Objects per LIST page. 0: one page. Has no effect on WatchList.
        compression: `"gzip"` asks the server to compress LIST responses. It saves network traffic and costs CPU time
            on both sides. Has no effect on a watch.
        watch_timeout: Seconds after which the server should end a watch. For each watch, kinform sends a random value
            between this number and twice this number.
        headers_timeout: Seconds to wait for the response headers. While a state arrives, this is also the longest wait
            for the next complete object.
        silence_timeout: Seconds without a complete event or bookmark after which kinform considers a watch dead and
            connects again. None: the timeout that was sent with the watch plus 15 seconds, or 200 seconds if that is
            shorter.
        max_object_bytes: Size limit of an object on the wire, in bytes. Larger objects are skipped and reported.
        backoff: Delays between retries.
        start_jitter: Seconds over which many processes that start together spread their first requests. Each stream
            waits for a part of them: a random one, or on a node the one that follows from the node's name. None: 20
            seconds from the import of kinform if the environment names the node (`NODE_NAME`, `K8S_NODE_NAME`,
            `KUBE_NODE_NAME` or `KUBERNETES_NODE_NAME`), because such a program runs on every node; otherwise 0.
        on_error: Called with each error from which the stream recovers. It cannot be a coroutine function. If it
            raises, the log has one line in ten minutes, and at the level DEBUG each exception with its text.

    Raises:
        OptionError: A value is out of range, or `on_error` is a coroutine function.
    """

    initial: Start = "auto"
    page_size: int = 500
    compression: Compression = "identity"
    watch_timeout: float = 300.0
    headers_timeout: float = 60.0
    silence_timeout: float | None = None
    max_object_bytes: int = 16 << 20
    backoff: Backoff = Backoff()
    start_jitter: float | None = None
    on_error: Callable[[KinformError], object] | None = None

    def __post_init__(self) -> None:
        require_one_of("WatchOptions.initial", self.initial, get_args(Start))
        require_one_of("WatchOptions.compression", self.compression, get_args(Compression))
        require_integer("WatchOptions.page_size", self.page_size, 0, "0 for one page, or a positive number")
        require_integer("WatchOptions.max_object_bytes", self.max_object_bytes, 1024, "at least 1024 bytes")
        allowed = "a finite number of seconds, at least 1"
        require_number("WatchOptions.watch_timeout", self.watch_timeout, allowed, lambda n: 1 <= n < float("inf"))
        require_positive("WatchOptions.headers_timeout", self.headers_timeout)
        if self.silence_timeout is not None:
            require_positive("WatchOptions.silence_timeout", self.silence_timeout)
        if self.start_jitter is not None:
            require_number(
                "WatchOptions.start_jitter", self.start_jitter, "0 or more seconds", lambda n: 0 <= n < float("inf")
            )
        require_instance("WatchOptions.backoff", self.backoff, Backoff, "a Backoff")
        if self.on_error is not None:
            require_synchronous("WatchOptions.on_error", self.on_error, "None, or a function")


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A file that keeps the collection of an informer. The next start needs no LIST.

    The file may contain Secrets. Only its owner can read it (mode 0600). It is not encrypted.

    A snapshot is loaded completely or not at all. kinform refuses a file that is truncated, damaged, in another format,
    or from another cluster, resource, scope, pruning or transform. Then it logs a warning and lists the collection.

    kinform writes only to a free path, or over a snapshot that it wrote itself. If there is anything else at the path,
    such as a text file, a FIFO, a device or a symbolic link, or if its folder does not exist, the start of the informer
    raises a `SnapshotError`, and so does the start of a second informer with the same path.

    kinform cannot detect every restore of etcd from a backup. After a restore the same resourceVersion may identify
    another state. Objects that do not change afterwards can then stay wrong in the copy. Delete the files after a
    restore, or set `max_age`.

    Attributes:
        path: Path of the file. Its folder must exist and be writable: a temporary file is written there, and then
            renamed to `path` atomically.
        max_age: kinform refuses a file that is older than this number of seconds, or whose time is more than this
            number of seconds in the future. The time of the state is inside the file. None: no limit. Without a limit,
            an old file normally does no harm: if the server no longer has the changes since then, it refuses the
            resourceVersion of the file, and the informer lists the collection.
        interval: Approximate seconds between two writes while the collection changes. Each pause varies at random.
            The informer also writes the file when it stops.
        allow_insecure_permissions: True: accept a file or folder that belongs to another user, or that its group or all
            users can write to. By default, the start of the informer raises a `SnapshotError` for it, because other
            users could then change what the informer reads. A folder may belong to root in any case.

    Raises:
        OptionError: `path` is not a path, a time is not positive, or a flag is not True or False.
    """

    path: str | os.PathLike[str]
    max_age: float | None = None
    interval: float = 300.0
    allow_insecure_permissions: bool = False

    def __post_init__(self) -> None:
        if not _is_path(self.path):
            raise OptionError("Snapshot.path", self.path, "the path of a file")
        if self.max_age is not None:
            require_positive("Snapshot.max_age", self.max_age)
        require_positive("Snapshot.interval", self.interval)
        require_instance("Snapshot.allow_insecure_permissions", self.allow_insecure_permissions, bool, "True or False")

    @classmethod
    def of(cls, snapshot: Snapshot | str | os.PathLike[str]) -> Snapshot:
        """Makes a Snapshot from a path.

        If the argument is already a Snapshot, returns it unchanged.

        Raises:
            OptionError: The argument is neither a path nor a Snapshot.
        """
        if isinstance(snapshot, Snapshot):
            return snapshot
        if not _is_path(snapshot):
            raise OptionError("snapshot", snapshot, "the path of a file, or a kinform.Snapshot")
        return cls(path=snapshot)


def _is_path(path: object) -> bool:
    return isinstance(path, str | os.PathLike) and isinstance(os.fspath(path), str) and bool(os.fspath(path))
