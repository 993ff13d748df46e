"""Facts about a function of a client: its client, its return type, how it streams.

Serves `kubernetes_asyncio`, `kubernetes.aio` and `kubernetes`. Imports none of them, except for a function that belongs
to none of those that the program has imported.
Source: `watch.py` of these clients.
"""

from __future__ import annotations

import functools
import inspect
import pydoc
import sys
from collections.abc import Callable
from typing import Any

from kinform._errors import OptionError
from kinform._models.client import Client, get_client
from kinform._printable import printable
from kinform._throttled_log import function_name

PYDOC_RETURN_LABEL = ":rtype:"
PYDOC_FOLLOW_PARAM = ":param follow:"
TYPE_LIST_SUFFIX = "List"
_OLD_RETURN_LABEL = ":return:"  # in the docstrings of `kubernetes` before version 36
_OLD_FOLLOW_PARAM = ":param bool follow:"

ASYNC_CLIENTS = ("kubernetes_asyncio.client", "kubernetes.aio.client")
SYNC_CLIENTS = ("kubernetes.client",)

USE_SYNC_WATCH = "for functions of kubernetes, use `for` with the Watch of kinform.sync.watch"
USE_ASYNC_WATCH = (
    "for functions of kubernetes_asyncio or kubernetes.aio, use `async for` with the Watch of kinform.watch"
)


def is_method_of_a_client(func: Any) -> bool:
    """Returns whether a function is a method of an API object."""
    return _api_client_of(func) is not None


def _api_client_of(func: Any) -> Any:
    while isinstance(func, functools.partial):
        func = func.func
    return getattr(getattr(func, "__self__", None), "api_client", None)


def client_of(func: Any, return_type: Any, candidates: tuple[str, ...]) -> Client:
    """Returns the client of a function.

    This is the client of the API object that the function is a method of, or that of the return type. For any other
    function, it is the first of `candidates` that the program has imported, or the first one.
    """
    for cls in type(_api_client_of(func)).__mro__:
        if cls.__name__ == "ApiClient":
            return get_client(cls.__module__.rpartition(".")[0])
    module = getattr(return_type, "__module__", "")
    known = [package for package in candidates if module.startswith(f"{package}.")]
    known += [package for package in candidates if package in sys.modules]
    return get_client(known[0] if known else candidates[0])


def _require_function(func: Any) -> None:
    """Raises TypeError for what a call of a function has returned."""
    if callable(func):
        return
    if inspect.iscoroutine(func):
        func.close()  # it will never be awaited
    raise TypeError(
        f"stream: expected a function, such as v1.list_namespaced_pod, got {type(func).__name__}; pass the function, "
        'do not call it: stream(v1.list_namespaced_pod, "shop")'
    )


def require_client(func: Any, package: str, clients: tuple[str, ...]) -> None:
    """Raises TypeError for no function, or for one of a client of the other kind."""
    _require_function(func)
    if package in (SYNC_CLIENTS if clients == ASYNC_CLIENTS else ASYNC_CLIENTS):
        raise TypeError(f"{name_of(func)} is a function of {package}: {_hint(clients)}")


def wrong_answer(func: Any, clients: tuple[str, ...]) -> TypeError:
    """Returns the error for a function that should, or should not, be async."""
    answer = "did not return an awaitable" if clients == ASYNC_CLIENTS else "returned an awaitable"
    return TypeError(f"{name_of(func)} {answer}: {_hint(clients)}")


def _hint(clients: tuple[str, ...]) -> str:
    """Names the Watch for the functions that the Watch for `clients` does not serve."""
    return USE_SYNC_WATCH if clients == ASYNC_CLIENTS else USE_ASYNC_WATCH


def name_of(func: Any) -> str:
    """Returns the name of a function, without its arguments."""
    while isinstance(func, functools.partial):
        func = func.func
    return printable(function_name(func))


def require_return_type(return_type: object) -> None:
    """Requires the type of objects as a Watch takes it: a class, a name, or None."""
    if not isinstance(return_type, type | str | None):
        raise OptionError("Watch.return_type", return_type, 'a class or name of a model, like "V1Pod", or None')


def return_type_of(func: Callable[..., Any], client: Client) -> Any:
    """Returns the type of the objects that a function streams: a name, a class, or "".

    It is the return type of the function without the suffix `List`. The annotation counts first, then the docstring.
    """
    annotation = _annotation(func, client)
    if inspect.isclass(annotation):
        name = annotation.__name__
        if name.endswith(TYPE_LIST_SUFFIX):
            return getattr(client.models, name.removesuffix(TYPE_LIST_SUFFIX))
        return annotation
    return (annotation or _documented_type(func)).removesuffix(TYPE_LIST_SUFFIX)


def _documented_type(func: Callable[..., Any]) -> str:
    lines = pydoc.getdoc(func).splitlines()
    for label in (PYDOC_RETURN_LABEL, _OLD_RETURN_LABEL):
        for line in lines:
            if line.startswith(label):
                found = line.removeprefix(label).strip()
                if label != _OLD_RETURN_LABEL or found.isidentifier():  # else it is a sentence
                    return found
    return ""


def _annotation(func: Callable[..., Any], client: Client) -> Any:
    """Returns the annotated return type if it is a class or the name of a model."""
    try:
        found = inspect.signature(func).return_annotation
    except (TypeError, ValueError):  # a callable without a signature
        return None
    if found is inspect.Signature.empty or found is Any:
        return None
    if isinstance(found, str):
        return found if client.package in sys.modules and hasattr(client.models, found) else None
    return found if inspect.isclass(found) else None


def follows_a_log(func: Callable[..., Any]) -> bool:
    """Returns whether a function streams by `follow=True` instead of `watch=True`."""
    doc = pydoc.getdoc(func)
    if PYDOC_FOLLOW_PARAM in doc or _OLD_FOLLOW_PARAM in doc:
        return True
    try:
        return "follow" in inspect.signature(func).parameters
    except (TypeError, ValueError):
        return False


def accepts_bookmarks(func: Callable[..., Any]) -> bool:
    """Returns whether a function has the argument `allow_watch_bookmarks`."""
    return "allow_watch_bookmarks:" in pydoc.getdoc(func)


def without_preload(func: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Returns a function that returns the response before its body, and its arguments.

    `kubernetes.aio` has a function of its own for this. The functions of other clients take `_preload_content`.
    """
    if inspect.ismethod(func):
        raw = getattr(func.__self__, f"{func.__name__}_without_preload_content", None)
        if raw is not None:
            return raw, {}
    return func, {"_preload_content": False}
