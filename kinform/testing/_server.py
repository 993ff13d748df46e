"""The API server simulator as its owner sees it: life and death, objects, faults, asserts, waiting.

Everything but start, stop and the waiting is synchronous and takes effect at once, open streams or not.
It runs on the caller's event loop, with real sockets on loopback, and starts no thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from kinform.testing._admin import answer_order
from kinform.testing._encoding import Object, dumps, watch_form
from kinform.testing._faults import Armed, Empty, Fault, Verb
from kinform.testing._generate import generate_objects, touch
from kinform.testing._http import Handler, State
from kinform.testing._requests import Request
from kinform.testing._resources import Resource, parse_name
from kinform.testing._storage import Collection, Storage, timestamp

_HOST = "127.0.0.1"


class Server:
    """A Kubernetes API server that lives in a test: real HTTP on loopback, objects in memory.

    Serves LIST with consistent pages, WATCH from history, bookmarks, WatchList, selectors and metadata-only
    answers as kube-apiserver does, and goes wrong on demand. Known from the start are pods, namespaces,
    nodes, events, config maps, secrets and services of v1, deployments, leases and endpoint slices;
    `register` adds custom resources.

    Use it as an async context manager; leaving closes every connection and leaves no task behind. `put`
    and the like may be called before it starts, and while it is stopped. It is bound to one event loop at
    a time and is not safe to use from other threads.

    Args:
        port: The TCP port; 0 picks a free one, which is kept through `stop` and `start`.
        watch_list: Whether WatchList (sendInitialEvents) is served; otherwise it is refused with 422.
        bookmark_interval: Seconds between the bookmarks of a stream that allows them. A further one comes
            2 s before its timeout.
        token: The bearer token asked for: none at all is then answered 403, a wrong one 401. The attribute
            may be set anew at any time. None asks for none.
        history: Changes a resource keeps; older resourceVersions answer 410.
        seed: What uids and generated objects follow from. The same calls with the same seed give the same
            bytes.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        watch_list: bool = True,
        bookmark_interval: float = 60.0,
        token: str | None = None,
        history: int = 50_000,
        seed: int = 0,
    ) -> None:
        self._port = port
        self._seed = seed
        self._storage = Storage(seed=seed, history=history)
        self._state = State(self._storage, watch_list=watch_list, bookmark_interval=bookmark_interval, token=token)
        self._listener: asyncio.Server | None = None
        self._web: web.Server | None = None

    # Life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens, on the same port as before if it ran already. OSError where the port is taken.

        A server that was frozen when it died comes back thawed.
        """
        if self._listener is not None:
            return
        self.thaw()
        loop = asyncio.get_running_loop()
        self._web = web.Server(Handler(self._state, self._admin), handler_cancellation=True, access_log=None)
        self._listener = await loop.create_server(self._web, _HOST, self._port, backlog=1024)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Dies: every connection is cut where it stands, and the port is closed. The objects stay."""
        if self._listener is None or self._web is None:
            return
        self._listener.close()
        for connection in self._web.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await self._state.bell.until(lambda: not self._state.active, "the handlers to end", 10)
        await self._web.shutdown(10)
        await self._listener.wait_closed()
        self._listener = self._web = None

    def freeze(self) -> None:
        """Stops answering and sending, and closes nothing: half-open connections, as after SIGSTOP."""
        self._state.thawed.clear()

    def thaw(self) -> None:
        """Goes on after `freeze`; what was asked meanwhile is answered, what happened is sent."""
        self._state.thawed.set()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`; RuntimeError before the first start."""
        if not self._port:
            raise RuntimeError("the server has not been started")
        return f"http://{_HOST}:{self._port}"

    def write_kubeconfig(self, path: str | Path) -> Path:
        """Writes a kubeconfig, mode 0600, that names this server and its token; returns its path."""
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
        path.write_bytes(dumps(config))  # JSON is YAML
        return path

    @property
    def token(self) -> str | None:
        """The bearer token asked for, or None."""
        return self._state.token

    @token.setter
    def token(self, token: str | None) -> None:
        self._state.token = token

    # Objects

    @property
    def resource_version(self) -> str:
        """The present revision, which all resources share."""
        return str(self._storage.revision)

    @property
    def resources(self) -> list[str]:
        """The names of all resources that are served."""
        return list(self._storage.collections)

    def put(self, resource: str, obj: Mapping[str, Any]) -> str:
        """Creates the object, or replaces the one of that namespace and name.

        uid, resourceVersion and creationTimestamp are the server's to set; a namespaced object without a
        namespace goes to `default`. Each call is a write, whether or not anything differs.

        Returns:
            The resourceVersion of the write.

        Raises:
            ValueError: The object has no name, or a namespace where there are none.
            KeyError: The resource is not served.
        """
        return str(self._storage.put(self._storage.collection(resource), obj).revision)

    def delete(self, resource: str, key: str) -> str:
        """Deletes the object at `"namespace/name"` (or `"name"`); returns the resourceVersion of that.

        Raises:
            KeyError: There is no such object, or the resource is not served.
        """
        return str(self._storage.delete(self._storage.collection(resource), key).revision)

    def update(self, resource: str, key: str, mutate: Callable[[Object], None]) -> str:
        """Lets `mutate` change a copy of the object in place, and writes that; returns the resourceVersion.

        Raises:
            KeyError: There is no such object, or the resource is not served.
        """
        collection = self._storage.collection(resource)
        record = collection.records[key]
        obj = record.decode()
        mutate(obj)
        return str(self._storage.put(collection, obj).revision)

    def get(self, resource: str, key: str) -> Object | None:
        """The object as a GET gives it, or None."""
        collection = self._storage.collection(resource)
        record = collection.records.get(key)
        if record is None:
            return None
        return {
            "apiVersion": collection.resource.api_version,
            "kind": collection.resource.kind,
            **record.decode(),
        }

    def raw(self, resource: str, key: str) -> bytes | None:
        """The object's JSON as a watch event carries it, or None."""
        collection = self._storage.collection(resource)
        record = collection.records.get(key)
        return None if record is None else watch_form(collection.resource, record.body)

    def keys(self, resource: str, *, namespace: str | None = None) -> list[str]:
        """The keys of all objects, or of those in one namespace, sorted."""
        present = self._storage.collection(resource).present()
        return [record.key for record in present if namespace in (None, record.namespace)]

    def versions(self, resource: str) -> dict[str, tuple[str, str]]:
        """Uid and resourceVersion of every object by key: what a correct copy holds."""
        present = self._storage.collection(resource).present()
        return {record.key: (record.uid, str(record.revision)) for record in present}

    def generate(
        self, resource: str, n: int, *, namespace: str | Sequence[str] | None = None, seed: int | None = None
    ) -> list[str]:
        """Creates n objects of realistic shape and size: pods of about 7 KB, a third of it managedFields.

        Args:
            resource: What to make; kinds that have no shape of their own get a small one.
            n: How many.
            namespace: Where, or several to spread them over; by default a handful of names.
            seed: What they follow from; by default the server's.

        Returns:
            Their keys, in the order of creation.
        """
        collection = self._storage.collection(resource)
        places = [namespace] if isinstance(namespace, str) else namespace
        objects = generate_objects(collection, n, places, self._seed if seed is None else seed, self._storage)
        return [self._storage.put(collection, obj).key for obj in objects]

    def touch(self, resource: str, key: str) -> str:
        """Updates an object as controllers do: a condition changes, a counter rises. See `update`."""
        return self.update(resource, key, lambda obj: touch(obj, timestamp(self._storage.revision + 1)))

    def storm(self, resource: str, n: int) -> None:
        """Touches n objects, each in its turn and from the first again where there are fewer.

        Raises:
            ValueError: There are no objects.
        """
        keys = self.keys(resource)
        if n and not keys:
            raise ValueError(f"{resource} has no objects to update")
        for turn in range(n):
            self.touch(resource, keys[turn % len(keys)])

    def register(self, resource: str, *, kind: str, namespaced: bool = True) -> None:
        """Begins to serve a custom resource, as after its CRD was created."""
        group, version, plural = parse_name(resource)
        self._storage.add(
            Resource(group=group, version=version, plural=plural, kind=kind, namespaced=namespaced, custom=True)
        )

    def unregister(self, resource: str) -> None:
        """Deletes a custom resource's definition: its objects are deleted, its streams end, then 404."""
        collection = self._storage.collection(resource)
        for key in tuple(collection.records):
            self._storage.delete(collection, key)
        self.disconnect(resource)
        del self._storage.collections[resource]

    # What goes wrong

    def fault(
        self,
        fault: Fault,
        *,
        on: Verb = "any",
        times: int | None = 1,
        resource: str | None = None,
        namespace: str | None = None,
        skip: int = 0,
        when: Callable[[Request], bool] | None = None,
    ) -> None:
        """Orders a fault for requests to come. Several are met in the order in which they were ordered.

        Args:
            fault: What is to happen.
            on: `"list"`, `"watch"`, or `"any"` for both.
            times: How many requests meet it; None for all until `heal`.
            resource: Only requests for this resource.
            namespace: Only requests for this namespace, by path.
            skip: So many of these requests pass unharmed first.
            when: Only requests of which this is true (`lambda request: "continue" in request.params`).
        """
        if resource is not None:
            parse_name(resource)
        if on not in ("list", "watch", "any"):
            raise ValueError(f"on must be 'list', 'watch' or 'any': {on!r}")
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, or None: {times}")
        self._state.faults.arm(
            Armed(fault=fault, on=on, times=times, resource=resource, namespace=namespace, skip=skip, when=when)
        )

    def interrupt(self, fault: Fault, resource: str | None = None) -> int:
        """Does it to the watch streams that are open now, after what they are still to be sent.

        `after` counts from here. Returns how many streams there are.
        """
        watchers = [watcher for watcher in self._state.watchers if self._is_about(watcher.collection, resource)]
        for watcher in watchers:
            watcher.order(fault)
        return len(watchers)

    def disconnect(self, resource: str | None = None) -> int:
        """Ends the open watch streams cleanly, as at their timeout; returns how many there were."""
        return self.interrupt(Empty(), resource)

    def heal(self) -> None:
        """Cancels every fault that is still to come."""
        self._state.faults.clear()

    @property
    def faults_left(self) -> int:
        """How many requests will still meet a fault; those ordered without a limit are not counted."""
        return self._state.faults.left()

    def compact(self) -> None:
        """Forgets all history: every resourceVersion and continue token given out so far answers 410.

        Open streams go on. The compaction takes a revision for itself.
        """
        self._storage.compact()

    def bookmark(self, resource: str | None = None) -> int:
        """Sends a bookmark now on every open stream that allows them; returns how many streams there are."""
        watchers = [watcher for watcher in self._state.watchers if self._is_about(watcher.collection, resource)]
        for watcher in watchers:
            watcher.order_bookmark()
        return len(watchers)

    async def _admin(self, exchange: web.BaseRequest) -> web.Response | None:
        return await answer_order(self, exchange)

    def _is_about(self, collection: Collection, resource: str | None) -> bool:
        return resource in (None, collection.resource.name)

    # Asserts

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in the order of arrival. The list may be cleared."""
        return self._state.requests

    @property
    def watchers(self) -> int:
        """How many watch streams are open: accepted, and told of every change from now on."""
        return len(self._state.watchers)

    async def wait_for_request(
        self,
        when: Callable[[Request], bool] | None = None,
        *,
        on: Verb = "any",
        resource: str | None = None,
        count: int = 1,
        timeout: float = 10.0,
    ) -> list[Request]:
        """Waits until so many matching requests have arrived since the list was last cleared.

        Returns:
            The matching requests.

        Raises:
            TimeoutError: They did not come within so many seconds.
        """
        armed = Armed(fault=Fault(), on=on, times=None, resource=resource, namespace=None, skip=0, when=when)

        def matching() -> list[Request]:
            return [request for request in self.requests if armed.meets(request)]

        await self._state.bell.until(
            lambda: len(matching()) >= count, f"{count} requests of kind {on!r}, resource {resource}", timeout
        )
        return matching()

    async def wait_for_watchers(self, n: int, *, resource: str | None = None, timeout: float = 10.0) -> None:
        """Waits until exactly n watch streams are open; TimeoutError after so many seconds."""

        def count() -> int:
            return sum(self._is_about(watcher.collection, resource) for watcher in self._state.watchers)

        await self._state.bell.until(lambda: count() == n, f"{n} open watch streams", timeout)

    async def wait_until_sent(self, *, timeout: float = 10.0) -> None:
        """Waits until every open stream has been sent all that happened so far."""
        await self._state.bell.until(
            lambda: all(watcher.idle for watcher in self._state.watchers),
            "the open streams to be idle",
            timeout,
        )
