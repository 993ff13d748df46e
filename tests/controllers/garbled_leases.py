"""Fields of Leases that a third party has garbled, removed or moved in time."""

from __future__ import annotations

from typing import Any

GARBLED: list[dict[str, Any]] = [
    {"holderIdentity": None},
    {"holderIdentity": ""},
    {"leaseDurationSeconds": 1},
    {"leaseDurationSeconds": None, "renewTime": None},
    {"leaseTransitions": 0},
    {"leaseTransitions": None, "acquireTime": None},
    {"renewTime": "1970-01-01T00:00:00.000000Z"},
    {"renewTime": "2999-01-01T00:00:00.000000Z"},
]
