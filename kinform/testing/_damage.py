"""Objects and frames made unsound, byte by byte, for the faults that need them.

Pure functions of bytes; who sends them is not known here.
"""

from __future__ import annotations

from kinform.testing._encoding import encode_body
from kinform.testing._faults import MalformedObject, Oversized
from kinform.testing._resources import Resource
from kinform.testing._storage import Record

BROKEN_LINE = b'}}{"type":]\n'
"""A line of a WATCH that is no event."""
BROKEN_SEPARATOR = b"}"
"""Between two items of a LIST, where a comma belongs."""


def damaged(resource: Resource, record: Record, fault: MalformedObject | Oversized) -> Record:
    """The same object as the fault leaves it."""
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
