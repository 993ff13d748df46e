"""Facts about functions of clients, and the imports of the drop-in."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any

import pytest

from kinform._watch.functions import (
    ASYNC_CLIENTS,
    client_of,
    follows_a_log,
    get_client,
    return_type_of,
    without_preload,
)
from tests.watch.clients import Client


@pytest.fixture
def core(client: Client) -> Any:
    return client.client.CoreV1Api(object.__new__(client.client.ApiClient))


def test_a_function_belongs_to_the_client_of_its_api_object(client, core):
    for func in (core.list_namespace, functools.partial(core.list_namespaced_pod, "shop")):
        found = client_of(func, None, ASYNC_CLIENTS)
        assert found is get_client(f"{client.name}.client")
        assert found.api_exception is client.api_exception


def test_a_subclass_of_a_client_belongs_to_it(client):
    class Mine(client.client.ApiClient):  # type: ignore[misc]
        pass

    core = client.client.CoreV1Api(object.__new__(Mine))
    assert client_of(core.list_namespace, None, ASYNC_CLIENTS).package == f"{client.name}.client"


def test_any_other_function_belongs_to_its_return_type(client):
    def func() -> None: ...

    assert client_of(func, client.client.V1Pod, ASYNC_CLIENTS).package == f"{client.name}.client"
    assert client_of(func, "V1Pod", ASYNC_CLIENTS).package == ASYNC_CLIENTS[0]


def test_the_functions_of_each_client_have_types(client, core):
    found = get_client(f"{client.name}.client")

    def name(func: Any) -> Any:
        type = return_type_of(func, found)
        return type if isinstance(type, str) else type.__name__

    custom = client.client.CustomObjectsApi(core.api_client)
    assert name(core.list_namespaced_pod) == "V1Pod"
    assert name(core.read_namespaced_pod_log) == "str"
    assert name(custom.list_namespaced_custom_object) == "object"
    assert name(functools.partial(print)) == ""
    assert follows_a_log(core.read_namespaced_pod_log)
    assert not follows_a_log(core.list_namespaced_pod)


def test_an_annotation_counts_before_the_docstring(client):
    found = get_client(f"{client.name}.client")

    def annotated() -> client.client.V1PodList:  # type: ignore[name-defined]
        """:rtype: V1NodeList"""

    def named() -> V1PodList:  # type: ignore[name-defined] # noqa: F821
        """:rtype: V1NodeList"""

    def other() -> Any:
        """:rtype: V1NodeList"""

    annotated.__annotations__ = {"return": client.client.V1PodList}
    named.__annotations__ = {"return": "V1PodList"}
    other.__annotations__ = {"return": Any}
    assert return_type_of(annotated, found) is client.client.V1Pod
    assert return_type_of(named, found) == "V1Pod"
    assert return_type_of(other, found) == "V1Node"


def test_old_docstrings_have_another_label(client):
    def old() -> None:
        """Lists.

        :return: V1PodList
                 If the method is called asynchronously, returns the request thread.
        """

    def new() -> None:
        """Lists.

        :return: Returns the result object.
        :rtype: V1PodList
        """

    def sentence() -> None:
        """:return: Returns the result object."""

    def old_log() -> None:
        """Reads.

        :param bool follow: Follow the log.
        """

    found = get_client(f"{client.name}.client")
    assert follows_a_log(old_log)
    for func in (old, new, sentence):
        func.__annotations__.clear()
    assert [return_type_of(func, found) for func in (old, new, sentence)] == ["V1Pod", "V1Pod", ""]


def test_the_body_is_not_read_by_the_client(client, core):
    func, arguments = without_preload(core.list_namespaced_pod)
    if client.name == "kubernetes.aio":
        assert (func.__name__, arguments) == ("list_namespaced_pod_without_preload_content", {})
    else:
        assert (func, arguments) == (core.list_namespaced_pod, {"_preload_content": False})


@pytest.mark.parametrize("module", ["kinform.watch", "kinform.sync.watch"])
def test_the_import_takes_no_client(module):
    program = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"aiohttp", "urllib3", "kubernetes", "kubernetes_asyncio"} & set(run.stdout.split())
