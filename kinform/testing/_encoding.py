"""JSON as kube-apiserver writes it, byte for byte where a parser could notice.

Built-in objects have their keys in the order of the Go structs: the fields of metadata, then spec, then status. Custom
resources have all keys sorted. `<`, `>`, `&`, U+2028 and U+2029 are escaped as by Go's encoder. Knows neither revisions
nor sockets.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kinform.testing._objects.kinds import Object
from kinform.testing._resources import ServedResource

_METADATA_ORDER = (
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
_ESCAPES = (
    (b"<", rb"\u003c"),
    (b">", rb"\u003e"),
    (b"&", rb"\u0026"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)


def dumps(value: Any) -> bytes:
    """Encodes a value as compact JSON with Go's escapes. Keys keep their order."""
    return _escape(msgspec.json.encode(value))


def _escape(data: bytes) -> bytes:
    # These characters occur only inside strings, so that replacing their bytes is safe.
    for plain, escaped in _ESCAPES:
        if plain in data:
            data = data.replace(plain, escaped)
    return data


def encode_body(resource: ServedResource, obj: Object) -> bytes:
    """Encodes an object as an item of a LIST.

    Items of built-in kinds have no kind and apiVersion, and metadata first.
    """
    if resource.custom:
        whole = {**obj, "kind": resource.kind, "apiVersion": resource.api_version}
        return _escape(msgspec.json.encode(whole, order="sorted"))
    given = obj["metadata"]
    metadata = {field: given[field] for field in _METADATA_ORDER if field in given}
    metadata.update((field, value) for field, value in given.items() if field not in metadata)
    for field in ("labels", "annotations"):
        if field in metadata:
            metadata[field] = dict(sorted(metadata[field].items()))
    body: Object = {"metadata": metadata}
    body.update((field, value) for field, value in obj.items() if field not in ("kind", "apiVersion", "metadata"))
    return dumps(body)


def watch_form(resource: ServedResource, body: bytes) -> bytes:
    """Returns an item with kind and apiVersion, as in a WATCH event or a GET."""
    if resource.custom:
        return body
    return b'{"kind":"%b","apiVersion":"%b",%b' % (
        resource.kind.encode(),
        resource.api_version.encode(),
        body[1:],
    )


class _OnlyMetadata(msgspec.Struct):
    metadata: msgspec.Raw


def metadata_form(body: bytes) -> bytes:
    """Returns an item as a PartialObjectMetadata."""
    raw = bytes(msgspec.json.decode(body, type=_OnlyMetadata).metadata)
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":%b}' % raw


def event_line(event_type: str, obj: bytes) -> bytes:
    """Returns a line of a WATCH body."""
    return b'{"type":"%b","object":%b}\n' % (event_type.encode(), obj)


def bookmark_line(
    resource: ServedResource,
    revision: int,
    annotations: dict[str, str] | None = None,
    *,
    metadata_only: bool = False,
) -> bytes:
    """Returns a BOOKMARK: an empty object of the watched kind with a resourceVersion."""
    metadata: Object = {"resourceVersion": str(revision)}
    if annotations:
        metadata["annotations"] = annotations
    if metadata_only:
        obj: Object = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    elif resource.custom:
        obj = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": dict(sorted(metadata.items())),
        }
    else:
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        obj.update(_EMPTY.get(resource.kind, {}))
    return event_line("BOOKMARK", dumps(obj))


# The zero values of these kinds: their fields without omitempty.
_NODE_INFO = (
    "machineID systemUUID bootID kernelVersion osImage containerRuntimeVersion kubeletVersion kubeProxyVersion "
    "operatingSystem architecture"
)
_EMPTY: dict[str, Object] = {
    "Pod": {"spec": {"containers": None}, "status": {}},
    "Namespace": {"spec": {}, "status": {}},
    "Node": {
        "spec": {},
        "status": {
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": dict.fromkeys(_NODE_INFO.split(), ""),
        },
    },
    "Event": {
        "involvedObject": {},
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    },
    "Service": {"spec": {}, "status": {"loadBalancer": {}}},
    "Deployment": {
        "spec": {
            "replicas": 0,
            "selector": None,
            "template": {"metadata": {}, "spec": {"containers": None}},
            "strategy": {},
        },
        "status": {},
    },
    "Lease": {"spec": {}},
    "EndpointSlice": {"addressType": "", "endpoints": None, "ports": None},
}


def list_envelope(
    resource: ServedResource,
    revision: int,
    continue_: str = "",
    remaining: int | None = None,
    *,
    metadata_only: bool = False,
    shard_selector: str = "",
) -> tuple[bytes, bytes]:
    """Returns the bytes before and after the items of a LIST."""
    metadata: Object = {"resourceVersion": str(revision)}
    if shard_selector and not resource.custom and not metadata_only:  # the other lists have no field for it
        metadata["shardInfo"] = {"selector": shard_selector}
    if continue_:
        metadata["continue"] = continue_
    if remaining is not None:
        metadata["remainingItemCount"] = remaining
    if metadata_only:
        kind, api_version = b"PartialObjectMetadataList", b"meta.k8s.io/v1"
    else:
        kind, api_version = resource.kind.encode() + b"List", resource.api_version.encode()
        if resource.custom:
            metadata = dict(sorted({"continue": "", **metadata}.items()))
            tail = b'],"kind":"%b","metadata":%b}\n' % (kind, dumps(metadata))
            return b'{"apiVersion":"%b","items":[' % api_version, tail
    head = b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (kind, api_version, dumps(metadata))
    return head, b"]}\n"


def indent(data: bytes) -> bytes:
    """Indents JSON by two spaces, as for curl and browsers."""
    return msgspec.json.format(data, indent=2)
