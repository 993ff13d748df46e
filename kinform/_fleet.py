"""A fleet: processes on every node that start at once, as after a rollout.

A process belongs to a fleet if its environment names its node. The usual source is `spec.nodeName` by the downward API.
"""

from __future__ import annotations

import os
import time
from binascii import crc32

from kinform._jitter import random_fraction

NODE_VARIABLES = ("NODE_NAME", "K8S_NODE_NAME", "KUBE_NODE_NAME", "KUBERNETES_NODE_NAME")
"""The environment variables that may have the name of the node. The first one that is set counts."""
FLEET_JITTER_SECONDS = 20.0
"""Seconds over which a fleet spreads its first requests by default, and its requests after a 429."""

_STARTED = time.monotonic()


def node_name() -> str:
    """Returns the name of the node; `""` if the environment has none."""
    return next((found for name in NODE_VARIABLES if (found := os.environ.get(name))), "")


def process_age() -> float:
    """Returns the seconds since the import of kinform."""
    return time.monotonic() - _STARTED


def first_delay(start_jitter: float | None, stream: str, *, node: str, age: float) -> float:
    """Returns the seconds before the first request of a stream.

    On a node the part of the jitter follows from the names of the node and of the stream: it is the same at each start.
    Elsewhere it is random.

    Args:
        start_jitter: Seconds over which the first requests are spread. None: what is left of FLEET_JITTER_SECONDS after
            the start of the process if it belongs to a fleet, otherwise 0.
        stream: The name of the stream.
        node: The name of the node, or `""`.
        age: Seconds since the start of the process.
    """
    if start_jitter is None:
        start_jitter = max(0.0, FLEET_JITTER_SECONDS - age) if node else 0.0
    if not start_jitter:
        return 0.0
    return start_jitter * (crc32(f"{node} {stream}".encode()) / (1 << 32) if node else random_fraction())
