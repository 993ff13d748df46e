"""A list-watch state machine, and the steps that its tests take."""

from __future__ import annotations

import json

from kinform._listwatch.capabilities import Capabilities
from kinform._listwatch.frames import ListEnd
from kinform._listwatch.machine import ListWatchMachine
from kinform._options import Resource, WatchOptions
from kinform._spec import CollectionSpec
from kinform._status import Status
from kinform_ext._scan import Batch, Scanner

PODS = Resource.of("v1/pods")
EXPIRED = Status(410, "Expired")


def make_machine(
    initial="list", *, capabilities=None, scope=None, namespace=None, random=lambda: 0.0, overload_jitter=0.0, **options
):
    return ListWatchMachine(
        CollectionSpec.of(PODS, scope, options=WatchOptions(initial=initial, **options)),
        namespace or "",
        capabilities=capabilities or Capabilities(),
        random=random,
        overload_jitter=overload_jitter,
    )


def batch(*names: str, verb: str = "ADDED", resource_version: int = 10) -> Batch:
    frames = b"".join(
        json.dumps(
            {"type": verb, "object": {"metadata": {"name": name, "resourceVersion": str(resource_version + i)}}}
        ).encode()
        for i, name in enumerate(names)
    )
    (found,) = Scanner("watch").feed(frames)
    return found


def params(machine: ListWatchMachine) -> dict[str, str]:
    return dict(machine.request().params)


def listed(machine: ListWatchMachine, resource_version: str = "5") -> ListWatchMachine:
    """Lists, and requests a watch."""
    machine.request()
    machine.accepted()
    machine.take(ListEnd(resource_version))
    assert params(machine)["resourceVersion"] == resource_version
    return machine


def watching(machine: ListWatchMachine, resource_version: str = "5") -> ListWatchMachine:
    """Lists, and opens a watch."""
    listed(machine, resource_version).accepted()
    return machine


def refuse(machine: ListWatchMachine, status: Status, *, event: bool = False) -> None:
    """Refuses the request by an HTTP status, or accepts it and sends an ERROR event."""
    if event:
        machine.accepted()
        machine.take(status)
    else:
        machine.refused(status)


def close(machine: ListWatchMachine, times: int = 1, error=None, elapsed: float = 0.0) -> list[float]:
    """Ends the current watch and accepts the next. Returns the waits."""
    delays = []
    for _ in range(times):
        machine.ended(error, elapsed)
        delays.append(machine.delay)
        machine.request()
        machine.accepted()
    return delays
