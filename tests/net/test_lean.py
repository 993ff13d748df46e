"""Importing a part of kubernetes_asyncio, and the whole of it before or after: each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]

SERVER = """
import asyncio, json
from aiohttp import web

POD = {"metadata": {"name": "web-0", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
       "spec": {"containers": [{"name": "c", "image": "i"}]}}
LIST = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [POD]}

async def answer(request):
    if "watch" in request.query:
        return web.Response(text=json.dumps({"type": "ADDED", "object": POD}) + "\\n")
    return web.json_response(LIST if "shop" not in request.path else {"message": "no"},
                             status=200 if "shop" not in request.path else 404)

async def served(use):
    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        await use("http://127.0.0.1:%d" % runner.addresses[0][1])
    finally:
        await runner.cleanup()
"""

LEAN = "import kinform._transport.lean_import as lean"
FULL = "import kubernetes_asyncio"
FULL_CLIENT = "from kubernetes_asyncio import client"
MODELS = "from kubernetes_asyncio.client.models import V1Pod"
CONFIG = "from kubernetes_asyncio import config"


def run(*parts: str) -> str:
    """Runs a program in a fresh process, and fails with what it wrote if it fails."""
    program = "\n".join(dedent(part) for part in parts)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{program}\n{done.stderr}"
    return done.stdout


EACH_ONCE = """
    import gc, sys, types
    import kubernetes_asyncio
    from kubernetes_asyncio.client.models.v1_pod import V1Pod
    assert kubernetes_asyncio.client is client is sys.modules["kubernetes_asyncio.client"]
    assert client.models is sys.modules["kubernetes_asyncio.client.models"]
    assert client.V1Pod is client.models.V1Pod is V1Pod
    assert client.api_client.kubernetes_asyncio.client.models.V1Pod is V1Pod
    assert client.api_client.ApiClient is client.ApiClient is lean.ApiClient
    names = [module.__name__ for module in gc.get_objects()
             if isinstance(module, types.ModuleType) and module.__name__.startswith("kubernetes_asyncio")]
    assert len(names) == len(set(names))
    """


def test_only_what_a_watch_needs_is_loaded() -> None:
    run(
        LEAN,
        """
        import sys
        loaded = {name for name in sys.modules if name.startswith("kubernetes_asyncio.client.")}
        assert loaded == {"kubernetes_asyncio.client." + name for name in
                          ("api_client", "configuration", "exceptions", "models", "rest")}, loaded
        from kubernetes_asyncio.client import ApiClient, Configuration
        assert ApiClient is lean.ApiClient and Configuration is lean.Configuration
        assert "kubernetes_asyncio.client.models.v1_pod" not in sys.modules
        """,
    )


@pytest.mark.parametrize(
    "imports",
    [
        [LEAN, FULL, FULL_CLIENT],
        [LEAN, FULL_CLIENT],
        [LEAN, MODELS, FULL_CLIENT],
        [LEAN, CONFIG, FULL_CLIENT],
        [FULL, LEAN, FULL_CLIENT],
        [FULL_CLIENT, LEAN],
        [MODELS, LEAN, FULL_CLIENT],
        [CONFIG, LEAN, FULL_CLIENT],
    ],
    ids=lambda imports: " then ".join(line.split()[-1] for line in imports),
)
def test_a_full_client_works_in_any_order_of_imports_and_is_there_once(imports: list[str]) -> None:
    run(
        SERVER,
        *imports,
        """
        import pickle

        async def use(url):
            async with client.ApiClient(client.Configuration(host=url)) as api:
                assert isinstance(api, lean.ApiClient)
                v1 = client.CoreV1Api(api)
                pods = await v1.list_pod_for_all_namespaces()
                assert type(pods) is client.V1PodList is client.models.V1PodList
                pod = pods.items[0]
                assert type(pod) is client.V1Pod
                assert pod.metadata.creation_timestamp.year == 2026
                assert pickle.loads(pickle.dumps(pod)) == pod
                assert api.sanitize_for_serialization(pod)["metadata"]["name"] == "web-0"
                answer = type("Answer", (), {"data": json.dumps(POD)})
                assert api.deserialize(answer, "V1Pod") == pod
                assert api.deserialize(answer, "dict(str, object)")["metadata"]["name"] == "web-0"
                try:
                    await v1.read_namespaced_pod("web-0", "shop")
                except client.ApiException as error:
                    assert type(error) in (client.rest.ApiException, client.exceptions.NotFoundException)
                    assert error.status == 404
                    assert isinstance(error, client.exceptions.ApiException)
                else:
                    raise AssertionError("no error")

        asyncio.run(served(use))
        import kubernetes_asyncio.client.rest, kubernetes_asyncio.client.exceptions
        assert client.rest is kubernetes_asyncio.client.rest
        assert client.rest.ApiException is client.exceptions.ApiException is client.ApiException
        """,
        EACH_ONCE,
    )


@pytest.mark.parametrize("package", ["", ".client", ".client.models", ".config"])
def test_a_package_looks_the_same_as_if_imported_plainly(package: str) -> None:
    look = f"""
        import importlib
        module = importlib.import_module("kubernetes_asyncio{package}")
        names = dir(module)
        print(sorted(set(names) - {{"leaderelection"}}), module.__doc__, module.__all__, len(vars(module)))
        print(module.__file__, module.__path__, module.__spec__.name, module.__package__, repr(module))
    """
    assert run(LEAN, look) == run(look)


@pytest.mark.parametrize(
    "use",
    [
        "import kubernetes_asyncio.watch; assert kubernetes_asyncio.watch.Watch",
        "from kubernetes_asyncio import watch; assert watch.Watch",
        "from kubernetes_asyncio.watch import Watch",
        "import kubernetes_asyncio; assert kubernetes_asyncio.watch.Watch and kubernetes_asyncio.__version__",
        "from kubernetes_asyncio.client import *; assert CoreV1Api and V1Pod and ApiException",
        "from kubernetes_asyncio import *; assert client.CoreV1Api and utils and dynamic",
        "from kubernetes_asyncio.client.api.core_v1_api import CoreV1Api",
        "from kubernetes_asyncio.client.api_client import ApiClient; assert ApiClient is lean.ApiClient",
        "from kubernetes_asyncio.dynamic import DynamicClient",
        "from kubernetes_asyncio.stream import WsApiClient",
        "from kubernetes_asyncio.leaderelection import leaderelection; assert leaderelection.LeaderElection",
        "from kubernetes_asyncio import utils; assert utils.create_from_dict",
        "from kubernetes_asyncio.config import load_config, new_client_from_config",
        "import kubernetes_asyncio, importlib; importlib.reload(kubernetes_asyncio.client).CoreV1Api",
        "import kubernetes_asyncio.client as c, pkgutil; assert len(list(pkgutil.iter_modules(c.__path__))) > 5",
        "import kubernetes_asyncio.client as c, inspect; assert 'CoreV1Api' in inspect.getsource(c)",
    ],
)
def test_what_a_program_may_import_afterwards_is_there(use: str) -> None:
    run(LEAN, use)


def test_a_watch_of_kubernetes_asyncio_decodes_models_afterwards() -> None:
    run(
        SERVER,
        LEAN,
        """
        from kubernetes_asyncio import client, watch

        async def use(url):
            async with client.ApiClient(client.Configuration(host=url)) as api, watch.Watch() as w:
                async for event in w.stream(client.CoreV1Api(api).list_pod_for_all_namespaces, timeout_seconds=1):
                    assert type(event["object"]) is client.V1Pod
                    return

        asyncio.run(served(use))
        """,
    )


def test_an_attribute_that_is_nowhere_is_an_attribute_error() -> None:
    run(
        LEAN,
        """
        import kubernetes_asyncio
        for module in (kubernetes_asyncio, kubernetes_asyncio.client, kubernetes_asyncio.client.models):
            for _ in range(2):
                try:
                    module.nowhere
                except AttributeError as error:
                    assert str(error) == f"module {module.__name__!r} has no attribute 'nowhere'", error
                else:
                    raise AssertionError("found")
        try:
            from kubernetes_asyncio.client import nowhere
        except ImportError:
            pass
        """,
    )


def test_tools_that_probe_every_module_do_not_load_the_models() -> None:
    run(
        LEAN,
        """
        import inspect, sys, unittest, warnings
        with unittest.TestCase().assertWarns(UserWarning):
            warnings.warn("x")
        inspect.getmodule(lambda: None)
        for name in ("kubernetes_asyncio", "kubernetes_asyncio.client", "kubernetes_asyncio.client.models"):
            assert not hasattr(sys.modules[name], "__warningregistry__")
        assert "kubernetes_asyncio.client.models.v1_pod" not in sys.modules
        """,
    )


THREADS = """
    import sys, threading
    sys.setswitchinterval(1e-5)
    start, failed = threading.Barrier(len(WORK)), []

    def work(line):
        start.wait()
        try:
            exec(line, {})
        except BaseException as error:
            failed.append((line, repr(error)))

    threads = [threading.Thread(target=work, args=(line,), daemon=True) for line in WORK]
    for thread in threads: thread.start()
    for thread in threads: thread.join(30)
    assert not any(thread.is_alive() for thread in threads), "deadlock"
    assert not failed, failed
    from kubernetes_asyncio.client import CoreV1Api, V1Pod, models
    assert models.V1Pod is V1Pod
    """


def test_threads_may_complete_it_at_the_same_time_from_all_sides() -> None:
    """More than the plain package allows: its parts import each other in a circle."""
    run(
        LEAN,
        """
        WORK = [
            "from kubernetes_asyncio.client import CoreV1Api",
            "import kubernetes_asyncio; kubernetes_asyncio.client.V1Pod",
            "from kubernetes_asyncio.dynamic import DynamicClient",
            "from kubernetes_asyncio import watch; watch.Watch",
            "from kubernetes_asyncio import client; client.models.V1Pod",
            "from kubernetes_asyncio.client.models import V1Node",
        ] * 2
        """,
        THREADS,
    )


def test_threads_may_import_it_leanly_and_plainly_at_the_same_time() -> None:
    run(
        """
        WORK = [
            "import kinform._transport.lean_import as lean; lean.ApiClient",
            "from kubernetes_asyncio import client; client.CoreV1Api; client.models.V1Pod",
        ] * 4
        """,
        THREADS,
    )


def test_an_import_that_fails_half_way_can_be_tried_again() -> None:
    run(
        LEAN,
        """
        import sys, kubernetes_asyncio
        sys.modules["kubernetes_asyncio.client.api.core_v1_api"] = None
        for _ in range(2):
            try:
                kubernetes_asyncio.client.CoreV1Api
            except ImportError:
                pass
            else:
                raise AssertionError("no error")
        del sys.modules["kubernetes_asyncio.client.api.core_v1_api"]
        assert kubernetes_asyncio.client.CoreV1Api
        """,
    )


@pytest.mark.parametrize(
    "change",
    [
        # a package that became a module of another kind, a client whose parts moved, a `config` that wants more
        "sys.meta_path.insert(0, Moved('kubernetes_asyncio.client.models', None))",
        "sys.meta_path.insert(0, Refused('kubernetes_asyncio.client.configuration'))",
        "import importlib; importlib.import_module('importlib._bootstrap').__dict__.pop('_DeadlockError')",
    ],
)
def test_a_package_of_another_shape_is_imported_plainly(change: str) -> None:
    run(
        """
        import sys

        class Moved:
            def __init__(self, name, to): self.name = name
            def find_spec(self, name, path=None, target=None):
                if name == self.name and sys._getframe(1).f_globals["__name__"] == "kinform._transport.lean_import":
                    from importlib.machinery import ModuleSpec
                    return ModuleSpec(name, None)

        class Refused:
            def __init__(self, name): self.name = name
            def find_spec(self, name, path=None, target=None):
                if name == self.name:
                    sys.meta_path.remove(self)
                    raise ImportError("once")
        """,
        change,
        LEAN,
        """
        from kubernetes_asyncio import client
        assert client.ApiClient is lean.ApiClient
        assert client.CoreV1Api and client.models.V1Pod is client.V1Pod
        """,
    )
