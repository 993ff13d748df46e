"""`type=` with the models of a Kubernetes client."""

from __future__ import annotations

import datetime

import kubernetes.aio.client
import kubernetes.client
import kubernetes_asyncio.client
import pytest

import kinform
from kinform._objects import Object

CLIENTS = pytest.mark.parametrize(
    "client", [kubernetes_asyncio.client, kubernetes.aio.client, kubernetes.client], ids=lambda client: client.__name__
)

POD = (
    b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-0","namespace":"shop","creationTimestamp":'
    b'"2026-01-02T03:04:05Z","labels":{"app":"web"}},"spec":{"nodeName":"node-7","containers":[{"name":"web",'
    b'"ports":[{"containerPort":80}]}]},"status":{"startTime":null}}'
)


def pod(raw: bytes = POD) -> Object:
    return Object("shop", "web-0", "uid", "7", raw)


@CLIENTS
def test_an_object_decodes_to_a_model(client):
    found = pod().decode(client.V1Pod)
    assert isinstance(found, client.V1Pod)
    assert found.metadata.labels == {"app": "web"}
    assert found.metadata.creation_timestamp == datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert found.spec.containers[0].ports[0].container_port == 80
    assert found.status.start_time is None


@CLIENTS
def test_an_error_names_the_field_that_a_model_misses(client):
    with pytest.raises(kinform.DecodeError, match=r" at \$\.spec\.containers: missing$"):
        pod(b'{"metadata":{"name":"web-0"},"spec":{"nodeName":"node-7"}}').decode(client.V1Pod)
    with pytest.raises(kinform.DecodeError) as raised:
        pod(POD.replace(b'"containerPort":80', b'"name":"secret"')).decode(client.V1Pod)
    assert (raised.value.path, raised.value.why) == ("$.spec.containers[...].ports[...].containerPort", "missing")


@CLIENTS
def test_an_object_that_does_not_fit_a_model_names_only_the_key(client):
    with pytest.raises(kinform.DecodeError) as raised:
        pod(b'{"metadata":{"creationTimestamp":"secret"}}').decode(client.V1Pod)
    assert "shop/web-0" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


@CLIENTS
def test_a_model_of_a_part_or_a_list_is_refused(client):
    for model in (client.V1PodList, client.V1PodSpec):
        with pytest.raises(kinform.OptionError, match="the model of an object"):
            kinform.store(type=model)


def test_informer_store_and_events_can_be_subscripted():
    for generic in (kinform.Informer, kinform.Store, kinform.Changes, kinform.Added, kinform.Updated, kinform.Deleted):
        assert generic[kubernetes_asyncio.client.V1Pod]  # type: ignore[index]
