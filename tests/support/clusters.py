"""A common interface to the simulator and to a real kube-apiserver.

A test written against `Cluster` runs on both, which compares the simulator with the real server. Never uses
kinform's client: all reads and writes go through an HTTP client of its own (`admin.AdminClient`).

    async def test_a_created_object_arrives(cluster):
        await cluster.create("a")
        async with kinform.connect(cluster.url, **cluster.connect_options) as api:
            scope = kinform.Scope(namespaces=[cluster.namespace])
            async with kinform.Informer(api, cluster.resource, scope=scope) as informer: ...

Isolation: `cluster.namespace` is new for each test, on both servers. A test that needs a whole collection
(all namespaces, or cluster-scoped) creates a kind of its own with `await cluster.create_custom_resource()`.
After a test its objects are deleted, and a server that it crashed or froze is repaired.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.admin import AdminClient, Object, path_of
from tests.support.controlplane.plane import ControlPlane
from tests.support.kubeconfig import write_kubeconfig
from tests.support.waiting import until

if TYPE_CHECKING:
    from kinform.testing import Server


class Cluster(ABC):
    """A server with a namespace for one test.

    Attributes:
        name: `"sim"` or `"real"`.
        url: The server's URL.
        connect_options: The options of `kinform.connect(cluster.url, **cluster.connect_options)`: `token` and
            `ca`, or none.
        kubeconfig: The path of a kubeconfig with the same rights.
        api: An HTTP client with all rights.
        resource: The resource that `create`, `replace` and `delete` write by default: `"v1/configmaps"`,
            built-in and namespaced.
        namespace: A namespace for this test only.
    """

    name: str
    url: str
    connect_options: dict[str, str]
    kubeconfig: Path
    api: AdminClient
    resource = "v1/configmaps"
    namespace: str

    async def create(self, name: str, resource: str | None = None, **fields: Any) -> Object:
        """Creates an object in the test's namespace.

        Example: `create("a", labels={"app": "x"}, data={"k": "v"})`.
        """
        return await self.api.create(resource or self.resource, self.build_object(name, **fields))

    async def replace(self, name: str, resource: str | None = None, **fields: Any) -> Object:
        """Replaces any version of an object in the test's namespace."""
        return await self.api.replace(resource or self.resource, self.build_object(name, **fields))

    async def delete(self, name: str, resource: str | None = None) -> None:
        """Deletes an object in the test's namespace."""
        await self.api.delete(resource or self.resource, f"{self.namespace}/{name}")

    async def resource_version(self, resource: str | None = None) -> str:
        """Returns the current resourceVersion of a list."""
        listed = await self.api.list_raw(resource or self.resource, namespace=self.namespace)
        return str(listed.json()["metadata"]["resourceVersion"])

    def build_object(self, name: str, *, labels: Mapping[str, str] | None = None, **fields: Any) -> Object:
        """Builds an object in the test's namespace, with labels and top-level fields."""
        metadata: Object = {"name": name, "namespace": self.namespace}
        if labels is not None:
            metadata["labels"] = dict(labels)
        return {"metadata": metadata, **fields}

    @abstractmethod
    async def create_custom_resource(self, *, namespaced: bool = True, status: bool = False) -> str:
        """Creates a new kind with an empty collection and returns its resource.

        Its objects are custom resources of kind Widget and accept any top-level field. With `status`, the kind has that
        subresource.
        """

    @abstractmethod
    def write_kubeconfig_for(self, url: str) -> Path:
        """Writes a copy of `kubeconfig` for another URL, a proxy's, and returns its path."""

    @abstractmethod
    async def expire_history(self) -> None:
        """Makes every resourceVersion so far too old (410) and ends every open stream."""

    @abstractmethod
    async def crash(self) -> None:
        """Kills the server: connections are reset, new ones refused. Its data stays."""

    @abstractmethod
    async def recover(self) -> None:
        """Starts a killed server on the same port; returns when it responds."""

    @abstractmethod
    async def freeze(self) -> None:
        """Freezes the server: connections stay open and silent, new ones hang."""

    @abstractmethod
    async def thaw(self) -> None:
        """Ends `freeze`."""


