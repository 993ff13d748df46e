"""The lean import of kubernetes_asyncio, alone and together with the full import.

Each program runs in a process of its own, because an import changes the process for good.
"""

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

async def respond(request):
    if "watch" in request.query:
        return web.Response(text=json.dumps({"type": "ADDED", "object": POD}) + "\\n")
    return web.json_response(LIST if "shop" not in request.path else {"message": "no"},
                             status=200 if "shop" not in request.path else 404)

async def serve_while(use):
    application = web.Application()
    application.router.add_get("/{path:.*}", respond)
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
    """Runs a program in a new process and returns its stdout; fails with its stderr."""
    program = "\n".join(dedent(part) for part in parts)
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 0, f"{program}\n{finished.stderr}"
    return finished.stdout


ASSERT_IMPORTED_ONCE = """
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


def test_only_the_modules_that_a_watch_needs_are_loaded() -> None:
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
def test_the_full_client_is_imported_once_in_any_order(imports: list[str]) -> None:
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

        asyncio.run(serve_while(use))
        import kubernetes_asyncio.client.rest, kubernetes_asyncio.client.exceptions
        assert client.rest is kubernetes_asyncio.client.rest
        assert client.rest.ApiException is client.exceptions.ApiException is client.ApiException
        """,
        ASSERT_IMPORTED_ONCE,
    )


@pytest.mark.parametrize("package", ["", ".client", ".client.models", ".config"])
def test_a_package_has_the_attributes_of_a_plain_import(package: str) -> None:
    program = f"""
        import importlib
        module = importlib.import_module("kubernetes_asyncio{package}")
        names = dir(module)
        print(sorted(set(names) - {{"leaderelection"}}), module.__doc__, module.__all__, len(vars(module)))
        print(module.__file__, module.__path__, module.__spec__.name, module.__package__, repr(module))
    """
    assert run(LEAN, program) == run(program)


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
def test_later_imports_of_a_program_work(use: str) -> None:
    run(LEAN, use)


def test_a_later_watch_of_kubernetes_asyncio_decodes_models() -> None:
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

        asyncio.run(serve_while(use))
        """,
    )


def test_a_missing_attribute_raises_attribute_error() -> None:
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


def test_tools_that_inspect_all_modules_load_no_models() -> None:
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


def test_threads_may_complete_the_import_concurrently() -> None:
    """The plain package does not allow this: its modules import each other in a cycle."""
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


def test_threads_may_import_leanly_and_plainly_concurrently() -> None:
    run(
        """
        WORK = [
            "import kinform._transport.lean_import as lean; lean.ApiClient",
            "from kubernetes_asyncio import client; client.CoreV1Api; client.models.V1Pod",
        ] * 4
        """,
        THREADS,
    )


def test_a_failed_import_can_be_retried() -> None:
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
        "sys.meta_path.insert(0, NotAPackage('kubernetes_asyncio.client.models'))",
        "sys.meta_path.insert(0, Missing('kubernetes_asyncio.client.configuration'))",
        "import importlib; importlib.import_module('importlib._bootstrap').__dict__.pop('_DeadlockError')",
    ],
    ids=["another kind of module", "a missing module", "no import locks"],
)
def test_a_package_with_another_layout_is_imported_plainly(change: str) -> None:
    run(
        """
        import sys

        class NotAPackage:
            def __init__(self, name): self.name = name
            def find_spec(self, name, path=None, target=None):
                if name == self.name and sys._getframe(1).f_globals["__name__"] == "kinform._transport.lean_import":
                    from importlib.machinery import ModuleSpec
                    return ModuleSpec(name, None)

        class Missing:
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
