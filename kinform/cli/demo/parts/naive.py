"""The contestant "naive loop": list, then watch, into a dict.

Uses kubernetes_asyncio and imports nothing of kinform. The loop is written as users write it, and with care, so that
mistakes do not decide the comparison. It releases the answer of a LIST once the objects are in the dict. After a 410
it lists again into a new dict, which then replaces the old one. It handles deletions. It has no pages and no pruning,
as few such loops have.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from kubernetes_asyncio import client, config, watch


def _key(obj: Any) -> str:
    metadata = obj.metadata
    return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else str(metadata.name)


class NaivePart:
    """Keeps copies of two collections in dicts of kubernetes_asyncio's models."""

    def __init__(self, *, url: str | None, kubeconfig: str | None, context: str | None) -> None:
        self._url = url
        self._kubeconfig = kubeconfig
        self._context = context
        self._copies: dict[str, dict[str, Any]] = {}
        self._versions: dict[str, int] = {}
        self._lists: dict[str, int] = {}
        self._calls: dict[str, Callable[..., Awaitable[Any]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._progressed = asyncio.Event()

    @property
    def objects(self) -> int:
        return sum(map(len, list(self._copies.values())))

    async def open(self) -> None:
        configuration = client.Configuration()
        if self._url is not None:
            configuration.host = self._url
        else:
            await config.load_kube_config(
                config_file=self._kubeconfig, context=self._context, client_configuration=configuration
            )
        self._api = client.ApiClient(configuration)
        v1 = client.CoreV1Api(self._api)
        self._calls = {"v1/pods": v1.list_pod_for_all_namespaces, "v1/namespaces": v1.list_namespace}

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._api.close()

    async def _follow(self, resource: str) -> None:
        list_all = self._calls[resource]
        while True:
            answer = await list_all()
            relisted = {_key(obj): obj for obj in answer.items}
            version = answer.metadata.resource_version
            del answer
            self._copies[resource] = objects = relisted
            del relisted
            self._lists[resource] = self._lists.get(resource, 0) + 1
            self._advance(resource, version)
            try:
                async with watch.Watch() as stream:
                    async for event in stream.stream(list_all, resource_version=version):
                        obj = event["object"]
                        if event["type"] == "DELETED":
                            objects.pop(_key(obj), None)
                        else:
                            objects[_key(obj)] = obj
                        self._advance(resource, obj.metadata.resource_version)
            except client.ApiException as error:
                if error.status != 410:
                    raise
            except aiohttp.ClientError:
                pass  # disconnected: only a new list finds the changes in between

    def _advance(self, resource: str, version: str) -> None:
        self._versions[resource] = int(version)
        self._progressed.set()

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._progressed.clear()
            progressed = asyncio.ensure_future(self._progressed.wait())
            done, _ = await asyncio.wait([progressed, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
            progressed.cancel()
            for task in done:
                task.result()

    async def sync(self) -> None:
        """Starts both loops, and returns when both lists are complete."""
        for resource in self._calls:
            self._tasks[resource] = asyncio.create_task(self._follow(resource))
        await self._wait_until(lambda: len(self._lists) == len(self._calls))

    async def catch_up(self, versions: dict[str, int]) -> None:
        """Returns when the dicts have reached these resourceVersions."""
        await self._wait_until(
            lambda: all(self._versions[resource] >= version for resource, version in versions.items())
        )

    async def relist(self) -> None:
        """Restarts both loops, as after a 410, and returns when both lists are complete."""
        before = dict(self._lists)
        for resource, task in self._tasks.items():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._tasks[resource] = asyncio.create_task(self._follow(resource))
        await self._wait_until(lambda: all(self._lists[resource] > before[resource] for resource in before))

    async def versions(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Returns uid and resourceVersion of all objects, by resource and key."""
        return {
            resource: {key: (obj.metadata.uid, obj.metadata.resource_version) for key, obj in sorted(objects.items())}
            for resource, objects in self._copies.items()
        }

    async def digest(self) -> dict[str, dict[str, Any]]:
        """Returns a digest of the versions, by resource.

        The digest of the contents is None: the models do not keep the JSON of the server.
        """
        return {
            resource: {
                "objects": len(versions),
                "versions": hashlib.sha256(
                    "".join(f"{key} {uid} {version}\n" for key, (uid, version) in versions.items()).encode()
                ).hexdigest(),
                "contents": None,
            }
            for resource, versions in (await self.versions()).items()
        }


create_part = NaivePart
