"""SharedInformer of the official client: it lists, watches and keeps a cache, in a thread of its own.

It lists without pages, lists again by itself after a 410, and then calls a handler for every object there is. It tells
nobody when its first list is complete: what it notes of that for itself is looked at. Nothing here is of asyncio,
which the client does without.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from kubernetes import client
from kubernetes.informer import ADDED, DELETED, MODIFIED, SharedInformer

from benchmarks.peers.python.peer import Peer

if TYPE_CHECKING:
    from benchmarks.harness.digest import Digest

LISTS = {"v1/pods": "list_pod_for_all_namespaces", "v1/namespaces": "list_namespace"}
LOOK = 0.005
"""Seconds between two looks whether the first list is complete."""


class Informer(Peer):
    """Mode `informer`."""

    packages = ("kubernetes", "urllib3")
    modes = ("informer",)
    resources = tuple(LISTS)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._informer: Any
        self._news = threading.Condition()
        self._awaited: int | None = None

    def connect(self) -> None:
        """Makes the client, with the configuration that the informer's Watch takes as well; and the informer."""
        client.Configuration.set_default(client.Configuration(host=self._url))
        function = getattr(client.CoreV1Api(), LISTS[self._resource])
        self._informer = SharedInformer(list_func=function)  # type: ignore[no-untyped-call]
        for verb in (ADDED, MODIFIED, DELETED):
            self._informer.add_event_handler(verb, self._event)

    def sync(self) -> None:
        """Starts the informer; returns when its first list is complete."""
        self._informer.start()
        while self._informer._resource_version is None:
            time.sleep(LOOK)

    def reach(self, *, version: str | int) -> int:
        """Returns when the handler was called for that version: how often in all."""
        with self._news:
            self._awaited = int(version)
            self._news.wait_for(lambda: self._newest >= int(version))
            self._awaited = None
        return self.calls

    def digest(self, *, whole: bool = True) -> dict[str, Any]:
        """What identifies the content of the cache."""
        return self.told(whole)

    def versions(self) -> dict[str, str]:
        """What takes part."""
        return self.taking_part()

    def gather(self, digest: Digest, whole: bool) -> None:
        """Who each object is."""
        for key in self._informer.cache.list_keys():
            metadata = self._informer.cache.get_by_key(key).metadata
            digest.add(key, metadata.uid, metadata.resource_version, metadata.labels)

    def _event(self, found: Any) -> None:
        self.handle(found.metadata.resource_version)
        # Taken for each event, the lock would be charged to the informer.
        if self._awaited is not None and self._newest >= self._awaited:
            with self._news:
                self._news.notify()


def main() -> None:
    """Obeys until its standard input ends."""
    logging.getLogger("kubernetes.informer").setLevel(logging.ERROR)  # each 410, which is ordered, is a warning
    informer = Informer(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(getattr(informer, order["do"])(**order["with"])), flush=True)


if __name__ == "__main__":
    main()
