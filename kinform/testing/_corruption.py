"""Corrupt objects and frames, for the faults that send them."""

from __future__ import annotations

from kinform.testing._encoding import encode_body
from kinform.testing._faults import MalformedObject, Oversized
from kinform.testing._resources import ServedResource
from kinform.testing._storage import Record

MALFORMED_LINE = b'}}{"type":]\n'
"""A line of a WATCH that is not an event."""
MALFORMED_SEPARATOR = b"}"
"""Sent between two items of a LIST, in the place of a comma."""


def corrupted(resource: ServedResource, record: Record, fault: MalformedObject | Oversized) -> Record:
    """Returns the object as changed by the fault."""
    match fault:
        case Oversized():
            obj = record.decode()
            annotations = obj["metadata"].get("annotations") or {}
            obj["metadata"]["annotations"] = {**annotations, "kinform.testing/padding": "x" * fault.bytes}
            body = encode_body(resource, obj)
        case MalformedObject(readable_key=True):
            body = record.body[:-1] + b',"damaged":tru}'
        case _:
            name = record.name.encode()
            body = record.body.replace(b'"name":"%b"' % name, b'"name":%b' % name, 1)
    return Record(record.namespace, record.name, record.uid, record.revision, body)
