"""A lean import of kubernetes_asyncio: the client without the models.

Exports `ApiClient` and `Configuration`. A plain import runs three `__init__` files that load every model
and every API: 38 MiB of resident memory that an informer never uses. This module puts these three packages
into `sys.modules` before their `__init__` has run. The `__init__` runs later, in the same module object,
when an attribute is missing. So a program that also uses the full client, before or after, gets every
module and every class exactly once.

Never removes or replaces an entry of `sys.modules`. A package that was already imported, or whose layout is
not the one known here, is imported plainly: more memory, the same behaviour.

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

# Private, but the only lock that all other imports take. Without it there is no lean import.
_bootstrap: Any = importlib.import_module("importlib._bootstrap")


class _DeferredPackage:
    """Runs the `__init__` of one package when an attribute is first missing.

    All packages use the import lock of the root package. An import lock detects a deadlock and raises in
    the waiting thread: a thread that is importing a submodule may hold the lock of that submodule.
    """

    def __init__(self, module: ModuleType, spec: importlib.machinery.ModuleSpec) -> None:
        self.module = module
        self.spec = spec
        self.loader: Any = spec.loader
        self.running = False  # `__init__` is being executed, or must not be executed yet
        self.done = False
        vars(module)["__getattr__"] = self.getattr
        vars(module)["__dir__"] = self.dir

    def getattr(self, name: str) -> Any:
        dunder = name.startswith("__") and name.endswith("__")
        if not dunder or self._mentions(name):  # tools look for `__warningregistry__` in every module
            try:
                with _bootstrap._ModuleLockManager(_ROOT):
                    self._load_attribute(name)
            except _bootstrap._DeadlockError:
                pass  # the import system too shows a half-initialised module in this case
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
        """Executes `__init__` if that has not been done and this thread is not doing it."""
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

    def _load_attribute(self, name: str) -> None:
        if self.running or self.done:  # running: an import inside `__init__` looks for a later submodule
            return
        submodule = f"{self.spec.name}.{name}"
        if self._mentions(name) and importlib.util.find_spec(submodule) is not None:
            importlib.import_module(submodule)
            return
        try:
            self.run()
        except ImportError:
            # The caller may be a submodule in the middle of its own import that `__init__` imports from.
            # It gets what is defined so far. The next missing attribute runs `__init__` again.
            if name not in vars(self.module):
                raise

    def _mentions(self, name: str) -> bool:
        """Returns whether `__init__` uses this name; True if its code cannot be read."""
        get_code = getattr(self.loader, "get_code", None)
        code = get_code(self.spec.name) if get_code else None
        return code is None or name in code.co_names


def _find_specs() -> list[importlib.machinery.ModuleSpec]:
    """Finds the specs of the three packages without importing them.

    Returns an empty list if one has another layout than known here.
    """
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
    """Adds the deferred packages to `sys.modules` and loads the client into them."""
    if not hasattr(_bootstrap, "_ModuleLockManager") or not hasattr(_bootstrap, "_DeadlockError"):
        return
    with _bootstrap._ModuleLockManager(_ROOT):
        if _ROOT in sys.modules:
            return
        specs = _find_specs()
        if not specs:
            return
        deferred = [_DeferredPackage(importlib.util.module_from_spec(spec), spec) for spec in specs]
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
            _log.debug("%s has another layout than expected and is imported in full: %s", _ROOT, error)
            for package in deferred:
                package.running = False
            for package in (client, models, root):  # the client first, as `__init__` of the root would
                package.run()
            return
        # `config` and `watch` import these two from the package: no reason to load the rest of it.
        vars(client.module).update(ApiClient=api_client, Configuration=configuration)
        for package in deferred:
            package.running = False


_install()

from kubernetes_asyncio.client.api_client import ApiClient  # noqa: E402
from kubernetes_asyncio.client.configuration import Configuration  # noqa: E402

__all__ = ["ApiClient", "Configuration"]
