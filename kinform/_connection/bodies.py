"""Bodies of writes: encodes objects and patches, and reads whose they are.

Errors name fields, never values: an object may be a Secret.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from kinform._checks import require_instance, require_integer, require_one_of
from kinform._errors import OptionError
from kinform._options import Resource

Propagation = Literal["Background", "Foreground", "Orphan"]

NOT_SHOWN = "(not shown)"
OBJECT = "a dict or a msgspec.Struct"


class Metadata(msgspec.Struct, frozen=True, gc=False):
    """The identity of an object that is written; null counts as missing."""

    name: str | None = None
    namespace: str | None = None


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The members that say what an object is."""

    apiVersion: str | None = None
    kind: str | None = None
    metadata: Metadata | None = None


def encode_object(obj: object, resource: Resource | None) -> tuple[Envelope, bytes]:
    """Returns what an object is, and its JSON.

    Adds a missing apiVersion, and a kind that only the declaration of a Struct has.

    Args:
        obj: A dict or a Struct, which is encoded as it is declared.
        resource: The resource that the object must be of. None: any.

    Raises:
        OptionError: It is no object, cannot be encoded, or is of another apiVersion.
    """
    body = encode("obj", obj, OBJECT)
    try:
        envelope = msgspec.json.decode(body, type=Envelope)
    except msgspec.ValidationError as error:  # its text has types and a path, since no field has a constraint
        raise OptionError("obj", NOT_SHOWN, f"an object with texts where Kubernetes has them ({error})") from None
    if resource is None:
        return envelope, body
    missing: dict[str, str] = {}
    if not envelope.apiVersion:
        missing["apiVersion"] = resource.api_version
    elif envelope.apiVersion != resource.api_version:
        raise OptionError("obj.apiVersion", envelope.apiVersion, f'"{resource.api_version}", as in {resource}')
    # With `omit_defaults`, a kind that is a default of the Struct is not in the JSON.
    if not envelope.kind and isinstance(kind := getattr(obj, "kind", None), str) and kind:
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
        raise OptionError(field, type(value).__name__, allowed)
    body = _json(field, value)
    if not body.startswith(b"{"):  # a Struct that is array-like
        raise OptionError(field, type(value).__name__, f"{allowed} that is encoded as a JSON object")
    return body


def encode_operations(patch: object) -> bytes:
    """Returns the JSON of a JSON Patch.

    Raises:
        OptionError: It is no list of operations, or cannot be encoded.
    """
    allowed = 'a list of operations like {"op": "add", "path": "/metadata/labels/app", "value": "web"}'
    if not isinstance(patch, list | tuple) or not all(isinstance(each, dict | msgspec.Struct) for each in patch):
        raise OptionError("patch", type(patch).__name__, allowed)
    return _json("patch", patch)


def delete_options(
    uid: str | None,
    resource_version: str | None,
    propagation: Propagation | None,
    grace_period: int | None,
    dry_run: bool,
) -> bytes:
    """Returns the JSON of DeleteOptions; None: the option is not in it.

    Raises:
        OptionError: An option is not valid.
    """
    for field, value in (("uid", uid), ("resource_version", resource_version)):
        if value is not None and (not isinstance(value, str) or not value):
            raise OptionError(field, value, f"the {field} of an object, or None")
    if propagation is not None:
        require_one_of("propagation", propagation, get_args(Propagation))
    if grace_period is not None:
        require_integer("grace_period", grace_period, 0, "0 or more seconds, or None")
    require_instance("dry_run", dry_run, bool, "True or False")
    expected = {"uid": uid, "resourceVersion": resource_version}
    options: dict[str, Any] = {
        "preconditions": {name: value for name, value in expected.items() if value} or None,
        "propagationPolicy": propagation,
        "gracePeriodSeconds": grace_period,
        "dryRun": ["All"] if dry_run else None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return msgspec.json.encode({"kind": "DeleteOptions", "apiVersion": "v1", **given})


def _json(field: str, value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except Exception as error:  # of msgspec: names a type. Any other may quote a value.
        why = f": {error}" if isinstance(error, TypeError) and not error.__cause__ else ""
        raise OptionError(field, NOT_SHOWN, f"values that JSON has ({type(error).__name__}{why})") from None
