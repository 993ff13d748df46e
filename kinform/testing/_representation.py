"""The representation of an answer: full or metadata only, indented, compressed.

Reads the request's headers and parameters, and encodes records.
Source: content negotiation of kube-apiserver (`as=` clauses, indentation for curl and browsers).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kinform.testing import _status
from kinform.testing._encoding import metadata_form, watch_form
from kinform.testing._resources import ServedResource
from kinform.testing._storage import Record

_JSON = ("application/json", "application/*", "*/*")
_INTERACTIVE_CLIENTS = ("curl", "Wget", "Mozilla/5.0")


class Representation(msgspec.Struct, frozen=True, kw_only=True):
    """The form of an answer."""

    metadata_only: bool = False
    pretty: bool = False
    gzip: bool = False

    def item(self, record: Record) -> bytes:
        """Returns the object as an item of a LIST."""
        return metadata_form(record.body) if self.metadata_only else record.body

    def single(self, resource: ServedResource, record: Record) -> bytes:
        """Returns the object as in an event or a GET."""
        return metadata_form(record.body) if self.metadata_only else watch_form(resource, record.body)


def negotiate(headers: Mapping[str, str], params: Mapping[str, str], *, list_: bool) -> Representation:
    """Returns the requested form; raises Refusal if the server has no acceptable one."""
    partial = "PartialObjectMetadataList" if list_ else "PartialObjectMetadata"
    for clause in headers.get("Accept", "*/*").split(","):
        media_type, *rest = (part.strip() for part in clause.split(";"))
        if media_type not in _JSON:
            continue
        options = dict(part.split("=", 1) for part in rest if "=" in part)
        target = options.get("as")
        if target is None:
            metadata_only = False
        elif (target, options.get("g"), options.get("v")) == (partial, "meta.k8s.io", "v1"):
            metadata_only = True
        else:
            continue
        return Representation(
            metadata_only=metadata_only,
            pretty=wants_indent(headers, params),
            gzip="gzip" in (part.split(";")[0].strip() for part in headers.get("Accept-Encoding", "").split(",")),
        )
    raise _status.not_acceptable()


def wants_indent(headers: Mapping[str, str], params: Mapping[str, str]) -> bool:
    """Returns whether to indent: on request, and for curl, wget and browsers."""
    pretty = params.get("pretty")
    if pretty:
        return pretty in ("1", "t", "T", "true", "TRUE", "True")
    return headers.get("User-Agent", "").startswith(_INTERACTIVE_CLIENTS)
