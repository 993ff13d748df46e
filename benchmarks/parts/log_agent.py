"""A log agent in a process of its own, like that of docs/howto/on-demand.md."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

import kinform
from benchmarks.harness.commands import carry_out


class LogAgent:
    """The commands: each is a public method."""

    def __init__(self, *, url: str, ca: str | None, node: str) -> None:
        self._url, self._ca, self._node = url, ca, node
        self._stack = AsyncExitStack()
        self._pods: kinform.Informer
        self._namespaces: kinform.OnDemand

    async def start(self) -> list[str]:
        """Starts, and reads the labels of all pods. Returns the keys of the pods."""
        api = await self._stack.enter_async_context(kinform.connect(self._url, ca=self._ca))
        labels = kinform.Prune(keep=["metadata.labels"])
        scope = kinform.Scope(field_selector=kinform.Selector.fields({"spec.nodeName": self._node}))
        self._pods = kinform.Informer(api, "v1/pods", scope=scope, prune=labels)
        self._namespaces = kinform.OnDemand(api, "v1/namespaces", prune=labels)
        for each in (self._pods, self._namespaces):
            await self._stack.enter_async_context(each)
        await self._pods.synced()
        keys = list(self._pods.store.keys())
        await asyncio.gather(*(self.labels(pod=key) for key in keys))
        return keys

    async def labels(self, *, pod: str) -> dict[str, dict[str, str]]:
        """Returns the labels of a pod and of its namespace, as for each line of its log."""
        found = self._pods.store.get(pod)
        namespace = await self._namespaces.get(pod.partition("/")[0])
        assert found is not None
        assert namespace is not None
        return {"pod": found["metadata"]["labels"], "namespace": namespace["metadata"]["labels"]}

    async def end(self) -> None:
        """Stops the agent."""
        await self._stack.aclose()


async def main(options: dict[str, Any]) -> None:
    """Carries out commands until standard input ends."""
    await carry_out(LogAgent(**options))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
