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


_RAW = """\
Returns the JSON bytes of an object. kinform copies them from a template, and fills in what differs; the template is in
the cache, or is built first. A dict of bytes returns the stored bytes. A dict of dicts must encode the object."""

_FORMS = """\
Returns the JSON bytes of an object by its id, in random order. The rows differ in how kinform has encoded the object:

- `sibling`: as its differences from a template, without being one itself.
- `template`: as a template of other objects. Many templates are encoded as their differences from another one.
- `frame`: as a zstandard frame, because it resembles no template."""

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
    "raw, key order": Group("Read the JSON of one object, in key order: `raw`", _RAW),
    "raw, random order": Group("Read the JSON of one object, in random order: `raw`"),
    "raw, namespaces": Group("Read the JSON of one namespace, in random order: `raw`"),
    "decode": Group("Read the JSON of one object, by its form", _FORMS),
    "get, to a dict, key order": Group(
        "Read one object as a dict, in key order: `get`",
        "A dict of bytes decodes the object. A dict of dicts returns the stored dict itself.",
    ),
    "get, to a dict, random order": Group("Read one object as a dict, in random order: `get`"),
    "get, to a small struct, key order": Group(
        "Read one object as a small struct, in key order: `get` with a `type`",
        "The struct is a msgspec struct with few fields.",
    ),
    "get, to a small struct, random order": Group(
        "Read one object as a small struct, in random order: `get` with a `type`"
    ),
    "sort all objects": Group(
        "Sort all objects by time, as at each poll",
        "A dict of dicts sorts the stored dicts themselves. With a cache of all decoded objects, kinform reads them"
        " again without decoding.",
    ),
    "scan, LIST": Group("Split a LIST, without pruning", _SPLIT),
    "scan, WATCH": Group("Split a WATCH, without pruning", _SPLIT),
    "put, new pods": Group(
        "Store a new object", "The store is empty and has no index. The body is already split into pods."
    ),
    "put, new namespaces": Group("Store a new namespace", "The same, with namespaces."),
    "put, changed pods": Group("Store a changed object", "Every pod changes. The body is already split into pods."),
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

VARIANTS = {"plain": "plain HTTP", "TLS": "TLS", "gzip": "plain HTTP with gzip"}
"""The variants of `benchmarks.peers.variants`."""

PARTS = {
    "kinform: slabs of records": "records of the store",
    "kinform: coder": "templates, and what the coder keeps for them",
    "zstd: compressing": "compression context of zstandard",
    "certificates": "TLS certificates",
}
"""The parts of the heap of `benchmarks.memory.holders`."""

SCOPES = {
    "everything, nothing pruned": "whole objects",
    "without managedFields (the default)": "without `managedFields` (the default)",
    "some fields kept": "some fields: `Prune(keep=[...])`",
    "the fields of a type": "the fields of a type: `Prune.from_type(...)`",
    "metadata only, from the server": "metadata only, as the server sends it",
    "a quarter shard, filtered by kinform": "a quarter shard: `Scope(shard=(1, 4))`",
    "by label selector": "objects with a label: `Scope(label_selector=...)`",
    "on demand": "objects that are read: `OnDemand`",
    "one namespace": "one namespace: `Scope(namespaces=[...])`",
}
"""The scopes of `benchmarks.scope`."""

SOURCES = {"application, 140 templates": "an application with 140 templates", "several of these": "several clusters"}
"""The sources of real objects in `benchmarks.corpus.realism`."""

COLLECTIONS = {"customs": "custom resources"}
"""The kinds of generated objects."""

SIZE_TITLES = {
    "pruned": "JSON",
    "dictionary": "with a dictionary",
    "updated": "total after updates",
    "total/xz": "ratio to xz",
}
"""The titles of the sizes of `benchmarks.store.blobs`, where they differ from the names."""

TIME_TITLES = {
    "put_us": "write",
    "alone_us": "alone: encode",
    "dictionary_us": "with a dictionary: encode",
    "raw_us": "`raw`, key order",
    "raw_random_us": "`raw`, random order",
    "dict_random_us": "`get` to a dict, random order",
    "struct_random_us": "`get` to a small struct, random order",
    "dictionary_read_us": "with a dictionary: decode",
}
"""The titles of the times of `benchmarks.store.blobs`."""

ADVERSARIAL = {
    "drifting": "each object differs a little from the one before",
    "shuffled": "the same members in another order",
    "strings": "a string of 1 MiB",
    "words": "64 KiB of short words",
    "random": "nothing repeats",
}
"""The collections of `benchmarks.store.adversarial`."""
