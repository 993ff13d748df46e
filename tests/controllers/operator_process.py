"""The widget operator of docs/examples as a process, and its two servers.

At the simulator and at a real kube-apiserver: with the manifests of the example, and at the real server with the token
of its service account and the rights of its role.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from tests.docs.markdown import DOCS, ROOT
from tests.support.admin import path_of
from tests.support.clusters import Cluster, RealCluster, SimCluster
from tests.support.kubeconfig import write_kubeconfig
from tests.support.waiting import until

EXAMPLE = DOCS / "examples" / "widget-operator"
WIDGETS, MAPS = "example.com/v1/widgets", "v1/configmaps"
ACCOUNT = "system:serviceaccount:widget-operator:widget-operator"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [ACCOUNT]}, {"level": "None"}],
}
AT_ONCE = 20
MERGE = {"Content-Type": "application/merge-patch+json"}

Object = dict[str, Any]


class Process:
    """The operator. It keeps its port and its name when it is started again."""

    def __init__(self, kubeconfig: Path, pod: str = "pod-0") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PORT": str(self._port)}
        self._environment |= {"PYTHONPATH": str(ROOT), "POD_NAME": pod}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it, and returns when it is ready."""
        program = str(EXAMPLE / "widget_operator.py")
        self._process = await asyncio.create_subprocess_exec(sys.executable, "-P", program, env=self._environment)
        await until(lambda: self.answer("/readyz")[0] == 200, within=60)

    async def stop(self) -> int:
        """Sends SIGTERM, and returns the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            return await self._process.wait()

    async def kill(self) -> None:
        """Sends SIGKILL, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def answer(self, path: str) -> tuple[int, str]:
        """Returns the status and the body of an answer; status 0 without an answer."""
        try:
            with urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except URLError as error:
            return getattr(error, "code", 0), ""
        except ConnectionError:
            return 0, ""


@dataclass
class Setting(ABC):
    """A cluster with the operator's resources, and what it has written."""

    cluster: Cluster
    kubeconfig: Path

    @abstractmethod
    def requests(self) -> list[tuple[str, str]]:
        """Returns verb and path of the operator's requests so far, also of refused ones.

        Without those of its election.
        """

    def writes(self) -> list[tuple[str, str]]:
        """Returns the requests that were writes."""
        return [(verb, path) for verb, path in self.requests() if verb not in ("get", "list", "watch")]

    async def put(self, name: str, size: int) -> None:
        """Creates a Widget."""
        about = {"apiVersion": "example.com/v1", "kind": "Widget"}
        await self.cluster.create(name, WIDGETS, spec={"size": size, "color": "blue"}, **about)

    async def burst(self, number: int) -> None:
        """Creates Widgets at once: `w-0`, `w-1`, ..."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def put(index: int) -> None:
            async with limit:
                await self.put(f"w-{index}", index % 100 + 1)

        await asyncio.gather(*(put(index) for index in range(number)))

    async def patch(self, resource: str, name: str, content: Object) -> None:
        """Changes an object as a user would, with a merge patch."""
        path = f"{path_of(resource, self.cluster.namespace)}/{name}"
        answer = await self.cluster.api.request("PATCH", path, headers=MERGE, body=content)
        assert answer.status == 200, answer.body

    async def wrong(self) -> list[str]:
        """Returns the Widgets without the right ConfigMap or status."""
        maps = {each["metadata"]["name"]: each for each in await self._list(MAPS)}
        wrong = []
        for widget in await self._list(WIDGETS):
            name = f"{widget['metadata']['name']}-widget"
            found = maps.get(name, {"metadata": {}})
            about = found["metadata"]
            owners = [owner["uid"] for owner in about.get("ownerReferences", [])]
            right = (
                found.get("data") == {"size": str(widget["spec"]["size"]), "color": widget["spec"]["color"]}
                and owners == [widget["metadata"]["uid"]]
                and about.get("labels") == {"app.kubernetes.io/managed-by": "widget-operator"}
                and widget.get("status", {}).get("observedGeneration") == widget["metadata"]["generation"]
            )
            if not right:
                wrong.append(name)
        return wrong

    async def converged(self, number: int, within: float = 90.0) -> None:
        """Waits until a number of Widgets exist, and all are right."""

        async def right() -> bool:
            return len(await self._list(WIDGETS)) == number and not await self.wrong()

        await until(right, within=within)

    async def _list(self, resource: str) -> list[Object]:
        listed = await self.cluster.api.list_raw(resource, namespace=self.cluster.namespace)
        # Soon after its start, a kube-apiserver does not serve custom resources yet.
        return list(listed.json()["items"]) if listed.status == 200 else []


class SimSetting(Setting):
    """A simulator."""

    def requests(self) -> list[tuple[str, str]]:
        """Reads the requests with a user agent of kinform, since the test sends some, too."""
        assert isinstance(self.cluster, SimCluster)
        found = self.cluster.server.requests
        sent = [(each.verb, each.path) for each in found if "kinform" in each.headers.get("User-Agent", "")]
        return _without_election(sent)


class RealSetting(Setting):
    """A real kube-apiserver with an audit log."""

    def __init__(self, cluster: RealCluster, kubeconfig: Path, audit: Path) -> None:
        super().__init__(cluster, kubeconfig)
        self._audit = audit
        self._earlier = len(audit.read_text().splitlines())

    def requests(self) -> list[tuple[str, str]]:
        """Reads the audit log since the start of the test.

        A watch has two entries: its start and its end.
        """
        events = [json.loads(line) for line in self._audit.read_text().splitlines()[self._earlier :]]
        return _without_election([(each["verb"], each["requestURI"]) for each in events])


@asynccontextmanager
async def running(setting: Setting, pod: str = "pod-0") -> AsyncIterator[Process]:
    """Runs the operator in the block."""
    process = Process(setting.kubeconfig, pod)
    try:
        await process.start()
        yield process
    finally:
        await process.kill()


async def sim_setting(cluster: SimCluster) -> Setting:
    """Registers the resource at a simulator."""
    cluster.server.register(WIDGETS, kind="Widget", status_subresource=True)
    return SimSetting(cluster, cluster.kubeconfig)


async def real_setting(cluster: RealCluster, audit: Path, folder: Path) -> Setting:
    """Applies the manifests, and writes a kubeconfig for the service account."""
    for name in ("crd.yaml", "rbac.yaml"):
        for manifest in yaml.safe_load_all((EXAMPLE / name).read_text()):
            answer = await cluster.api.request("POST", _collection_of(manifest), body=manifest)
            assert answer.status in (201, 409), answer.body  # 409: an earlier test has created it

    async def served() -> bool:
        return (await cluster.api.list_raw(WIDGETS)).status == 200

    await until(served, within=30)
    path = "/api/v1/namespaces/widget-operator/serviceaccounts/widget-operator/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = (await cluster.api.request("POST", path, body=body)).json()["status"]["token"]
    kubeconfig = folder / "kubeconfig"
    write_kubeconfig(kubeconfig, cluster.url, cluster.control_plane.ca, {"operator": token})
    return RealSetting(cluster, kubeconfig, audit)


def _without_election(requests: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [each for each in requests if "/namespaces/widget-operator/" not in each[1]]


def _collection_of(manifest: Object) -> str:
    plural = f"{manifest['kind'].lower()}s"
    return path_of(f"{manifest['apiVersion']}/{plural}", manifest["metadata"].get("namespace"))
