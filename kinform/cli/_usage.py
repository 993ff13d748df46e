"""Errors of options, in the words of the command line."""

from __future__ import annotations

from kinform._errors import OptionError

_FLAGS = {
    "resource": "RESOURCE",
    "Scope.namespaces": "--namespace",
    "Scope.label_selector": "--selector",
    "Scope.field_selector": "--field-selector",
    "Prune.drop": "--drop",
    "Prune.keep": "--keep",
    "connect.context": "--context",
    "connect.target": "--kubeconfig",
}
_ALLOWED = {
    "RESOURCE": "pods, deployments.apps, v1/pods or apps/v1/deployments",
    "--namespace": 'a name of a-z, 0-9 and "-"',
}


def usage_text(error: OptionError) -> str:
    """Returns the message, with the option as it is written in the shell."""
    flag = _FLAGS.get(error.field, error.field)
    allowed = _ALLOWED.get(flag, error.allowed)
    if error.value is None:
        return f"{flag}: expected {allowed}"
    value = " ".join(error.value) if isinstance(error.value, tuple | list) else error.value
    return f'{flag}: "{value}" is not valid: expected {allowed}'
