"""The requests of an agent at its start, until it has its first complete state.

kinform's agents use the code of kinform: its state machine, and its waits. The others are models of the documented
behavior of their clients, with the default settings.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from benchmarks.fleet.simulation import RETRY_AFTER_SECONDS, Agent, Send, Sleep
from kinform import WatchOptions
from kinform._fleet import FLEET_JITTER_SECONDS, first_delay
from kinform._listwatch.capabilities import Capabilities
from kinform._listwatch.frames import Bookmark, ListEnd
from kinform._listwatch.machine import ListWatchMachine
from kinform._spec import CollectionSpec
from kinform._status import Status

RESOURCE = "v1/namespaces"
PAGE_OBJECTS = 500
FIRST_BACKOFF, MAX_BACKOFF = 0.8, 30.0
"""Seconds. client-go and kube-rs have the same."""
MAX_CLIENT_GO_RETRIES = 10
"""The number of times that client-go's REST client repeats a request after a 429, before the reflector sees it."""


def kinform(node: str, random: Random, objects: int, object_bytes: float, options: WatchOptions) -> Agent:
    """An informer of kinform on a node, without a snapshot."""
    machine = _machine(random, options)
    yield Sleep(first_delay(options.start_jitter, machine.name, node=node, age=0.0))
    while machine.state != "live":
        request = machine.request()
        pages = -(-objects // PAGE_OBJECTS)
        size = objects * object_bytes if request.watch else objects * object_bytes / pages
        if not (yield Send(size)):
            machine.refused(Status(429), retry_after=RETRY_AFTER_SECONDS)
        else:
            machine.accepted()
            machine.take(Bookmark("1", initial_events_end=True) if request.watch else ListEnd("1"))
        if machine.delay:
            yield Sleep(machine.delay)


def kinform_with_snapshot(
    node: str, random: Random, _objects: int, object_bytes: float, options: WatchOptions
) -> Agent:
    """An informer of kinform on a node, which resumes from its snapshot."""
    machine = _machine(random, options, resource_version="1")
    yield Sleep(first_delay(options.start_jitter, machine.name, node=node, age=0.0))
    while machine.state != "live":
        machine.request()
        if (yield Send(object_bytes)):
            machine.accepted()
        else:
            machine.refused(Status(429), retry_after=RETRY_AFTER_SECONDS)
            yield Sleep(machine.delay)


def _machine(random: Random, options: WatchOptions, resource_version: str = "") -> ListWatchMachine:
    return ListWatchMachine(
        CollectionSpec.of(RESOURCE, options=options),
        "",
        capabilities=Capabilities(),
        random=random.random,
        overload_jitter=FLEET_JITTER_SECONDS,
        resource_version=resource_version,
    )


def client_go(_node: str, random: Random, objects: int, object_bytes: float, _options: WatchOptions) -> Agent:
    """A reflector of client-go with WatchList.

    Its REST client repeats a request after the time in `Retry-After`, without jitter. Then the reflector waits for its
    backoff, times a random factor from 1 to 2.
    """
    failures = 0
    while True:
        for attempt in range(MAX_CLIENT_GO_RETRIES + 1):
            if attempt:
                yield Sleep(RETRY_AFTER_SECONDS)
            if (yield Send(objects * object_bytes)):
                return
        yield Sleep(min(MAX_BACKOFF, FIRST_BACKOFF * 2**failures) * (1 + random.random()))
        failures += 1


def kube_rs(_node: str, random: Random, objects: int, object_bytes: float, _options: WatchOptions) -> Agent:
    """A watcher of kube-rs with pages and the default backoff.

    It does not read `Retry-After`. A refused page starts the list again. The wait doubles; a random part of the same
    length is added.
    """
    failures, page = 0, 0
    while page < -(-objects // PAGE_OBJECTS):
        if (yield Send(PAGE_OBJECTS * object_bytes)):
            page += 1
        else:
            page = 0
            yield Sleep(min(MAX_BACKOFF, FIRST_BACKOFF * 2**failures) * (1 + random.random()))
            failures += 1


AGENTS: dict[str, Callable[[str, Random, int, float, WatchOptions], Agent]] = {
    "kinform": kinform,
    "kinform, with snapshots": kinform_with_snapshot,
    "client-go": client_go,
    "kube-rs": kube_rs,
}
