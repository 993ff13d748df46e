"""Bodies of writes other than objects: JSON patches and DeleteOptions."""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from kinform._checks import require_instance, require_integer, require_one_of
from kinform._encoding import encode_json
from kinform._errors import OptionError
from kinform._printable import type_of

Propagation = Literal["Background", "Foreground", "Orphan"]


def encode_operations(patch: object) -> bytes:
    """Returns the JSON of a JSON Patch.

    Raises:
        OptionError: It is no list of operations, or cannot be encoded.
    """
    allowed = 'a list of operations like {"op": "add", "path": "/metadata/labels/app", "value": "web"}'
    if not isinstance(patch, list | tuple) or not all(isinstance(each, dict | msgspec.Struct) for each in patch):
        raise OptionError("patch", type_of(patch), allowed)
    return encode_json("patch", patch)


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
        if value is not None and (not isinstance(value, str) or not value or not value.isprintable()):
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
