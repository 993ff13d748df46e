"""The form in which an object is asked for: whole or metadata only, indented or not, compressed or not.

Reads headers and parameters, and turns records into the bytes of that form. Source: content negotiation of
apiserver (`as=` clauses, the pretty default for curl and browsers).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kinform.testing import _status
from kinform.testing._encoding import metadata_form, watch_form
from kinform.testing._resources import Resource
from kinform.testing._storage import Record

_JSON = ("application/json", "application/*", "*/*")
_PRETTY_AGENTS = ("curl", "Wget", "Mozilla/5.0")


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How the answer is to look."""

    metadata_only: bool = False
    pretty: bool = False
    gzip: bool = False

    def item(self, record: Record) -> bytes:
        """The object within a LIST."""
        return metadata_form(record.body) if self.metadata_only else record.body

    def single(self, resource: Resource, record: Record) -> bytes:
        """The object on its own, as in an event."""
        return metadata_form(record.body) if self.metadata_only else watch_form(resource, record.body)


def negotiate(headers: Mapping[str, str], params: Mapping[str, str], *, list_: bool) -> Shape:
    """The form asked for; raises Refusal where nothing acceptable is."""
    wanted = "PartialObjectMetadataList" if list_ else "PartialObjectMetadata"
    for clause in headers.get("Accept", "*/*").split(","):
        media, *rest = (part.strip() for part in clause.split(";"))
        if media not in _JSON:
            continue
        options = dict(part.split("=", 1) for part in rest if "=" in part)
        target = options.get("as")
        if target is None:
            metadata_only = False
        elif (target, options.get("g"), options.get("v")) == (wanted, "meta.k8s.io", "v1"):
            metadata_only = True
        else:
            continue
        return Shape(
            metadata_only=metadata_only,
            pretty=wants_indent(headers, params),
            gzip="gzip" in (part.split(";")[0].strip() for part in headers.get("Accept-Encoding", "").split(",")),
        )
    raise _status.not_acceptable()


def wants_indent(headers: Mapping[str, str], params: Mapping[str, str]) -> bool:
    """Whether the answer is for people: asked for, or from curl, wget or a browser."""
    asked = params.get("pretty")
    if asked:
        return asked in ("1", "t", "T", "true", "TRUE", "True")
    return headers.get("User-Agent", "").startswith(_PRETTY_AGENTS)
