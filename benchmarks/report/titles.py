"""The titles of names that are stored in the results file.

A stored name is short, and selects a benchmark on the command line. The page shows its title. A name without a title is
shown as it is.
"""

from __future__ import annotations

import msgspec


class Group(msgspec.Struct, frozen=True):
    """The text about a group of single operations.

    Attributes:
        title: The heading.
        text: The operation, and the rows that need an explanation.
        counted: The unit of work: times are divided by its number.
    """

    title: str
    text: str = ""
    counted: str = "object"


_CODINGS = """\
Returns the JSON bytes of an object, in random order. The rows of kinform differ in the coding of the objects:

- `kinform`: all objects after the background compression.
- `not recoded`: all objects before the background compression.
- `base`: objects that are coded with a dictionary or a prefix.
- `cached exemplar`: objects that are coded as a difference to another object (the exemplar), which is in the cache.
- `uncached exemplar`: the same, but each read must also decompress the exemplar.

A dict of dicts must encode the object."""

_DROP = """\
The result is one JSON object per pod, without `managedFields`. `through dicts` decodes the body, deletes the field and
encodes each pod again. `Raw members` decodes only the metadata of a pod."""

_KEEP = """\
The result is one JSON object per pod, with its identity, `metadata.labels`, `spec.nodeName` and `status.phase`.
`through dicts` decodes the body, copies these fields and encodes them. `through structs` decodes only these fields."""

_SPLIT = """\
kinform and `Raw objects` find the start and the end of each pod. `to dicts` decodes each pod. `memcpy` only copies the
bytes, so it is a lower bound of the time."""

GROUPS = {
    "event to handler": Group(
        "Pass a watch event to a handler",
        "The events are in memory, and every pod changes. The time is from the bytes of an event to the call of the"
        " handler.\n`naive loop` decodes an event into a dict, stores the dict, and calls the handler.",
        "event",
    ),
    "drop managedFields, LIST": Group("Split a LIST and drop managedFields", _DROP),
    "drop managedFields, WATCH": Group("Split a WATCH and drop managedFields", _DROP),
    "keep three fields, LIST": Group("Split a LIST and keep three fields", _KEEP),
    "keep three fields, WATCH": Group("Split a WATCH and keep three fields", _KEEP),
    "raw": Group("Read the JSON of one object: `raw`", _CODINGS),
    "get, to a dict": Group(
        "Read one object as a dict: `get`",
        "A dict of bytes decodes the object. A dict of dicts returns the stored dict itself.",
    ),
    "get, to a small struct": Group(
        "Read one object as a small struct: `get` with a `type`", "The struct is a msgspec struct with few fields."
    ),
    "scan, LIST": Group("Split a LIST, without pruning", _SPLIT),
    "scan, WATCH": Group("Split a WATCH, without pruning", _SPLIT),
    "put": Group("Store a changed object", "Every pod changes. The body is already split into pods."),
    "relist, nothing changed": Group(
        "Store an unchanged object in a relist", "No pod changes. The body is already split into pods."
    ),
    "keys": Group("Iterate over the keys", counted="key"),
    "index look-up, keys": Group(
        "Look up keys in an index", "One look-up returns the sorted keys of all pods of a node.", "look-up"
    ),
    "iterate, to dicts": Group(
        "Iterate over all objects as dicts",
        "A dict of bytes decodes each object. A dict of dicts returns the stored dicts themselves.",
    ),
}
"""The groups of `benchmarks/micro`."""

VARIANTS = {"plain": "HTTP", "TLS": "HTTPS", "gzip": "HTTP with gzip"}
"""The variants of `benchmarks.peers.variants`."""

PARTS = {
    "kinform: slabs of records": "records of the store",
    "kinform: coder": "templates, and what the coder keeps for them",
    "zstd: compressing": "compression context of zstandard",
    "certificates": "TLS certificates",
}
"""The parts of the heap of `benchmarks.memory.holders`."""

SCOPES = {
    "everything, nothing pruned": "whole pods",
    "without managedFields (the default)": "pods without `managedFields` (the default)",
    "three fields kept": "three fields of each pod: `Prune(keep=[...])`",
    "metadata only, from the server": "metadata only, as the server sends it",
    "one namespace": "the pods of one namespace",
    "one app, by label selector": "the pods of one app, by label selector",
}
"""The scopes of `benchmarks.scope`."""

SOURCES = {"application, 140 templates": "an application with 140 templates", "several of these": "several clusters"}
"""The sources of real objects in `benchmarks.corpus.realism`."""

COLLECTIONS = {"customs": "custom resources"}
"""The kinds of generated objects."""
