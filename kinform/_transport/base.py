"""One HTTP request of the list-watch protocol, as data.

The state machine makes them, a transport sends them; neither knows the other.
"""

from __future__ import annotations

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A GET for a collection.

    Attributes:
        path: Absolute path on the API server, `"/api/v1/namespaces/shop/pods"`.
        params: Query parameters in order, not yet escaped.
        accept: The Accept header.
        gzip: Invite a gzip body; otherwise `identity` is asked for. Has no effect on a watch.
        watch: The answer is a stream of frames without an end of its own.
    """

    path: str
    params: tuple[tuple[str, str], ...]
    accept: str = "application/json"
    gzip: bool = False
    watch: bool = False
