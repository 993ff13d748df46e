"""The package of a Kubernetes client. Its modules are imported at their first use."""

from __future__ import annotations

import functools
import importlib
from typing import Any


class Client:
    """The package of a client, such as `kubernetes_asyncio.client`.

    Attributes:
        package: Its name. Its modules are imported at their first use.
    """

    def __init__(self, package: str) -> None:
        self.package = package

    @functools.cached_property
    def api_exception(self) -> Any:
        """The class of the errors that the program catches."""
        return importlib.import_module(f"{self.package}.exceptions").ApiException

    @functools.cached_property
    def models(self) -> Any:
        """The module of the models."""
        return importlib.import_module(f"{self.package}.models")

    @functools.cached_property
    def api_client(self) -> Any:
        """The class ApiClient."""
        return importlib.import_module(f"{self.package}.api_client").ApiClient


get_client = functools.cache(Client)
