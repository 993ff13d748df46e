"""Objects of a program as JSON: encodes them, and reads their kind and names.

Errors name fields, never values: an object may be a Secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from kinform._decoding import is_model
from kinform._errors import OptionError
from kinform._options import Resource
from kinform._printable import NOT_SHOWN, type_of


class ClientModel(Protocol):
    """An object as a Kubernetes client decodes it, like `V1Pod`."""

    def to_dict(self) -> Any: ...


AnyObject: TypeAlias = Mapping[str, Any] | msgspec.Struct | bytes | ClientModel

OBJECT = "a dict or a msgspec.Struct"

E = TypeVar("E", bound="Envelope")


class ObjectNames(msgspec.Struct, frozen=True, gc=False):
    """Name and namespace in the metadata of an object; null counts as missing."""

    name: str | None = None
    namespace: str | None = None


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The apiVersion, the kind and the names of an object."""

    apiVersion: str | None = None
    kind: str | None = None
    metadata: ObjectNames | None = None


def encode_object(obj: object, resource: Resource | None) -> tuple[Envelope, bytes]:
    """Returns the kind and names of an object, and its JSON.

    Adds a missing apiVersion, and a kind that only the declaration of a Struct has.

    Args:
        obj: A dict or a Struct, which is encoded as it is declared.
        resource: The resource that the object must be of. None: any.

    Raises:
        OptionError: It is no object, cannot be encoded, or is of another apiVersion.
    """
    # With `omit_defaults`, a kind that is a default of the Struct is not in the JSON.
    kind = getattr(obj, "kind", None)
    body = encode("obj", obj, OBJECT)
    envelope = read_envelope(body, Envelope)
    if resource is None:
        return envelope, body
    return complete(envelope, body, resource, kind=kind if isinstance(kind, str) else "")


def read_envelope(body: bytes, type: type[E]) -> E:
    """Returns the kind and names of an object.

    Args:
        body: The JSON of the object.
        type: The type of the result.

    Raises:
        OptionError: It is no object.
    """
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:  # its text has types and a path, since no field has a constraint
        raise OptionError("obj", NOT_SHOWN, f"an object with texts where Kubernetes has them ({error})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise OptionError("obj", NOT_SHOWN, "the JSON of an object") from None


def complete(envelope: E, body: bytes, resource: Resource, *, kind: str) -> tuple[E, bytes]:
    """Adds a missing apiVersion, and a missing kind, to an object.

    Args:
        envelope: The envelope of the object.
        body: Its JSON.
        resource: The resource that it must be of.
        kind: The kind to add; `""`: none.

    Raises:
        OptionError: It is of another apiVersion.
    """
    missing: dict[str, str] = {}
    if not envelope.apiVersion:
        missing["apiVersion"] = resource.api_version
    elif envelope.apiVersion != resource.api_version:
        raise OptionError("obj.apiVersion", envelope.apiVersion, f'"{resource.api_version}", as in {resource}')
    if not envelope.kind and kind:
        missing["kind"] = kind
    if not missing:
        return envelope, body
    members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    body = msgspec.json.encode({**members, **missing})
    return msgspec.structs.replace(envelope, **missing), body


def encode(field: str, value: object, allowed: str) -> bytes:
    """Returns the JSON of an object or a patch.

    Raises:
        OptionError: It is neither a dict nor a Struct, or cannot be encoded.
    """
    if not isinstance(value, dict | msgspec.Struct):
        raise OptionError(field, type_of(value), allowed)
    body = encode_json(field, value)
    if not body.startswith(b"{"):  # a Struct that is array-like
        raise OptionError(field, type_of(value), f"{allowed} that is encoded as a JSON object")
    return body


def encode_model(field: str, model: object) -> bytes:
    """Returns the JSON of a model of a Kubernetes client.

    Raises:
        OptionError: A value cannot be encoded.
    """
    return encode_json(field, model, _members)


def encode_json(field: str, value: object, enc_hook: Callable[[Any], Any] | None = None) -> bytes:
    """Returns the JSON of a value.

    Args:
        field: Name of the argument, for the error message.
        value: The value.
        enc_hook: Converts a value of a type that msgspec does not know.

    Raises:
        OptionError: It cannot be encoded.
    """
    try:
        return msgspec.json.encode(value, enc_hook=enc_hook)
    except Exception as error:  # of msgspec: names a type. Any other may quote a value.
        why = f": {error}" if isinstance(error, TypeError) and not error.__cause__ else ""
        raise OptionError(field, NOT_SHOWN, f"values that JSON has ({type(error).__name__}{why})") from None


def _members(model: Any) -> dict[str, Any]:
    """Returns the members of a model of a Kubernetes client."""
    if not is_model(type(model)):
        raise TypeError(f"Encoding objects of type {type(model).__name__} is unsupported")
    values = {name: getattr(model, attribute) for attribute, name in model.attribute_map.items()}
    return {name: value for name, value in values.items() if value is not None}
