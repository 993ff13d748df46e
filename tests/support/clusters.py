"""One face for two servers: the simulator of `kinform.testing` and a real kube-apiserver.

A test written against `Cluster` runs on both, which keeps the simulator honest. Knows nothing of kinform's
client side: what it writes and reads goes through an HTTP client of its own (`admin.Admin`).

    async def test_a_created_object_arrives(cluster):
        await cluster.create("a")
        async with kinform.connect(cluster.url, **cluster.access) as api:
            scope = kinform.Scope(namespaces=[cluster.namespace])
            async with kinform.Informer(api, cluster.resource, scope=scope) as informer: ...

Isolation: `cluster.namespace` is new for each test, on both servers. A test that wants a whole collection for
itself (all namespaces, or cluster-scoped) takes a new kind of its own with `await cluster.custom()`. What a
test has made is taken away after it. A server that a test has killed or frozen is set right after it.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.admin import Admin, Object, path_of
from tests.support.controlplane.plane import ControlPlane
from tests.support.kubeconfig import write_kubeconfig
from tests.support.waiting import until

if TYPE_CHECKING:
    from kinform.testing import Server


class Cluster(ABC):
    """A server with one test's own corner in it.

    Attributes:
        name: `"sim"` or `"real"`.
        url: Where it listens.
        access: What `kinform.connect(cluster.url, **cluster.access)` needs besides: `token` and `ca`, or nothing.
        kubeconfig: The same as a kubeconfig.
        api: The client that arranges things, with all rights.
        resource: A built-in, namespaced resource, `"v1/configmaps"`: what `create` and its like write.
        namespace: A namespace that is this test's alone.
    """

    name: str
    url: str
    access: dict[str, str]
    kubeconfig: Path
    api: Admin
    resource = "v1/configmaps"
    namespace: str

    async def create(self, name: str, resource: str | None = None, **more: Any) -> Object:
        """Creates an object in the test's namespace: `create("a", labels={"app": "x"}, data={"k": "v"})`."""
        return await self.api.create(resource or self.resource, self.thing(name, **more))

    async def replace(self, name: str, resource: str | None = None, **more: Any) -> Object:
        """Replaces an object in the test's namespace, whatever it is now."""
        return await self.api.replace(resource or self.resource, self.thing(name, **more))

    async def delete(self, name: str, resource: str | None = None) -> None:
        """Deletes an object in the test's namespace."""
        await self.api.delete(resource or self.resource, f"{self.namespace}/{name}")

    async def version(self, resource: str | None = None) -> str:
        """Gives the resourceVersion that a list shows now."""
        listed = await self.api.list_raw(resource or self.resource, namespace=self.namespace)
        return str(listed.json()["metadata"]["resourceVersion"])

    def thing(self, name: str, *, labels: Mapping[str, str] | None = None, **more: Any) -> Object:
        """Gives an object to be written: name, the test's namespace, labels, and top-level fields as they are."""
        metadata: Object = {"name": name, "namespace": self.namespace}
        if labels is not None:
            metadata["labels"] = dict(labels)
        return {"metadata": metadata, **more}

    @abstractmethod
    async def custom(self, *, namespaced: bool = True) -> str:
        """Makes a kind that nobody else uses, and gives its resource: an empty collection all to itself.

        Its objects take any top-level fields, are of kind Widget, and come as custom resources do.
        """

    @abstractmethod
    def kubeconfig_at(self, url: str) -> Path:
        """Writes a kubeconfig like `kubeconfig` for another URL (a proxy's), and gives its path."""

    @abstractmethod
    async def expire(self) -> None:
        """Makes every resourceVersion seen so far too old (410), and cuts every open stream."""

    @abstractmethod
    async def crash(self) -> None:
        """Kills the server: connections are reset, new ones refused. What is stored stays."""

    @abstractmethod
    async def resurrect(self) -> None:
        """Brings a killed server back on the same port; returns when it answers."""

    @abstractmethod
    async def freeze(self) -> None:
        """Stops the server without a word: connections stay open and fall silent, new ones hang."""

    @abstractmethod
    async def thaw(self) -> None:
        """Lets a frozen server go on."""


