"""The naive loop over kubernetes_asyncio, as its users write it: list, then watch, into a dict.

Nothing of kinform is imported here. It is written with care, so that it loses by what it is and not by
mistakes: the answer of a list is let go once it is in the dict, a 410 is answered by a new list into a new
dict that then takes the old one's place, and deletions are seen. What it does not do, few do: pages, pruning.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from kubernetes_asyncio import client, config, watch


def _key(found: Any) -> str:
    metadata = found.metadata
    return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else str(metadata.name)


class Naive:
    """Copies of two collections, in dicts of kubernetes_asyncio's models."""

    def __init__(self, *, url: str | None, kubeconfig: str | None, context: str | None) -> None:
        self._url = url
        self._kubeconfig = kubeconfig
        self._context = context
        self._copies: dict[str, dict[str, Any]] = {}
        self._seen: dict[str, int] = {}
        self._lists: dict[str, int] = {}
        self._calls: dict[str, Callable[..., Awaitable[Any]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()

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
            fresh = {_key(found): found for found in answer.items}
            version = answer.metadata.resource_version
            del answer
            self._copies[resource] = objects = fresh
            del fresh
            self._lists[resource] = self._lists.get(resource, 0) + 1
            self._reached(resource, version)
            try:
                async with watch.Watch() as stream:
                    async for event in stream.stream(list_all, resource_version=version):
                        found = event["object"]
                        if event["type"] == "DELETED":
                            objects.pop(_key(found), None)
                        else:
                            objects[_key(found)] = found
                        self._reached(resource, found.metadata.resource_version)
            except client.ApiException as error:
                if error.status != 410:
                    raise
            except aiohttp.ClientError:
                pass  # cut off: what was missed in between only a list can tell

    def _reached(self, resource: str, version: str) -> None:
        self._seen[resource] = int(version)
        self._news.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            done, _ = await asyncio.wait([news, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            for task in done:
                task.result()

    # Orders

    async def sync(self) -> None:
        """Starts, and returns when both collections are there."""
        for resource in self._calls:
            self._tasks[resource] = asyncio.create_task(self._follow(resource))
        await self._until(lambda: len(self._lists) == len(self._calls))

    async def catch_up(self, versions: dict[str, int]) -> None:
        """Returns when the changes up to these resourceVersions are in the dicts."""
        await self._until(lambda: all(self._seen[resource] >= version for resource, version in versions.items()))

    async def relist(self) -> None:
        """Lists anew, as after a 410, and returns when the new dicts are there."""
        before = dict(self._lists)
        for resource, task in self._tasks.items():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._tasks[resource] = asyncio.create_task(self._follow(resource))
        await self._until(lambda: all(self._lists[resource] > before[resource] for resource in before))

    async def versions(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Key to uid and resourceVersion of all that it holds."""
        return {
            resource: {
                key: (found.metadata.uid, found.metadata.resource_version) for key, found in sorted(objects.items())
            }
            for resource, objects in self._copies.items()
        }

    async def digest(self) -> dict[str, dict[str, Any]]:
        """What identifies the objects it holds. The models do not keep what was sent: no digest of contents."""
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


make = Naive
