"""kinform.sync has the methods of kinform, with equal arguments and descriptions."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import kinform
import kinform.sync

# Classes of kinform with asynchronous methods that threads do not need.
ABSENT_CLASSES = {
    "Response": "a part of a transport, which the event loop calls",
    "Transport": "the event loop calls it",
    "Writer": "only `reflector` calls it",
}
# The methods that a blocking class lacks.
ABSENT = {
    "Changes": {"aclose", "decode", "notify_synced", "take"},  # for informers; the block has `close`
    "Connection": {"api_client", "identity", "open"},  # of a transport, and of a client for coroutines
    "Stream": {"error", "fail", "failures", "refusals", "report", "set_shards", "steps"},  # for informers
}
# Arguments of the blocking form alone: a coroutine has `asyncio.timeout`.
ADDED = {"connect": {"configuration"}, "failed": {"timeout"}}
ADDED_METHODS = {"Changes": {"next"}, "Stream": {"close"}}  # a coroutine is cancelled instead


def is_asynchronous(found: Any) -> bool:
    """Returns whether a public name has anything to await."""
    if not inspect.isclass(found):
        return inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found)
    members = vars(found)
    return bool({"__aenter__", "__aiter__", "__anext__"} & members.keys()) or any(
        inspect.iscoroutinefunction(member) for name, member in members.items() if not name.startswith("_")
    )


CLASSES = [
    name
    for name in kinform.__all__
    if name not in ABSENT_CLASSES
    and inspect.isclass(getattr(kinform, name))
    and is_asynchronous(getattr(kinform, name))
]
FUNCTIONS = ["connect", "reflector", "watcher"]


def public(cls: type) -> dict[str, Any]:
    """Returns the public methods and properties of a class."""
    bases = [base for base in reversed(cls.__mro__) if base.__module__.startswith("kinform")]
    return {
        name: member
        for base in bases
        for name, member in vars(base).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))
    }


def function_of(member: Any) -> Any:
    return member.fget if isinstance(member, property) else member


def parameters(function: Any) -> dict[str, tuple[Any, Any, str]]:
    """Returns kind, default and annotation of each parameter."""
    return {
        name: (each.kind, each.default, str(each.annotation).replace("kinform.", ""))
        for name, each in inspect.signature(function).parameters.items()
    }


def first_line(function: Any) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]


def compare(async_function: Any, blocking: Any) -> None:
    expected, found = parameters(async_function), parameters(blocking)
    if "api" in expected:
        assert found["api"] == (*expected["api"][:2], "Connection | Transport")
        found["api"] = expected["api"]
    for name in ADDED.get(blocking.__name__, ()):
        del found[name]
    assert found == expected
    assert first_line(blocking) == first_line(async_function).replace("async ", "")
    assert not inspect.iscoroutinefunction(blocking)


def test_every_asynchronous_name_has_a_blocking_one():
    asynchronous = {name for name in kinform.__all__ if is_asynchronous(getattr(kinform, name))}
    assert asynchronous - ABSENT_CLASSES.keys() <= set(kinform.sync.__all__)
    assert set(FUNCTIONS) <= set(kinform.sync.__all__)


@pytest.mark.parametrize("name", CLASSES)
def test_a_blocking_class_has_the_methods_of_the_other(name):
    expected, found = public(getattr(kinform, name)), public(getattr(kinform.sync, name))
    absent, added = ABSENT.get(name, set()), ADDED_METHODS.get(name, set())
    assert absent <= expected.keys(), "an exception that excepts nothing"
    assert found.keys() - added == expected.keys() - absent
    for member in expected.keys() - absent:
        assert type(found[member]) is type(expected[member]), member
        compare(function_of(expected[member]), function_of(found[member]))


@pytest.mark.parametrize("name", CLASSES)
def test_a_blocking_class_is_made_in_the_same_way(name):
    made, blocking = getattr(kinform, name), getattr(kinform.sync, name)
    if name in ("Changes", "Connection", "Stream"):  # functions make them
        return
    expected, found = parameters(made.__init__), parameters(blocking.__init__)
    assert found.pop("api")[2] == "Connection | Transport"
    del expected["api"]
    assert found == expected
    assert first_line(blocking) == first_line(made)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_blocking_function_takes_the_same_arguments(name):
    compare(getattr(kinform, name), getattr(kinform.sync, name))


def test_every_blocking_name_is_listed_sorted_and_documented():
    assert kinform.sync.__all__ == sorted(kinform.sync.__all__)
    for name in kinform.sync.__all__:
        assert getattr(kinform.sync, name).__doc__


def test_a_factory_takes_the_arguments_of_an_informer():
    expected, found = parameters(kinform.Informer.__init__), parameters(kinform.Factory.informer)
    del expected["api"]
    assert found == expected
