"""Events of an election: "became leader", "stopped leading".

They are for people. A missing right or an error never has an effect on the election.
Source: client-go's `resourcelock`, and the Event of `events.k8s.io`.
"""

from __future__ import annotations

import datetime
import logging
import os

from kinform import Connection
from kinform._errors import KinformError
from kinform.controllers._lease import micro_time

_log = logging.getLogger("kinform.election")

EVENTS = "events.k8s.io/v1/events"
MAX_NAME = 253 - 17  # a dot and a random number follow
MAX_INSTANCE = 128
MAX_NOTE = 1024


async def report_event(api: Connection, lease: str, identity: str, what: str, timeout: float) -> None:
    """Creates an Event about a Lease. An error is logged at the level DEBUG.

    Args:
        api: The connection.
        lease: The key of the Lease.
        identity: The candidate.
        what: The end of the note: `"became leader"`.
        timeout: Seconds after which the attempt ends.
    """
    namespace, _, name = lease.partition("/")
    event = {
        "metadata": {"namespace": namespace, "name": f"{name[:MAX_NAME]}.{os.urandom(8).hex()}"},
        "eventTime": micro_time(datetime.datetime.now(datetime.UTC)),
        "type": "Normal",
        "reason": "LeaderElection",
        "action": "LeaderElection",
        "note": f"{identity} {what}"[:MAX_NOTE],
        "reportingController": "kinform/leader-election",
        "reportingInstance": identity[:MAX_INSTANCE],
        "regarding": {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "namespace": namespace,
            "name": name,
        },
    }
    try:
        await api.create(EVENTS, event, timeout=timeout)
    except Exception as error:
        why = error if isinstance(error, KinformError) else type(error).__name__
        _log.debug("election %s: no event: %s", lease, why)
