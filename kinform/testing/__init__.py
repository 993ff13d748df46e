"""A Kubernetes API server simulator for tests: HTTP on loopback, with faults.

    async with kinform.testing.Server() as server:
        server.generate("v1/pods", 1_000)
        server.fault(kinform.testing.Gone(), on="watch")
        ...                                 # connect any client to server.url
        assert server.requests[0].params["limit"] == "500"

The server answers LIST, WATCH, WatchList, bookmarks, selectors and metadata-only requests as kube-apiserver does, to
any client. `python -m kinform.testing` runs it in a process of its own. It does no admission, defaulting, validation,
discovery or RBAC: it serves objects as they are written. Only a namespace also gets the label
`kubernetes.io/metadata.name`, as on every server. It carries out writes over HTTP, with patches, server-side apply,
preconditions and finalizers.
"""

from kinform.testing._admin import digest
from kinform.testing._controllers import at_most, settled, writes
from kinform.testing._faults import (
    Answer,
    BookmarkWithoutEnd,
    Break,
    Conflict,
    CutMidObject,
    Empty,
    Fault,
    Forbidden,
    Gone,
    Hangup,
    InternalError,
    Invalid,
    LateBookmark,
    LostResponse,
    MalformedFrame,
    MalformedObject,
    NoBookmark,
    NotFound,
    Oversized,
    ResourceVersionTooLarge,
    ShortPage,
    Stall,
    TooManyRequests,
    Trickle,
    Unauthorized,
    Unavailable,
)
from kinform.testing._requests import RecordedRequest
from kinform.testing._server import Server

__all__ = [
    "Answer",
    "BookmarkWithoutEnd",
    "Break",
    "Conflict",
    "CutMidObject",
    "Empty",
    "Fault",
    "Forbidden",
    "Gone",
    "Hangup",
    "InternalError",
    "Invalid",
    "LateBookmark",
    "LostResponse",
    "MalformedFrame",
    "MalformedObject",
    "NoBookmark",
    "NotFound",
    "Oversized",
    "RecordedRequest",
    "ResourceVersionTooLarge",
    "Server",
    "ShortPage",
    "Stall",
    "TooManyRequests",
    "Trickle",
    "Unauthorized",
    "Unavailable",
    "at_most",
    "digest",
    "settled",
    "writes",
]
