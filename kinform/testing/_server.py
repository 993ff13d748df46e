"""The API server simulator: start and stop, objects, faults, assertions.

Methods are synchronous and take effect at once, except `start`, `stop` and `wait_...`. The server runs on the caller's
event loop with real sockets on loopback, and starts no thread.
Over 400 lines: a class with all that a test calls, and its docstrings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args

from aiohttp import web

from kinform.testing._admin import answer_command
from kinform.testing._encoding import dumps, watch_form
from kinform.testing._faults import ArmedFault, Empty, Fault, RequestKind, require_fault
from kinform.testing._handler import RequestHandler, ServerState
from kinform.testing._objects.generator import Generator
from kinform.testing._objects.kinds import Object, touch
from kinform.testing._requests import RecordedRequest
from kinform.testing._resources import ServedResource, parse_name
from kinform.testing._storage import Storage, time_of
from kinform.testing._watch import WatchStream

_HOST = "127.0.0.1"
MAX_PORT = 65_535


class Server:
    """A Kubernetes API server for tests: real HTTP on loopback, objects in memory.

    Serves as kube-apiserver does: LIST with consistent pages, WATCH from an earlier resourceVersion, WatchList,
    bookmarks, selectors, answers with metadata only. Also produces faults on demand. Has these resources: `v1/pods`,
    `v1/namespaces`, `v1/nodes`, `v1/events`, `events.k8s.io/v1/events`, `v1/configmaps`, `v1/secrets`, `v1/services`,
    `v1/serviceaccounts`, `apps/v1/deployments`, `batch/v1/jobs`, `coordination.k8s.io/v1/leases`,
    `discovery.k8s.io/v1/endpointslices`, `rbac.authorization.k8s.io/v1/clusterroles`,
    `rbac.authorization.k8s.io/v1/clusterrolebindings`, `rbac.authorization.k8s.io/v1/roles` and
    `rbac.authorization.k8s.io/v1/rolebindings`. `register` adds custom resources.

    Use it as an async context manager. Its exit closes every connection and leaves no task. Objects can be written
    before the start and while it is stopped. It is bound to one event loop at a time, and is not thread-safe. Methods
    that read or write objects raise ValueError if the name of the resource is not valid, and KeyError if the server
    does not serve it.

    Args:
        port: The TCP port. 0: a free port, which stays the same after `stop` and `start`.
        watch_list: True: the server serves WatchList (sendInitialEvents). False: it refuses WatchList with 422.
        sharding: True: the server filters by `shardSelector` (KEP-5866), as with the feature gate
            `ShardedListAndWatch`. False: it ignores that parameter, and says nothing.
        bookmark_interval: Seconds between the bookmarks of a stream that allows them. One more comes 2 s before the
            timeout of the stream.
        token: The required bearer token. The server answers 403 to a request without a token, and 401 to a request
            with another token. None: no token is required. The attribute can be set at any time.
        history: Number of writes that are kept for each resource. A request with an older resourceVersion gets 410.
        seed: The seed of uids and generated objects. The same calls with the same seed give the same bytes.

    Raises:
        ValueError: `port`, `bookmark_interval` or `history` is not valid.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        watch_list: bool = True,
        sharding: bool = False,
        bookmark_interval: float = 60.0,
        token: str | None = None,
        history: int = 50_000,
        seed: int = 0,
    ) -> None:
        if not _is_integer(port) or not 0 <= port <= MAX_PORT:
            raise ValueError(f"port must be an integer from 0 to {MAX_PORT}: {port!r}")
        if not isinstance(bookmark_interval, float | int) or not bookmark_interval > 0:
            raise ValueError(f"bookmark_interval must be a positive number of seconds: {bookmark_interval!r}")
        if not _is_integer(history) or history < 0:
            raise ValueError(f"history must be a number of writes, at least 0: {history!r}")
        self._port = port
        self._seed = seed
        self._storage = Storage(seed=seed, history=history)
        self._generator = Generator()
        self._state = ServerState(
            self._storage, watch_list=watch_list, sharding=sharding, bookmark_interval=bookmark_interval, token=token
        )
        self._listener: asyncio.Server | None = None
        self._web: web.Server | None = None

    # Start and stop

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens on the same port as before; raises OSError if it is in use.

        Has no effect while the server runs, even if it is frozen. A start after `stop` ends a freeze.
        """
        if self._listener is not None:
            return
        self.thaw()
        loop = asyncio.get_running_loop()
        handler = RequestHandler(self._state, partial(answer_command, self))
        self._web = web.Server(handler, handler_cancellation=True, access_log=None)
        self._listener = await loop.create_server(self._web, _HOST, self._port, backlog=1024)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Crashes: aborts every connection and closes the port. The objects stay."""
        if self._listener is None or self._web is None:
            return
        self._listener.close()
        for connection in self._web.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await self._state.changed.wait_for(lambda: not self._state.active, "the handlers to end", 10)
        await self._web.shutdown(10)
        await self._listener.wait_closed()
        self._listener = self._web = None

    def freeze(self) -> None:
        """Stops all answers and events, but keeps connections open, as after SIGSTOP."""
        self._state.thawed.clear()

    def thaw(self) -> None:
        """Ends a freeze: answers the requests and sends the events that are waiting."""
        self._state.thawed.set()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`. Raises RuntimeError before the first start."""
        if not self._port:
            raise RuntimeError("the server has not been started")
        return f"http://{_HOST}:{self._port}"

    def write_kubeconfig(self, path: str | Path) -> Path:
        """Writes a kubeconfig for this server with mode 0600; returns its path."""
        user = {} if self.token is None else {"token": self.token}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "simulator", "cluster": {"server": self.url}}],
            "users": [{"name": "tester", "user": user}],
            "contexts": [{"name": "simulator", "context": {"cluster": "simulator", "user": "tester"}}],
            "current-context": "simulator",
        }
        path = Path(path)
        path.touch(mode=0o600)
        path.chmod(0o600)  # of a file that was there before, too
        path.write_bytes(dumps(config))  # JSON is YAML
        return path

    @property
    def token(self) -> str | None:
        """The required bearer token, or None."""
        return self._state.token

    @token.setter
    def token(self, token: str | None) -> None:
        self._state.token = token

    # Objects

    @property
    def resource_version(self) -> str:
        """The current revision, which all resources share."""
        return str(self._storage.revision)

    @property
    def resources(self) -> list[str]:
        """The names of all resources, such as `"v1/pods"`."""
        return list(self._storage.collections)

    def put(self, resource: str, obj: Mapping[str, Any]) -> str:
        """Creates an object, or replaces the one with this namespace and name.

        The server always sets resourceVersion. If it creates the object, it also sets a missing uid and a missing
        creationTimestamp. The default namespace is `default`. Each call is a write, even if the object stays the same.

        Returns:
            The resourceVersion of the write.

        Raises:
            ValueError: The object has no name, or is cluster-scoped and has a namespace.
            KeyError: The resource is not served.
        """
        return str(self._storage.put(self._storage.collection(resource), obj).revision)

    def delete(self, resource: str, key: str) -> str:
        """Deletes the object with this key, which is `"namespace/name"` or `"name"`.

        It goes at once, even if it has finalizers. Returns the resourceVersion of the deletion.

        Raises:
            KeyError: The object does not exist, or the resource is not served.
        """
        return str(self._storage.delete(self._storage.collection(resource), key).revision)

    def update(self, resource: str, key: str, mutate: Callable[[Object], None]) -> str:
        """Calls `mutate` to change a copy, writes the copy, returns the resourceVersion.

        Raises:
            KeyError: The object does not exist, or the resource is not served.
        """
        collection = self._storage.collection(resource)
        obj = collection.record(key).decode()
        mutate(obj)
        return str(self._storage.put(collection, obj).revision)

    def get(self, resource: str, key: str) -> Object | None:
        """Returns the object as in a GET, or None."""
        collection = self._storage.collection(resource)
        record = collection.records.get(key)
        if record is None:
            return None
        about = {"apiVersion": collection.resource.api_version, "kind": collection.resource.kind}
        return {**about, **record.decode()}

    def raw(self, resource: str, key: str) -> bytes | None:
        """Returns the object's JSON as in a watch event, or None."""
        collection = self._storage.collection(resource)
        record = collection.records.get(key)
        return None if record is None else watch_form(collection.resource, record.body)

    def keys(self, resource: str, *, namespace: str | None = None) -> list[str]:
        """Returns the sorted keys of all objects, or of those in one namespace."""
        records = self._storage.collection(resource).current()
        return [record.key for record in records if namespace in (None, record.namespace)]

    def versions(self, resource: str) -> dict[str, tuple[str, str]]:
        """Returns (uid, resourceVersion) of each object by key, to compare with a copy."""
        records = self._storage.collection(resource).current()
        return {record.key: (record.uid, str(record.revision)) for record in records}

    def generate(
        self, resource: str, n: int, *, namespace: str | Sequence[str] | None = None, seed: int | None = None
    ) -> list[str]:
        """Creates n realistic objects. Pods have 8 KB on average, 5 to 28 KB each.

        Args:
            resource: A built-in resource, or a custom one. Custom objects are small and have conditions.
            n: The number of objects. Later calls continue with other objects.
            namespace: One namespace, or several to use in turn. Default: the namespaces of an invented cluster.
            seed: The seed of the objects. Default: the seed of the server.

        Returns:
            Their keys, in the order of creation.

        Raises:
            ValueError: `n` is negative.
        """
        if n < 0:
            raise ValueError(f"n must be a number of objects, at least 0: {n}")
        collection = self._storage.collection(resource)
        namespaces = [namespace] if isinstance(namespace, str) else namespace
        objects = self._generator.generate(
            collection.resource.object_kind,
            n,
            seed=self._seed if seed is None else seed,
            namespaces=namespaces if collection.resource.namespaced else (),
            taken=collection.records,
        )
        return [self._storage.put(collection, obj).key for obj in objects]

    def touch(self, resource: str, key: str) -> str:
        """Updates an object as controllers do: a condition, a counter, or an annotation.

        Raises:
            KeyError: The object does not exist, or the resource is not served.
        """
        revision = self._storage.revision + 1
        return self.update(resource, key, lambda obj: touch(obj, revision, time_of(revision)))

    def storm(self, resource: str, n: int) -> None:
        """Makes n updates, in the order of the keys, again and again from the first key.

        Raises:
            ValueError: The resource has no objects.
        """
        keys = self.keys(resource)
        if n and not keys:
            raise ValueError(f"{resource} has no objects to update")
        for number in range(n):
            self.touch(resource, keys[number % len(keys)])

    def register(self, resource: str, *, kind: str, namespaced: bool = True, status_subresource: bool = False) -> None:
        """Adds a custom resource, as the creation of its CRD does.

        Args:
            resource: `"example.com/v1/widgets"`.
            kind: `"Widget"`.
            namespaced: False: its objects are cluster-scoped.
            status_subresource: True: only requests to the subresource `status` write the status, and the generation
                does not count its changes.

        Raises:
            ValueError: The name of the resource is not valid.
        """
        group, version, plural = parse_name(resource)
        self._storage.add(
            ServedResource(
                group=group,
                version=version,
                plural=plural,
                kind=kind,
                namespaced=namespaced,
                status=status_subresource,
                generation=True,
                unconditional=False,
                custom=True,
            )
        )

    def unregister(self, resource: str) -> None:
        """Removes a custom resource with its objects, and ends its streams."""
        collection = self._storage.collection(resource)
        for key in tuple(collection.records):
            self._storage.delete(collection, key)
        self.disconnect(resource)
        del self._storage.collections[resource]

    # Faults

    def fault(
        self,
        fault: Fault,
        *,
        on: RequestKind = "any",
        times: int | None = 1,
        resource: str | None = None,
        namespace: str | None = None,
        skip: int = 0,
        when: Callable[[RecordedRequest], bool] | None = None,
    ) -> None:
        """Registers a fault for later requests. A request gets the first that matches.

        Args:
            fault: The fault.
            on: The verb: `"list"`, `"watch"`, `"get"`, `"create"`, `"replace"`, `"patch"`, `"apply"` or `"delete"`.
                `"any"`: LIST and WATCH. `"write"`: each verb that writes.
            times: The number of requests that get the fault. None: all requests until `heal`.
            resource: Only requests for this resource.
            namespace: Only requests with this namespace in their path.
            skip: The number of matching requests that do not get this fault, before the first one that does.
            when: Only requests for which it returns True (`lambda request: "continue" in request.params`).

        Raises:
            ValueError: `fault`, `on`, `times`, `resource` or `skip` is not valid.
        """
        if resource is not None:
            parse_name(resource)
        if on not in get_args(RequestKind):
            raise ValueError(f"on must be one of {', '.join(get_args(RequestKind))}: {on!r}")
        self._state.faults.arm(
            ArmedFault(fault=fault, on=on, times=times, resource=resource, namespace=namespace, skip=skip, when=when)
        )

    def interrupt(self, fault: Fault, resource: str | None = None) -> int:
        """Applies a fault to the open watch streams, after the events that wait now.

        Before the fault, `after` more events are sent. Returns the number of streams that get the fault.

        Raises:
            ValueError: `fault` is not an object of a class of faults.
        """
        require_fault(fault)
        streams = self._streams(resource)
        for stream in streams:
            stream.queue_fault(fault)
        return len(streams)

    def disconnect(self, resource: str | None = None) -> int:
        """Ends the open watch streams cleanly, as at their timeout; returns their number."""
        return self.interrupt(Empty(), resource)

    def heal(self) -> None:
        """Removes all faults."""
        self._state.faults.clear()

    @property
    def faults_left(self) -> int:
        """The number of requests that can still get a fault, not counting `times=None`."""
        return self._state.faults.left()

    def compact(self) -> None:
        """Drops all history: earlier resourceVersions and continue tokens get 410.

        Open streams continue. The compaction increments the revision by one.
        """
        self._storage.compact()

    def bookmark(self, resource: str | None = None) -> int:
        """Sends a bookmark to the open watches that allow bookmarks.

        Args:
            resource: The resource of the watches. None: all resources.

        Returns:
            The number of open watches of the resource, also of those that do not allow bookmarks.
        """
        streams = self._streams(resource)
        for stream in streams:
            stream.queue_bookmark()
        return len(streams)

    def _streams(self, resource: str | None) -> list[WatchStream]:
        return [each for each in self._state.streams if resource in (None, each.collection.resource.name)]

    # Assertions

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests in the order of arrival. You may clear the list."""
        return self._state.requests

    @property
    def watchers(self) -> int:
        """The number of open watch streams. They get every later write."""
        return len(self._state.streams)

    async def wait_for_request(
        self,
        when: Callable[[RecordedRequest], bool] | None = None,
        *,
        on: RequestKind = "any",
        resource: str | None = None,
        count: int = 1,
        timeout: float = 10.0,
    ) -> list[RecordedRequest]:
        """Waits until `requests` has `count` matching requests; returns all that match.

        Raises:
            TimeoutError: The requests did not arrive within `timeout` seconds.
        """
        match = ArmedFault(fault=Fault(), on=on, times=None, resource=resource, namespace=None, skip=0, when=when)

        def matching() -> list[RecordedRequest]:
            return [request for request in self.requests if match.matches(request)]

        await self._state.changed.wait_for(
            lambda: len(matching()) >= count, f"{count} requests of kind {on!r}, resource {resource}", timeout
        )
        return matching()

    async def wait_for_watchers(self, n: int, *, resource: str | None = None, timeout: float = 10.0) -> None:
        """Waits until n watches are open; raises TimeoutError after `timeout` seconds."""
        await self._state.changed.wait_for(
            lambda: len(self._streams(resource)) == n, f"{n} open watch streams", timeout
        )

    async def wait_until_sent(self, *, timeout: float = 10.0) -> None:
        """Waits until all events are sent; raises TimeoutError after `timeout` seconds."""
        await self._state.changed.wait_for(
            lambda: all(stream.idle for stream in self._state.streams), "the open streams to be idle", timeout
        )


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
