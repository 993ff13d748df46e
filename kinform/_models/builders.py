"""Builds the models of a client from decoded JSON, faster than the client does.

The models are equal to those of the client's `ApiClient.deserialize`. There are two generations of clients. In the
older one, a model has `openapi_types` and `attribute_map`: its plan is compiled once, and writes the fields of an
instance directly. In the newer one, a model is a pydantic class, which reads a whole tree at once. For all that a plan
does not know, the client itself is called.
Source: `api_client.py` of the clients.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import msgspec

from kinform._models.client import Client

Builder = Callable[[Any], Any]

_LIST = re.compile(r"[lL]ist\[(.*)\]")
_DICT = re.compile(r"[dD]ict[(\[][^,]*, (.*)[)\]]")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", re.ASCII)
_MISSING = re.compile(r"Invalid value for `(\w+)`, must not be `None`")
_PRIMITIVES: dict[str, type] = {"int": int, "long": int, "float": float, "str": str, "bool": bool}


@functools.cache
def builder_of(client: Client, type: Any) -> Builder:
    """Returns the function that builds a value of a type from its decoded JSON.

    Args:
        client: The client that has the models.
        type: A class, or a name as in `openapi_types`, such as `"V1Pod"`, `"list[V1Pod]"` or `"datetime"`.
    """
    if isinstance(type, str):
        if inner := _LIST.fullmatch(type):
            return _build_list(builder_of(client, inner[1]))
        if inner := _DICT.fullmatch(type):
            return _build_dict(builder_of(client, inner[1]))
        if type in _PRIMITIVES:
            return _build_primitive(_PRIMITIVES[type])
        if type == "datetime":
            return _build_time(client)
        if type == "object":
            return _return_value
        found = getattr(client.models, type, None)
        if found is None:
            return functools.partial(_ask_client, client, type)
        type = found
    if type is object:
        return _return_value
    if type in _PRIMITIVES.values():
        return _build_primitive(type)
    if hasattr(type, "model_validate") and hasattr(type, "from_dict"):
        return _build_pydantic(type)
    plan = _Plan.of(client, type)
    return functools.partial(_ask_client, client, type) if plan is None else plan.build


def _return_value(data: Any) -> Any:
    return data


def _ask_client(client: Client, type: Any, data: Any) -> Any:
    """Lets the client itself build a value."""
    api_client = object.__new__(client.api_client)  # its constructor opens a session
    text = msgspec.json.encode(data).decode()
    if "response_text" in inspect.signature(api_client.deserialize).parameters:
        return api_client.deserialize(response_text=text, response_type=type, content_type="application/json")
    return api_client.deserialize(SimpleNamespace(data=text), type)


def missing_field(error: BaseException) -> str:
    """Returns the path of the required field whose absence a builder has raised.

    Source: the messages of the models' setters.

    Returns:
        The path, such as `"spec.containers"`, or `""` for any other error.
    """
    missing = _MISSING.match(str(error))
    if not missing:
        return ""
    steps = getattr(error, "steps", [])
    return "".join([*reversed(steps), "" if getattr(error, "is_whole", False) else f".{missing[1]}"])[1:]


def _note(error: BaseException, step: str) -> None:
    """Notes on its way up from where in the object an error comes."""
    vars(error).setdefault("steps", []).append(step)


def _build_list(build: Builder) -> Builder:
    def build_all(data: Any) -> Any:
        try:
            return None if data is None else [build(item) for item in data]
        except Exception as error:
            _note(error, "[...]")
            raise

    return build_all


def _build_dict(build: Builder) -> Builder:
    def build_all(data: Any) -> Any:
        try:
            return None if data is None else {key: build(value) for key, value in data.items()}
        except Exception as error:
            _note(error, "[...]")
            raise

    return build_all


def _build_primitive(cls: type) -> Builder:
    def build(data: Any) -> Any:
        if data is None or data.__class__ is cls:
            return data
        try:
            return cls(data)
        except TypeError:  # a list or an object where the model has a scalar
            return data

    return build


def _build_time(client: Client) -> Builder:
    utc = _ask_client(client, "datetime", "2000-01-01T00:00:00Z").tzinfo

    def build(data: Any) -> Any:
        if isinstance(data, str) and _TIME.fullmatch(data):
            try:
                return datetime.fromisoformat(data[:-1]).replace(tzinfo=utc)
            except ValueError:  # such as month 13
                pass
        return None if data is None else _ask_client(client, "datetime", data)

    return build


def _build_pydantic(cls: Any) -> Builder:
    def build(data: Any) -> Any:
        try:
            return cls.model_validate(data)
        except ValueError as whole:  # from_dict ignores fields that the model does not have, and raises for real errors
            try:
                return cls.from_dict(data)
            except ValueError as error:
                error.__context__ = whole  # which pydantic does not set
                raise

    return build


class _Plan:
    """The plan of one model: builds its instances.

    Attributes:
        cls: The class of the model.
        template: The attributes of an instance without values.
        fields: By name in the JSON: the attribute, and the builder of its value.
        required: Properties that must not be None, with their attributes.
    """

    def __init__(self, client: Client, cls: Any, template: dict[str, Any], required: dict[str, str]) -> None:
        self.cls = cls
        self.template = template
        self.required = tuple(required.items())
        self._client = client
        self._fields: dict[str, tuple[str, Builder]] | None = None

    @classmethod
    def of(cls, client: Client, model: Any) -> _Plan | None:
        """Returns the plan of a model, or None for an unusual class."""
        types, names = getattr(model, "openapi_types", None), getattr(model, "attribute_map", None)
        if not types or not isinstance(names, dict) or hasattr(model, "get_real_child_model"):
            return None
        required = {}
        for name in types:
            setter = getattr(getattr(model, name, None), "fset", None)
            if setter is None or not {*setter.__code__.co_names} <= {f"_{name}", *_CHECK}:
                return None
            if len(setter.__code__.co_names) > 1:
                required[name] = f"_{name}"
        try:
            template = dict(vars(model(**dict.fromkeys(required, ""))))
        except (TypeError, ValueError):
            return None
        template |= dict.fromkeys(required.values())
        if not {f"_{name}" for name in types} <= template.keys():
            return None
        return cls(client, model, template, required)

    @property
    def fields(self) -> dict[str, tuple[str, Builder]]:
        # Not in __init__: a model may contain itself.
        if self._fields is None:
            names, types = self.cls.attribute_map, self.cls.openapi_types
            self._fields = {names[name]: (f"_{name}", builder_of(self._client, type)) for name, type in types.items()}
        return self._fields

    def build(self, data: Any) -> Any:
        """Returns an instance.

        Raises:
            ValueError: A required field is missing, and the client's configuration demands validation.
        """
        if data is None:
            return None
        if not isinstance(data, dict):
            return _ask_client(self._client, self.cls, data)
        instance = object.__new__(self.cls)
        attributes = instance.__dict__
        attributes.update(self.template)
        fields = self._fields or self.fields
        for key, value in data.items():
            if value is not None and (field := fields.get(key)) is not None:
                try:
                    attributes[field[0]] = field[1](value)
                except Exception as error:
                    _note(error, f".{key}")
                    raise
        for name, attribute in self.required:
            if attributes[attribute] is None:
                try:
                    setattr(instance, name, None)
                except ValueError as error:
                    _note(error, f".{self.cls.attribute_map[name]}")
                    vars(error)["is_whole"] = True  # the message has the name in Python
                    raise
        return instance


# The names in the setter of a required property.
_CHECK = ("local_vars_configuration", "client_side_validation", "ValueError")
