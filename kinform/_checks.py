"""Checks of arguments. Each raises an `OptionError` with the allowed values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping

from kinform._errors import OptionError


def require_match(field: str, value: object, pattern: re.Pattern[str], allowed: str) -> None:
    """Requires a string that matches the whole pattern."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise OptionError(field, value, allowed)


def require_scope(key: str, *, namespaced: bool) -> None:
    """Requires a key that has a namespace exactly if the resource is namespaced."""
    if namespaced and "/" not in key:
        raise OptionError("key", key, '"namespace/name": an object in a namespace needs it in its key')
    if not namespaced and "/" in key:
        raise OptionError("key", key, '"name": an object of a cluster-scoped resource has no namespace')


def require_instance(field: str, value: object, type: type[object], allowed: str) -> None:
    """Requires an instance of the type."""
    if not isinstance(value, type):
        raise OptionError(field, value, allowed)


def require_callable(field: str, value: object, allowed: str) -> None:
    """Requires a callable."""
    if not callable(value):
        raise OptionError(field, value, allowed)


def require_synchronous(field: str, value: object, allowed: str) -> None:
    """Requires a callable that has run when its call returns.

    A lambda around a coroutine function passes: only its result shows it.
    """
    require_callable(field, value, allowed)
    for function in (value, getattr(value, "__call__", None)):  # noqa: B004 (of an object)
        for is_deferred in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
            if is_deferred(function):
                raise OptionError(field, value, f"{allowed}, without `async` and `yield`")


def require_handler(handler: object, arguments: str) -> None:
    """Requires a callable that takes these arguments, such as `"old, new"`."""
    count = len(arguments.split(", "))
    allowed = f"a callable with {count} {'argument' if count == 1 else 'arguments'}: handler({arguments})"
    require_arguments("handler", handler, count, allowed)


def require_arguments(field: str, value: object, count: int, allowed: str) -> None:
    """Requires a callable that takes this number of arguments.

    A callable whose parameters are not known passes.
    """
    if not callable(value):
        raise OptionError(field, value, allowed)
    try:  # not those of a function that it wraps: it may pass other arguments
        signature = inspect.signature(value, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*range(count))
    except TypeError:
        raise OptionError(field, value, allowed) from None


def require_strings(field: str, value: object, allowed: str) -> tuple[str, ...]:
    """Requires an iterable of strings, but not a single string; returns a tuple."""
    # A single string is iterable too, and each of its letters would pass for a name.
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise OptionError(field, value, allowed)
    strings = tuple(value)
    for string in strings:
        require_instance(field, string, str, allowed)
    return strings


def require_one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    """Requires one of these strings."""
    if value not in allowed:
        raise OptionError(field, value, " or ".join(f'"{choice}"' for choice in allowed))


def require_number(field: str, value: object, allowed: str, accepts: Callable[[float], bool]) -> None:
    """Requires a number that the predicate accepts."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not accepts(value):
        raise OptionError(field, value, allowed)


def require_positive(field: str, value: object) -> None:
    """Requires a finite number of seconds above 0."""
    require_number(field, value, "a positive number of seconds", lambda n: 0 < n < float("inf"))


def require_timeout(timeout: object) -> None:
    """Requires a number of seconds, or None.

    It may be negative, as the rest of a deadline that has passed.
    """
    if timeout is not None:
        require_number("timeout", timeout, "a number of seconds, or None", lambda n: float("-inf") <= n <= float("inf"))


def require_max_age(max_age: object) -> None:
    """Requires a finite number of seconds above 0, or None."""
    if max_age is not None:
        require_number("max_age", max_age, "a positive number of seconds, or None", lambda n: 0 < n < float("inf"))


def require_integer(field: str, value: object, minimum: int, allowed: str) -> None:
    """Requires an integer of at least `minimum`."""
    if isinstance(value, float):  # such as 1e6
        raise OptionError(field, value, f"{allowed}; as an integer")
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise OptionError(field, value, allowed)
