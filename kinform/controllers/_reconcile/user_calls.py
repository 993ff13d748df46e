"""The user's `reconcile`: its type, its result, its checks and its call.

An ordinary function may return an awaitable, as a lambda around an asynchronous function does. So only the result of a
call shows whether it is asynchronous.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from kinform._checks import require_arguments, require_positive
from kinform._errors import OptionError
from kinform._throttled_log import function_name


class Requeue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A result of `reconcile`: reconcile this key again after some time.

    An earlier change of the object ends the wait. It is a success: the next failure begins with the shortest backoff.

    Attributes:
        after: Seconds to wait.

    Raises:
        OptionError: `after` is not a positive number.
    """

    after: float

    def __post_init__(self) -> None:
        require_positive("Requeue.after", self.after)


Reconcile = Callable[[str], Awaitable[Requeue | None]]

_ALLOWED = "an asynchronous function that takes a key"


class NotAsynchronous(Exception):
    """`reconcile` returns no awaitable.

    It ends the controller, as no exception of `reconcile` does.

    Args:
        error: The error that `run` raises.
    """

    def __init__(self, error: OptionError) -> None:
        super().__init__(error)
        self.error = error


def require_asynchronous(reconcile: Any) -> None:
    """Requires a function that takes a key, and may return an awaitable.

    Raises:
        OptionError: It is not callable with one argument, or a generator function.
    """
    require_arguments("reconcile", reconcile, 1, _ALLOWED)
    for function in (reconcile, reconcile.__call__):
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise OptionError("reconcile", function_name(function), f"{_ALLOWED}, without `yield`")


def call(reconcile: Reconcile, key: str) -> Awaitable[Requeue | None]:
    """Calls the user's function, and returns what it returns.

    Raises:
        NotAsynchronous: This cannot be awaited.
    """
    result: Any = reconcile(key)
    if not inspect.isawaitable(result):
        allowed = f"{_ALLOWED}; it has returned {type(result).__name__!r}"
        raise NotAsynchronous(OptionError("reconcile", function_name(reconcile), allowed))
    return result