@dataclass
class RealCluster(Cluster):
    """A namespace of a running control plane.

    `control_plane` has the operations that only a real server has.
    """

    control_plane: ControlPlane
    api: AdminClient
    namespace: str
    name: str = "real"

    def __post_init__(self) -> None:
        self.url = self.control_plane.url
        self.kubeconfig = self.control_plane.kubeconfig
        self.connect_options = self.connect_options_of("admin")

    def connect_options_of(self, user: str) -> dict[str, str]:
        """Returns the options with which `kinform.connect` authenticates as a user."""
        return {"token": self.control_plane.tokens[user], "ca": str(self.control_plane.ca)}

    async def create_custom_resource(self, *, namespaced: bool = True, status: bool = False) -> str:
        """Creates a CustomResourceDefinition and waits until it is served."""
        group = f"x{uuid.uuid4().hex[:8]}.example.com"
        definition = f"widgets.{group}"
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        version: Object = {"name": "v1", "served": True, "storage": True, "schema": schema}
        if status:
            version["subresources"] = {"status": {}}
        body = {
            "metadata": {"name": definition},
            "spec": {
                "group": group,
                "scope": "Namespaced" if namespaced else "Cluster",
                "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
                "versions": [version],
            },
        }
        await self.api.create(DEFINITIONS, body)
        resource = f"{group}/v1/widgets"

        async def served() -> bool:
            return (await self.api.list_raw(resource)).status == 200

        await until(served, within=30)
        return resource

    def write_kubeconfig_for(self, url: str) -> Path:
        """Writes the kubeconfig into the folder of the control plane."""
        path = self.control_plane.folder / f"kubeconfig-{uuid.uuid4().hex[:8]}"
        write_kubeconfig(path, url, self.control_plane.ca, self.control_plane.tokens)
        return path

    async def expire_history(self) -> None:
        """Compacts etcd and restarts the API server: about two seconds."""
        await self.control_plane.expire_history()
        self.api.reconnect()

    async def crash(self) -> None:
        """Sends SIGKILL."""
        await self.control_plane.crash()
        self.api.reconnect()

    async def recover(self) -> None:
        """Starts the API server: about two seconds."""
        await self.control_plane.recover()

    async def freeze(self) -> None:
        """Sends SIGSTOP: `api` hangs, too."""
        await self.control_plane.freeze()

    async def thaw(self) -> None:
        """Sends SIGCONT."""
        await self.control_plane.thaw()

    async def delete_created(self) -> None:
        """Deletes the objects that `api` created, the last ones first."""
        await self.api.close()
        for (resource, namespace), names in reversed(self.api.created.items()):
            if namespace:
                await self.api.request("DELETE", path_of(resource, namespace), params={"gracePeriodSeconds": "0"})
                continue
            for name in names:
                await self.api.request("DELETE", f"{path_of(resource)}/{name}")
                if resource == "v1/namespaces":  # the work of a controller, and none runs
                    body: Object = {"metadata": {"name": name}, "spec": {"finalizers": []}}
                    await self.api.request("PUT", f"{path_of(resource)}/{name}/finalize", body=body)


DEFINITIONS = "apiextensions.k8s.io/v1/customresourcedefinitions"


@asynccontextmanager
async def real_cluster(control_plane: ControlPlane) -> AsyncIterator[RealCluster]:
    """Yields a new namespace of a running control plane.

    Deletes its objects and repairs the control plane afterwards.
    """
    api = AdminClient(control_plane.url, control_plane.tokens["admin"], control_plane.tls_context())
    namespace = f"t-{uuid.uuid4().hex[:8]}"
    await api.create("v1/namespaces", {"metadata": {"name": namespace}})
    cluster = RealCluster(control_plane, api, namespace)
    try:
        yield cluster
    finally:
        await control_plane.repair()
        await cluster.delete_created()
        await api.close()


@dataclass
class SimCluster(Cluster):
    """A simulator for one test.

    `server` has the operations that only a simulator has: faults, requests, generation.
    """

    server: Server
    folder: Path
    name: str = "sim"
    namespace: str = "here"

    def __post_init__(self) -> None:
        self.url = self.server.url
        self.connect_options = {}
        self.api = AdminClient(self.url)
        self.kubeconfig = self.write_kubeconfig_for(self.url)

    async def create_custom_resource(self, *, namespaced: bool = True, status: bool = False) -> str:
        """Registers the resource."""
        resource = f"x{uuid.uuid4().hex[:8]}.example.com/v1/widgets"
        self.server.register(resource, kind="Widget", namespaced=namespaced, status_subresource=status)
        return resource

    def write_kubeconfig_for(self, url: str) -> Path:
        """Writes the kubeconfig into `folder`."""
        path = self.folder / f"kubeconfig-{uuid.uuid4().hex[:8]}"
        write_kubeconfig(path, url, None, {"admin": "ignored"})
        return path

    async def expire_history(self) -> None:
        """Stops the server, increments the revision, deletes the history and starts it."""
        await self.server.stop()
        self.server.put("v1/namespaces", {"metadata": {"name": "expired"}})
        self.server.compact()
        await self.server.start()
        self.api.reconnect()

    async def crash(self) -> None:
        """Stops the simulator."""
        await self.server.stop()
        self.api.reconnect()

    async def recover(self) -> None:
        """Starts the simulator with its objects."""
        await self.server.start()

    async def freeze(self) -> None:
        """Freezes the simulator: `api` hangs, too."""
        self.server.freeze()

    async def thaw(self) -> None:
        """Thaws the simulator."""
        self.server.thaw()


@asynccontextmanager
async def sim_cluster(folder: Path) -> AsyncIterator[SimCluster]:
    """Yields a new simulator; its kubeconfigs go into `folder`."""
    from kinform.testing import Server

    async with Server() as server:
        server.put("v1/namespaces", {"metadata": {"name": "default"}})
        cluster = SimCluster(server, folder)
        server.put("v1/namespaces", {"metadata": {"name": cluster.namespace}})
        try:
            yield cluster
        finally:
            await cluster.api.close()
