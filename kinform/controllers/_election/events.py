"""Events of an election: "became leader", "stopped leading".

They are for people. A missing permission or an error never has an effect on the election. Each is one request without a
repetition: unlike those of `EventRecorder`, it must not outlive the term.
Source: client-go's `resourcelock`.
"""

from __future__ import annotations

import logging

from kinform import Connection
from kinform._errors import KinformError
from kinform.controllers._events.recorder import RESOURCE
from kinform.controllers._events.series import EventSeries, Regarding

_log = logging.getLogger("kinform.election")

REPORTER = "kinform/leader-election"
MAX_INSTANCE = 128


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
    about = Regarding("coordination.k8s.io/v1", "Lease", namespace, name, "")
    reporter = (REPORTER, identity[:MAX_INSTANCE])
    event = EventSeries(about, reporter, "Normal", "LeaderElection", "LeaderElection", f"{identity} {what}", 0.0)
    try:
        await api.create(RESOURCE, event.body(), timeout=timeout)
    except Exception as error:
        why = error if isinstance(error, KinformError) else type(error).__name__
        _log.debug("election %s: no event: %s", lease, why)
