"""Reads the server's answer to a write as a stream brings the object."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec

from kinform._decoding import is_model
from kinform._encoding import AnyObject, Envelope, ObjectNames, complete, encode, encode_model, read_envelope
from kinform._errors import OptionError
from kinform._plurals import plural_of
from kinform._printable import NOT_SHOWN, listed
from kinform._selectors import parse_label_selector, selects_identity
from kinform._sharding import ShardSet
from kinform._spec import CollectionSpec
from kinform_ext._scan import Batch, Scanner
from kinform_ext._table import Table

OBJECT = "the server's answer to a write: a dict, a msgspec.Struct, bytes with JSON, or a model of a client"


class OwnWrite(NamedTuple):
    """An object that the program has written.

    Attributes:
        stream: The namespace whose stream will bring it, `""` for the stream of all.
        batch: The object alone, pruned.
        excluded: The selectors, the names or the shards of the scope exclude it.
    """

    stream: str
    batch: Batch
    excluded: bool


class _WrittenMetadata(ObjectNames, frozen=True, gc=False):
    resourceVersion: str | None = None
    labels: dict[str, str] | None = None


class _Written(Envelope, frozen=True, gc=False):
    metadata: _WrittenMetadata | None = None


class _Stored(msgspec.Struct, gc=False):
    kind: object = None  # of any type after a transform


def read_own_write(
    spec: CollectionSpec,
    obj: AnyObject,
    streams: Collection[str],
    table: Table,
    shards: ShardSet | None,
) -> OwnWrite:
    """Reads the server's answer to a write.

    Args:
        spec: The collection.
        obj: The answer.
        streams: The namespaces of the streams, `""` for all.
        table: The objects of the collection, for the kind that they have.
        shards: The shards of the collection; None: all objects.

    Raises:
        OptionError: It is not an object of the collection, or has no resourceVersion that is a number.
    """
    known = sample(spec, table)
    stored_kind = "" if known is None else known[1]
    written, body = _read(spec, obj, stored_kind)
    _check_kind(spec, written.kind or "", stored_kind)
    metadata = written.metadata or _WrittenMetadata()
    if not metadata.name:
        raise OptionError("obj.metadata.name", metadata.name, "the name of the object")
    version = metadata.resourceVersion or ""
    if not version.isdecimal():
        raise OptionError("obj.metadata.resourceVersion", version, "a number, as in the server's answer to a write")
    namespace = metadata.namespace or ""
    if known is not None and bool(namespace) != ("/" in known[0]):
        allowed = "the namespace of the object" if "/" in known[0] else '"", because the resource is cluster-scoped'
        raise OptionError("obj.metadata.namespace", namespace, allowed)
    stream = "" if "" in streams else namespace
    if stream not in streams:
        raise OptionError("obj.metadata.namespace", namespace, f"a followed namespace: {listed(list(streams))}")
    matches = parse_label_selector(spec.scope.label_selector, field="Scope.label_selector")
    selected = selects_identity(spec.scope.field_selector, namespace, metadata.name)
    named = spec.scope.names is None or metadata.name in spec.scope.names
    batch = _scan(spec, body)
    sharded = shards is None or shards.has(batch.uid(0))
    return OwnWrite(stream, batch, excluded=not (selected and named and sharded and matches(metadata.labels or {})))


def _read(spec: CollectionSpec, obj: object, kind: str) -> tuple[_Written, bytes]:
    """Returns the envelope of an object, and its JSON with apiVersion and kind."""
    if isinstance(obj, bytes):
        body = obj
    elif is_model(type(obj)):
        body = encode_model("obj", obj)
    else:
        body = encode("obj", obj, OBJECT)
    written = read_envelope(body, _Written)
    if written.kind == "Status":
        raise OptionError("obj.kind", "Status", "the kind of the object; a deletion cannot be expected")
    declared = getattr(obj, "kind", None)
    return complete(written, body, spec.resource, kind=declared if isinstance(declared, str) else kind)


def sample(spec: CollectionSpec, table: Table) -> tuple[str, str] | None:
    """Returns key and kind of an object in the table, or None if it is empty.

    The kind is `""` if the object does not have it: it is only metadata, or a transform has changed it.
    """
    for id in table.ids():
        kind = "" if spec.scope.metadata_only else msgspec.json.decode(table.raw_of(id), type=_Stored).kind
        return table.key_of(id), kind if isinstance(kind, str) else ""
    return None


def _check_kind(spec: CollectionSpec, kind: str, stored_kind: str) -> None:
    """Checks the kind.

    Compares it with an object in the table. If the table is empty, compares it with the plural, for resources of
    Kubernetes only.
    """
    if stored_kind and kind != stored_kind:
        raise OptionError("obj.kind", kind, f'"{stored_kind}", as in {spec.resource}')
    if kind and not stored_kind and "." not in spec.resource.group and plural_of(kind) != spec.resource.plural:
        raise OptionError("obj.kind", kind, f"the kind of {spec.resource}")


def _scan(spec: CollectionSpec, body: bytes) -> Batch:
    """Returns the object as the scanner of a stream does."""
    if spec.scope.metadata_only:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": members["metadata"]}
        body = msgspec.json.encode(partial)
    scanner = Scanner("watch", spec.prune.program(), max_object_bytes=spec.options.max_object_bytes)
    found = scanner.feed(b'{"type":"MODIFIED","object":' + body + b"}\n")
    if len(found) != 1 or not isinstance(found[0], Batch):
        reason = next((item[7] for item in found if isinstance(item, tuple) and item[0] == "SKIP"), "malformed")
        raise OptionError("obj", NOT_SHOWN, f"an object that a stream can take, not one that is {reason}")
    return found[0]
