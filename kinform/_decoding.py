"""Decoding: the JSON of an object to the type that a reader wants."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from kinform._errors import DecodeError, OptionError
from kinform._models.builders import builder_of, missing_field
from kinform._models.client import get_client
from kinform._paths.conflicts import check_required_fields
from kinform._paths.prune_program import Program

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=dict[str, Any])
else:  # only type checkers know defaults (PEP 696) in every supported Python
    from typing import TypeVar

    T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

DICT: type[dict[str, Any]] = dict
"""The default of every `type`. Type checkers accept no default of a type variable, but infer from it."""

# The messages of msgspec may quote values. Only names of the type, and names of JSON types, are copied from them.
_PATH = re.compile(r" - at (?:`key` in )?`(\$[^`]*)`\Z")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_EXPECTED = re.compile(r"Expected `([\w |]+)`, got `(\w+)`")
_UNKNOWN = "Object contains unknown field"


class Decoder(Protocol[T_co]):
    """Decodes JSON to one type."""

    def decode(self, buf: bytes, /) -> T_co: ...


def make_decoder(type: type[T]) -> Decoder[T]:
    """Returns a decoder: to a model of a client, or to any type of msgspec."""
    return _ModelDecoder(type) if is_model(type) else msgspec.json.Decoder(type)


def decode_object(decoder: Decoder[T], key: str, raw: bytes) -> T:
    """Decodes the JSON of an object. The error names key and path, never a value."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = _place(error)
    raise DecodeError(key, *place)  # not in the `except`: the context of an error shows values, too


def is_model(type: Any) -> bool:
    """Returns whether a type is a model of a Kubernetes client."""
    return isinstance(type, _CLASS) and ".client.models." in type.__module__ and _metadata_of(type) is not None


def check_type(type: Any, program: Program | None, cause: str = "pruning") -> None:
    """Checks that objects decode to a type after a program has dropped fields.

    A model of a client cannot be asked which fields it requires. It refuses an object without them at each decoding.

    Args:
        type: The type that objects are decoded to.
        program: The program, or None if nothing is dropped.
        cause: The option that drops fields, for the message.

    Raises:
        OptionError: No object decodes to the type, or a required field is dropped. The message names the field.
    """
    if not is_model(type):
        check_required_fields(type, program, cause)
    elif "V1ObjectMeta" not in _metadata_of(type):
        raise OptionError("type", type, "the model of an object, like V1Pod, not of a part or of a list")


def _metadata_of(model: Any) -> Any:
    """Returns the type of the field `metadata`, `""` without it, None if no model."""
    if hasattr(model, "openapi_types"):
        return model.openapi_types.get("metadata", "")
    if hasattr(model, "model_fields"):  # a pydantic class, in newer clients
        return str(getattr(model.model_fields.get("metadata"), "annotation", ""))
    return None


class _ModelDecoder:
    """Decodes JSON to a model of a Kubernetes client."""

    def __init__(self, model: Any) -> None:
        package = model.__module__.partition(".models")[0]
        self._build = builder_of(get_client(package), model)

    def decode(self, buf: bytes, /) -> Any:
        data = msgspec.json.decode(buf)
        try:
            return self._build(data)
        except Exception as error:  # its text may quote a value
            missing = _missing_field(error)
            raise msgspec.ValidationError(f"Object missing required field `{missing}`" if missing else "") from None


def _missing_field(error: Any) -> str:
    """Returns the required field that a model misses, or `""`."""
    if missing := missing_field(error):
        return missing
    found = error.errors() if hasattr(error, "errors") else []  # of pydantic
    if not any(each["input"] is None for each in found):
        return ""
    whole: list[Any] = getattr(error.__context__, "errors", list)()  # the other validation was of a part of the object
    path = next((each["loc"] for each in whole if each["type"] == "missing"), found[0]["loc"])
    return "".join("[...]" if isinstance(step, int) else f".{step}" for step in path)[1:]


_CLASS = type


def _place(error: Exception) -> tuple[str, str]:
    """Returns the path in the type at which an object does not fit, and the reason."""
    text = str(error)
    if text.startswith(_UNKNOWN):  # the name of the field, any text, can look like a path
        return "", "unknown field"
    of_type = error.__cause__ is not None  # the text of an exception that the type raised can quote anything
    if of_type:
        text = text.removeprefix(str(error.__cause__))
    found = _PATH.search(text)
    path = found[1] if found else ""
    what = text[: found.start()] if found else text
    if of_type:
        return path, ""
    if missing := _MISSING.fullmatch(what):
        return f"{path or '$'}.{missing[1]}", "missing"
    if expected := _EXPECTED.fullmatch(what):
        return path, f"expected {expected[1]}, got {expected[2]}"
    return path, ""
