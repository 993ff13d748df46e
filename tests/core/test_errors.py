"""Errors: what they show of the words of a server, and how much."""

from __future__ import annotations

import copy
import importlib
import pickle
import threading

import msgspec
import pytest

import kinform
import kinform.controllers
import kinform.sync
from kinform._errors import MAX_CAUSES, KinformError, OptionError, StatusCause, StatusError
from kinform._printable import in_seconds, printable, type_of, without_documents

HOSTILE = "line\nline\r\x1b[2J\x00\x9b\u2028\u202e\ud800" * 10_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Grüße, 世界", "Grüße, 世界"),
        ("a\nb\tc\x1b[31m", r"a\nb\tc\x1b[31m"),
        ("\u202e\U000e0001", r"\u202e\U000e0001"),
        ("\ud800", r"\ud800"),
        (None, ""),
        ("x" * 21, "x" * 17 + "..."),
        ("\n" * 21, r"\n" * 8 + r"\..."),
    ],
)
def test_control_characters_are_escaped_and_length_is_bounded(text, shown):
    assert printable(text, 20) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('pods "web" not found', 'pods "web" not found'),
        (r'patch: Invalid value: "{\"data\":{\"k\":7}}": no', 'patch: Invalid value: "{...}": no'),
        ('missing in \'{"a": 1}\' ({"a": 1, "se ...)', "missing in '{...}"),
        ("core.PodSpec{Env: a}: field is immutable", "core.PodSpec{...}: field is immutable"),
        ("{", "{...}"),
        (None, ""),
    ],
)
def test_objects_in_the_words_of_a_server_are_not_shown(text, shown):
    assert without_documents(text) == shown


class Secret(msgspec.Struct):
    data: dict[str, str]


SECRET = {"data": {"password": "hunter2"}}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (SECRET, "<dict>"),
        (msgspec.json.encode(SECRET), "<bytes>"),
        (Secret(SECRET["data"]), "<Secret>"),
        ([SECRET], "<list>"),
        (None, "None"),
        (7, "7"),
        (["a", 1], "['a', 1]"),
        (Secret, f"{Secret!r}"),
        (kinform.Scope(), "Scope()"),
    ],
)
def test_an_error_of_an_argument_shows_no_object(value, shown):
    error = OptionError("key", value, "a string")
    assert str(error) == f"key: {shown} is not allowed; expected a string"
    assert error.value is value


def test_no_word_of_a_server_is_unbounded_or_unprintable():
    cause = StatusCause(HOSTILE, HOSTILE, HOSTILE)
    details = {"name": HOSTILE, "kind": "", "group": HOSTILE, HOSTILE: HOSTILE}
    error = StatusError("v1/pods", 403, HOSTILE, message=HOSTILE, details=details, causes=[cause] * 1_000)
    assert len(error.causes) == MAX_CAUSES
    assert sorted(error.details) == ["group", "name"]
    shown = [error.reason, error.message, *error.details.values(), str(error)]
    for each in error.causes:
        shown += [each.reason, each.message, each.field]
    for text in shown:
        assert text.isprintable()
        assert r"line\nline\r\x1b[2J\x00" in text
        assert len(text) < 1_300


@pytest.mark.parametrize(
    "name", ["kinform.OptionError", "kinform.controllers.LeadershipLost", "kinform.sync.EndedError"]
)
def test_an_error_has_the_name_that_programs_import(name):
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    assert f"{found.__module__}.{found.__qualname__}" == name
    assert pickle.loads(pickle.dumps(found)) is found


@pytest.mark.parametrize(
    ("timeout", "shown"), [(60.0, "60 s"), (59.99987, "60 s"), (0.05, "0.05 s"), (-1e-9, "0 s"), (100, "100 s")]
)
def test_a_timeout_is_rounded(timeout, shown):
    assert in_seconds(timeout) == shown


ERRORS = [
    kinform.OptionError("Scope.namespaces", ["Shop"], "a list of DNS labels"),
    kinform.NotFoundError("v1/pods", 404, "NotFound", details={"kind": "pods"}, causes=[StatusCause("a", "b", "c")]),
    kinform.ExpiredError("v1/pods", 410, verb="watch", retry_after=2.0, hint="list it again"),
    kinform.TransportError("refused", reached=False),
    kinform.StalledError("no byte"),
    kinform.ProtocolError("no LIST", 7),
    kinform.SkippedError("v1/pods", "shop/a", "malformed", offset=3, size=9),
    kinform.DecodeError("shop/a", "$.spec.replicas", "missing"),
    kinform.SnapshotError("/tmp/pods", "a folder"),
    kinform.MemoryLimitError("v1/pods", 3, 900, 700, 800),
    kinform.sync.EndedError("the block has ended"),
    kinform.controllers.LeadershipLost("shop/operator", "another candidate holds it"),
    kinform.controllers.QueueShutDown("the queue was shut down"),
]
COPIES = [copy.copy, copy.deepcopy, *(lambda error, p=p: pickle.loads(pickle.dumps(error, p)) for p in range(6))]


def test_every_public_error_has_an_example():
    names = [(module, name) for module in (kinform, kinform.sync, kinform.controllers) for name in module.__all__]
    public = {getattr(module, name) for module, name in names}
    errors = {each for each in public if isinstance(each, type) and issubclass(each, KinformError)}
    with_attributes = {each for each in errors if "__init__" in vars(each)}
    assert with_attributes - {StatusError} <= {type(error) for error in ERRORS} <= errors


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_copied_and_pickled_with_its_attributes(error):
    for make in COPIES:
        copied = make(error)
        assert copied is not error
        assert (type(copied), copied.args, str(copied)) == (type(error), error.args, str(error))
        assert vars(copied) == vars(error)


def test_a_copy_has_the_text_of_a_value_that_is_not_picklable():
    lock = threading.Lock()
    function = lambda: None  # noqa: E731
    for value, text in ((lock, "<lock>"), (function, repr(function))):
        error = kinform.OptionError("handler", value, "another one")
        for make in COPIES:
            assert (str(make(error)), make(error).value) == (str(error), text)
        assert error.value is value


def test_an_error_about_a_secret_value_shows_its_type_alone():
    error = kinform.OptionError("obj", type_of({"data": "hunter2"}), "a msgspec.Struct")
    assert str(error) == "obj: a value of type dict is not allowed; expected a msgspec.Struct"
    for make in COPIES:
        assert (repr(make(error).value), make(error).value) == ("a value of type dict", "dict")
