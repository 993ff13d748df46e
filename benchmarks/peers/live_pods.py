"""The pods of a real kube-apiserver without controllers: they change only here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import msgspec

from benchmarks.corpus import Object, make
from benchmarks.harness.digest import Digest, Identity
from tests.support.controlplane.plane import ControlPlane

T = TypeVar("T")
R = TypeVar("R")

CONCURRENCY = 32
LABEL = "kinform.example/update"


class Refused(Exception):
    """The API server refused a request."""


class _Named(Identity):
    namespace: str = ""
    name: str = ""


class _Pod(msgspec.Struct, gc=False):
    metadata: _Named


class _PodList(msgspec.Struct):
    items: list[_Pod]


class LivePods:
    """The pods of a control plane."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._paths: list[str] = []
        self._updates = 0
        self._digest: tuple[dict[str, Any], int] | None = None

    def create(self, count: int, seed: int) -> None:
        """Creates generated pods.

        Each needs two requests: one creates it, and the other writes its status.
        """
        asyncio.run(self._create(make("pods", count, seed)[1]))

    async def _create(self, pods: list[Object]) -> None:
        async with self._session() as session:
            for name in sorted({pod["metadata"]["namespace"] for pod in pods} - {"default", "kube-system"}):
                await _send(session, "POST", "/api/v1/namespaces", {"metadata": {"name": name}}, (201, 409))
            classes = {pod["spec"].get("priorityClassName"): pod["spec"].get("priority", 0) for pod in pods}
            for name, value in sorted((name, value) for name, value in classes.items() if name):
                body = {"metadata": {"name": name}, "value": value}
                await _send(session, "POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body, (201, 409))

            async def create(pod: Object) -> str:
                path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"
                created = msgspec.json.decode(await _send(session, "POST", path, _new(pod), (201,)))
                created["status"] = pod["status"]
                path += f"/{created['metadata']['name']}"
                await _send(session, "PUT", f"{path}/status", created, (200,))
                return path

            self._paths = await _all(create, pods)

    def update(self, count: int) -> str:
        """Changes a label of `count` pods, each by its own request.

        Returns the newest version.
        """
        self._updates += 1
        self._digest = None
        return asyncio.run(self._update(self._paths[:count], {"metadata": {"labels": {LABEL: str(self._updates)}}}))

    async def _update(self, paths: list[str], patch: Object) -> str:
        async with self._session() as session:

            async def update(path: str) -> int:
                body = await _send(session, "PATCH", path, patch, (200,))
                return int(msgspec.json.decode(body, type=_Pod).metadata.resourceVersion)

            return str(max(await _all(update, paths)))

    def digest(self) -> tuple[dict[str, Any], int]:
        """Returns the digest of the pods, and their size as JSON in one LIST."""
        if self._digest is not None:
            return self._digest
        body, digest = asyncio.run(self._list()), Digest()
        for pod in msgspec.json.decode(body, type=_PodList).items:
            found = pod.metadata
            digest.add(f"{found.namespace}/{found.name}", found.uid, found.resourceVersion, found.labels)
        self._digest = digest.result(), len(body)
        return self._digest

    async def _list(self) -> bytes:
        async with self._session() as session, session.get("/api/v1/pods") as response:
            return await response.read()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        headers = {"Authorization": f"Bearer {self._plane.tokens['admin']}"}
        connector = aiohttp.TCPConnector(ssl=self._plane.tls_context(), limit=CONCURRENCY)
        async with aiohttp.ClientSession(self._plane.url, headers=headers, connector=connector) as session:
            yield session


def _new(pod: Object) -> Object:
    """The pod as its creator sends it."""
    kept = ("name", "namespace", "labels", "annotations", "ownerReferences")
    metadata = {name: value for name, value in pod["metadata"].items() if name in kept}
    defaulted = ("priority", "preemptionPolicy")  # the server sets these
    return {"metadata": metadata, "spec": {name: value for name, value in pod["spec"].items() if name not in defaulted}}


async def _all(work: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """Works on all items, some at once."""
    concurrent = asyncio.Semaphore(CONCURRENCY)

    async def limited(item: T) -> R:
        async with concurrent:
            return await work(item)

    return await asyncio.gather(*map(limited, items))


async def _send(session: aiohttp.ClientSession, method: str, path: str, body: Object, good: tuple[int, ...]) -> bytes:
    form = "application/merge-patch+json" if method == "PATCH" else "application/json"
    headers = {"Content-Type": form}
    async with session.request(method, path, data=msgspec.json.encode(body), headers=headers) as response:
        found = await response.read()
        if response.status not in good:
            raise Refused(f"{method} {path}: {response.status}: {msgspec.json.decode(found).get('message')}")
        return found
