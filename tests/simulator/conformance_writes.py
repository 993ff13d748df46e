"""Writes to a cluster, and checks of its answers, without kinform's client."""

from __future__ import annotations

from typing import Any

from tests.support.admin import HttpResponse, Object, path_of
from tests.support.clusters import Cluster

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


class Writer:
    """Writes to one collection in the namespace of a test."""

    def __init__(self, cluster: Cluster, resource: str = "v1/configmaps", kind: str = "ConfigMap") -> None:
        self.cluster = cluster
        self.path = path_of(resource, cluster.namespace)
        self.about = {"apiVersion": resource.rpartition("/")[0], "kind": kind}

    def obj(self, name: str, metadata: Object | None = None, **fields: Any) -> Object:
        return {**self.about, "metadata": {"name": name, **(metadata or {})}, **fields}

    async def create(self, obj: Object, **params: str) -> HttpResponse:
        return await self.cluster.api.request("POST", self.path, body=obj, params=params)

    async def replace(self, name: str, obj: Object, **params: str) -> HttpResponse:
        return await self.cluster.api.request("PUT", f"{self.path}/{name}", body=obj, params=params)

    async def patch(self, name: str, body: Any, content_type: str = MERGE, **params: str) -> HttpResponse:
        headers = {"Content-Type": content_type}
        return await self.cluster.api.request("PATCH", f"{self.path}/{name}", body=body, headers=headers, params=params)

    async def apply(self, obj: Object, manager: str, *, at: str = "", **params: str) -> HttpResponse:
        name = at or obj["metadata"]["name"]
        return await self.patch(name, obj, APPLY, fieldManager=manager, **params)

    async def delete(self, name: str, options: Object | None = None, **params: str) -> HttpResponse:
        return await self.cluster.api.request("DELETE", f"{self.path}/{name}", body=options, params=params)

    async def get(self, name: str) -> HttpResponse:
        return await self.cluster.api.request("GET", f"{self.path}/{name}")


async def widgets(cluster: Cluster, *, status: bool = False) -> Writer:
    return Writer(cluster, await cluster.create_custom_resource(status=status), "Widget")


def accepted(answer: HttpResponse, code: int = 200) -> Object:
    """Checks the status of an answer and returns the object in it."""
    assert answer.status == code, answer.body
    found: Object = answer.json()
    return found


def refused(answer: HttpResponse, code: int, reason: str | None) -> Object:
    """Checks a Status of failure and returns it."""
    assert answer.status == code, answer.body
    status: Object = answer.json()
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", code)
    assert status.get("reason") == reason
    return status


def causes(status: Object) -> set[tuple[str, str]]:
    return {(cause["field"], cause["reason"]) for cause in status["details"]["causes"]}


def deployment(writer: Writer, *containers: Object) -> Object:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": list(containers)}}
    return writer.obj("a", spec={"replicas": 1, "selector": {"matchLabels": labels}, "template": template})


def containers(obj: Object) -> list[Object]:
    """Returns the fields of each container that the tests set."""
    found = obj["spec"]["template"]["spec"]["containers"]
    return [{field: each[field] for field in ("name", "image", "env") if field in each} for each in found]


def patch_containers(*changed: Object) -> Object:
    return {"spec": {"template": {"spec": {"containers": list(changed)}}}}
