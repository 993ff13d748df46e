"""Checks of functions: kinform refuses those that it could not call, no others."""

from __future__ import annotations

import copy
import functools
import pickle
from unittest.mock import Mock

import pytest

import kinform
from kinform._checks import require_handler, require_synchronous
from kinform._errors import OptionError


def wrapped(function):
    @functools.wraps(function)
    def call(*arguments):
        return function()

    return call


class Bound:
    def two(self, old, new): ...

    def __call__(self, found): ...


@pytest.mark.parametrize(
    "handler", [print, [].append, dict, Mock(), Bound(), wrapped(lambda: None), lambda *a: None, lambda a, b=1: None]
)
def test_a_handler_that_takes_one_argument_passes(handler):
    require_handler(handler, "object")


def test_a_handler_that_takes_two_arguments_passes():
    for handler in (Bound().two, max, functools.partial(print, "x"), lambda old, new, more=None: None):
        require_handler(handler, "old, new")


@pytest.mark.parametrize("handler", [lambda: None, lambda a, b: None, Bound().two, lambda *, key: None, "text", None])
def test_a_handler_that_takes_another_number_is_refused(handler):
    with pytest.raises(OptionError, match=r"^handler: .*expected a callable with 1 argument: handler\(object\)"):
        require_handler(handler, "object")


def test_the_error_names_the_arguments():
    with pytest.raises(OptionError, match=r"expected a callable with 2 arguments: handler\(old, new\)"):
        require_handler(lambda new: None, "old, new")


async def coroutine_function(found): ...


def generator_function(found):
    yield found


async def async_generator_function(found):
    yield found


class AsynchronousCall:
    async def __call__(self, found): ...


@pytest.mark.parametrize("function", [print, [].append, dict, Mock(), Bound(), wrapped(lambda: None), lambda *a: None])
def test_a_synchronous_callable_passes(function):
    require_synchronous("on_error", function, "a function")


@pytest.mark.parametrize(
    "function",
    [
        coroutine_function,
        generator_function,
        async_generator_function,
        AsynchronousCall(),
        AsynchronousCall().__call__,
        functools.partial(coroutine_function, 1),
        "text",
    ],
)
def test_a_function_that_runs_after_its_call_is_refused(function):
    for make in (
        lambda: kinform.WatchOptions(on_error=function),
        lambda: kinform.Informer(Mock(kinform.Transport), "v1/pods", transform=function),
    ):
        with pytest.raises(OptionError) as caught:
            make()
        assert caught.value.field in ("WatchOptions.on_error", "transform")
        assert caught.value.value is function


@pytest.mark.parametrize("value", [1e6, 0.5, -1.0])
def test_a_float_in_place_of_an_integer_is_named_as_the_mistake(value):
    for options in ({"memory_limit": value}, {"queue_bound": value}):
        with pytest.raises(OptionError, match=r"expected a positive number of .*; as an integer$"):
            kinform.Informer(Mock(kinform.Transport), "v1/pods", **options)


def test_pickling_an_informer_or_a_store_is_a_clear_error():
    pods = kinform.Informer(Mock(kinform.Transport), "v1/pods")
    for thing in (pods, pods.store):
        for make in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(
                TypeError, match=r"^cannot pickle <kinform\.\w+ of v1/pods: .*start an informer in the other process$"
            ):
                make(thing)
