"""The part of kubernetes_asyncio that a watch needs, without its models.

Importing the package runs three `__init__` files that load every model and every API: 38 MiB of resident
memory that an informer never touches. Here these three packages enter `sys.modules` as modules whose
`__init__` has not run yet; it runs in the same module object at the first attribute that is missing. So
whoever uses the full client, before or after, finds every module and every class exactly once.

Nothing is taken out of `sys.modules` or put back. A package that was already imported, or that has another
shape than the one known here, is imported plainly: more memory, the same behaviour.

Source: the import system's own locks (`importlib._bootstrap`, PEP 451) and module `__getattr__` (PEP 562).
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import logging
import sys
from types import ModuleType
from typing import Any

_log = logging.getLogger("kinform.lean")

_ROOT = "kubernetes_asyncio"
_PACKAGES = (_ROOT, f"{_ROOT}.client", f"{_ROOT}.client.models")

# Private, but the only lock that other imports take part in; without it there is no lean import.
_bootstrap: Any = importlib.import_module("importlib._bootstrap")


class _Deferred:
    """Runs one package's true `__init__` when an attribute is first missed.

    All packages share the root's import lock, the one lock that lets a waiting thread see a deadlock
    instead of running into it: a thread in the middle of importing a submodule may hold that one's lock.
    """

    def __init__(self, module: ModuleType, spec: importlib.machinery.ModuleSpec) -> None:
        self.module = module
        self.spec = spec
        self.loader: Any = spec.loader
        self.running = False
        self.done = False
        vars(module)["__getattr__"] = self.getattr
        vars(module)["__dir__"] = self.dir

    def getattr(self, name: str) -> Any:
        dunder = name.startswith("__") and name.endswith("__")
        if not (dunder and not self._defines(name)):  # tools probe every module for `__warningregistry__`
            try:
                with _bootstrap._ModuleLockManager(_ROOT):
                    self._supply(name)
            except _bootstrap._DeadlockError:
                pass  # half-initialised is what the import system shows in this case, too
        try:
            return vars(self.module)[name]
        except KeyError:
            text = f"module {self.spec.name!r} has no attribute {name!r}"
            raise AttributeError(text, name=name, obj=self.module) from None

    def dir(self) -> list[str]:
        with _bootstrap._ModuleLockManager(_ROOT):
            self.run()
        return sorted(vars(self.module))

    def run(self) -> None:
        """Executes `__init__`, unless that has been done or is being done by this very thread."""
        if self.running or self.done:
            return
        self.running = True
        try:
            self.loader.exec_module(self.module)
        finally:
            self.running = False
        self.done = True
        for name, hook in (("__getattr__", self.getattr), ("__dir__", self.dir)):
            if vars(self.module).get(name) == hook:
                del vars(self.module)[name]

    def _supply(self, name: str) -> None:
        if self.running or self.done:  # running: an import inside `__init__` asks for a submodule yet to come
            return
        submodule = f"{self.spec.name}.{name}"
        if self._defines(name) and importlib.util.find_spec(submodule) is not None:
            importlib.import_module(submodule)
            return
        try:
            self.run()
        except ImportError:
            # Asked by a submodule in the middle of its own import, which `__init__` imports from further
            # down: it gets what has been defined so far, and `__init__` is run again when asked again.
            if name not in vars(self.module):
                raise

    def _defines(self, name: str) -> bool:
        get_code = getattr(self.loader, "get_code", None)
        code = get_code(self.spec.name) if get_code else None
        return code is None or name in code.co_names


def _find_specs() -> list[importlib.machinery.ModuleSpec]:
    """The specs of the three packages, found without importing them; empty if they are not as known."""
    specs: list[importlib.machinery.ModuleSpec] = []
    path: list[str] | None = None
    for name in _PACKAGES:
        spec = next(filter(None, (finder.find_spec(name, path) for finder in sys.meta_path)), None)
        if spec is None or spec.submodule_search_locations is None or not hasattr(spec.loader, "exec_module"):
            return []
        specs.append(spec)
        path = list(spec.submodule_search_locations)
    return specs


def _install() -> None:
    """Puts the deferred packages in place and loads the client below them."""
    if not hasattr(_bootstrap, "_ModuleLockManager") or not hasattr(_bootstrap, "_DeadlockError"):
        return
    with _bootstrap._ModuleLockManager(_ROOT):
        if _ROOT in sys.modules:
            return
        specs = _find_specs()
        if not specs:
            return
        deferred = [_Deferred(importlib.util.module_from_spec(spec), spec) for spec in specs]
        for package in deferred:
            package.running = True
            parent, _, child = package.spec.name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, package.module)
            sys.modules[package.spec.name] = package.module
        root, client, models = deferred
        try:
            configuration = importlib.import_module(f"{client.spec.name}.configuration").Configuration
            api_client = importlib.import_module(f"{client.spec.name}.api_client").ApiClient
        except (AttributeError, ImportError) as error:
            _log.debug("%s has another shape than expected, and is imported in full: %s", _ROOT, error)
            for package in deferred:
                package.running = False
            for package in (client, models, root):  # the client first, as `__init__` of the root would
                package.run()
            return
        # `config` and `watch` take these from the package, and are no reason to load the rest of it.
        vars(client.module).update(ApiClient=api_client, Configuration=configuration)
        for package in deferred:
            package.running = False


_install()

from kubernetes_asyncio.client.api_client import ApiClient  # noqa: E402
from kubernetes_asyncio.client.configuration import Configuration  # noqa: E402

__all__ = ["ApiClient", "Configuration"]
