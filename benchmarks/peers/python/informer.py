"""SharedInformer of the official client, with its cache, in its own thread.

It lists without pages. After a 410 it lists again and calls a handler for every object. It has no notification for the
end of the first list: this program polls a private attribute. It does not use asyncio, as the client does not.
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
POLL_SECONDS = 0.005
"""The interval of checks whether the first list is complete."""


class Informer(Peer):
    """Mode `informer`."""

    packages = ("kubernetes", "urllib3")
    modes = ("informer",)
    resources = tuple(LISTS)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._informer: Any
        self._reached = threading.Condition()
        self._awaited: int | None = None

    def connect(self) -> None:
        """Creates the client and the informer, and sets the configuration of its Watch."""
        configuration = client.Configuration(host=self._url)
        if self._ca:
            configuration.ssl_ca_cert = self._ca
        if self._token:
            configuration.api_key["BearerToken"] = f"Bearer {self._token}"
        client.Configuration.set_default(configuration)
        function = getattr(client.CoreV1Api(), LISTS[self._resource])
        self._informer = SharedInformer(list_func=function)  # type: ignore[no-untyped-call]
        for verb in (ADDED, MODIFIED, DELETED):
            self._informer.add_event_handler(verb, self._event)

    def sync(self) -> None:
        """Starts the informer. Returns when its first list is complete."""
        self._informer.start()
        while self._informer._resource_version is None:
            time.sleep(POLL_SECONDS)

    def reach(self, *, version: str | int) -> int:
        """Waits until the handler was called for this version.

        Returns the number of calls so far.
        """
        with self._reached:
            self._awaited = int(version)
            self._reached.wait_for(lambda: self._newest >= int(version))
            self._awaited = None
        return self.calls

    def digest(self, *, whole: bool = True) -> dict[str, Any]:
        """Returns the digest of the cache."""
        return self.digest_of_store(whole)

    def versions(self) -> dict[str, str]:
        """Returns the versions of Python and of the packages."""
        return self.package_versions()

    def add_to(self, digest: Digest, whole: bool) -> None:
        """Adds the identity of each object."""
        for key in self._informer.cache.list_keys():
            metadata = self._informer.cache.get_by_key(key).metadata
            digest.add(key, metadata.uid, metadata.resource_version, metadata.labels)

    def _event(self, found: Any) -> None:
        self.handle(found.metadata.resource_version)
        # Taking the lock for each event would add to the measured CPU time.
        if self._awaited is not None and self._newest >= self._awaited:
            with self._reached:
                self._reached.notify()


def main() -> None:
    """Carries out commands until standard input ends."""
    logging.getLogger("kubernetes.informer").setLevel(logging.ERROR)  # it logs a warning for each intended 410
    informer = Informer(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(getattr(informer, command["do"])(**command["with"])), flush=True)


if __name__ == "__main__":
    main()