@dataclass
class RealCluster(Cluster):
    """A corner of a running control plane; `plane` has what only a real one can do."""

    plane: ControlPlane
    api: Admin
    namespace: str
    name: str = "real"

    def __post_init__(self) -> None:
        self.url = self.plane.url
        self.kubeconfig = self.plane.kubeconfig
        self.access = self.access_of("admin")

    def access_of(self, user: str) -> dict[str, str]:
        """Gives what `kinform.connect` needs to come as one of the users of the control plane."""
        return {"token": self.plane.tokens[user], "ca": str(self.plane.ca)}

    async def custom(self, *, namespaced: bool = True) -> str:
        """Creates a CustomResourceDefinition and waits until it is served."""
        group = f"x{uuid.uuid4().hex[:8]}.example.com"
        definition = f"widgets.{group}"
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        body = {
            "metadata": {"name": definition},
            "spec": {
                "group": group,
                "scope": "Namespaced" if namespaced else "Cluster",
                "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        }
        await self.api.create(DEFINITIONS, body)
        resource = f"{group}/v1/widgets"

        async def served() -> bool:
            return (await self.api.list_raw(resource)).status == 200

        await until(served, within=30)
        return resource

    def kubeconfig_at(self, url: str) -> Path:
        """Writes it into the control plane's folder."""
        path = self.plane.folder / f"kubeconfig-{uuid.uuid4().hex[:8]}"
        write_kubeconfig(path, url, self.plane.ca, self.plane.tokens)
        return path

    async def expire(self) -> None:
        """Compacts etcd and restarts the API server: about two seconds."""
        await self.plane.expire()
        self.api.renew()

    async def crash(self) -> None:
        """SIGKILL."""
        await self.plane.crash()
        self.api.renew()

    async def resurrect(self) -> None:
        """About two seconds."""
        await self.plane.resurrect()

    async def freeze(self) -> None:
        """SIGSTOP: so the admin client hangs as well."""
        await self.plane.freeze()

    async def thaw(self) -> None:
        """SIGCONT."""
        await self.plane.thaw()

    async def clean(self) -> None:
        """Takes away what was made through `api`, last things first."""
        await self.api.close()
        for (resource, namespace), names in reversed(self.api.made.items()):
            if namespace:
                await self.api.request("DELETE", path_of(resource, namespace))
                continue
            for name in names:
                await self.api.request("DELETE", f"{path_of(resource)}/{name}")
                if resource == "v1/namespaces":  # what a controller would do once the namespace is empty
                    body: Object = {"metadata": {"name": name}, "spec": {"finalizers": []}}
                    await self.api.request("PUT", f"{path_of(resource)}/{name}/finalize", body=body)


DEFINITIONS = "apiextensions.k8s.io/v1/customresourcedefinitions"


@asynccontextmanager
async def real_cluster(plane: ControlPlane) -> AsyncIterator[RealCluster]:
    """Gives one test its corner of a running control plane, and sets right afterwards what it did to it."""
    api = Admin(plane.url, plane.tokens["admin"], plane.tls())
    namespace = f"t-{uuid.uuid4().hex[:8]}"
    await api.create("v1/namespaces", {"metadata": {"name": namespace}})
    cluster = RealCluster(plane, api, namespace)
    try:
        yield cluster
    finally:
        await plane.mend()
        await cluster.clean()
        await api.close()


@dataclass
class SimCluster(Cluster):
    """A simulator of the test's own; `server` has what only a simulator can do: faults, requests, generation."""

    server: Server
    folder: Path
    name: str = "sim"
    namespace: str = "here"

    def __post_init__(self) -> None:
        self.url = self.server.url
        self.access = {}
        self.api = Admin(self.url)
        self.kubeconfig = self.kubeconfig_at(self.url)

    async def custom(self, *, namespaced: bool = True) -> str:
        """Registers it."""
        resource = f"x{uuid.uuid4().hex[:8]}.example.com/v1/widgets"
        self.server.register(resource, kind="Widget", namespaced=namespaced)
        return resource

    def kubeconfig_at(self, url: str) -> Path:
        """Writes it into the test's temporary folder."""
        path = self.folder / f"kubeconfig-{uuid.uuid4().hex[:8]}"
        write_kubeconfig(path, url, None, {"admin": "ignored"})
        return path

    async def expire(self) -> None:
        """Moves the revision on, forgets the history and comes back, as a restart after a compaction does."""
        await self.server.stop()
        self.server.put("v1/namespaces", {"metadata": {"name": "expired"}})
        self.server.compact()
        await self.server.start()
        self.api.renew()

    async def crash(self) -> None:
        """Stops it."""
        await self.server.stop()
        self.api.renew()

    async def resurrect(self) -> None:
        """Starts it, with all that it held."""
        await self.server.start()

    async def freeze(self) -> None:
        """Freezes it: the admin client hangs as well."""
        self.server.freeze()

    async def thaw(self) -> None:
        """Thaws it."""
        self.server.thaw()


@asynccontextmanager
async def sim_cluster(folder: Path) -> AsyncIterator[SimCluster]:
    """Gives one test a simulator of its own behind the same face; its kubeconfigs go into `folder`."""
    from kinform.testing import Server

    async with Server() as server:
        server.put("v1/namespaces", {"metadata": {"name": "default"}})
        cluster = SimCluster(server, folder)
        server.put("v1/namespaces", {"metadata": {"name": cluster.namespace}})
        try:
            yield cluster
        finally:
            await cluster.api.close()
