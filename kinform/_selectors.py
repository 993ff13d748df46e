"""Label and field selectors: grammar checks, and local matching of labels.

The grammar is that of the API server. Which fields can be selected depends on the resource, and only the server knows.
Source: "Labels and Selectors" in the Kubernetes concepts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kinform._errors import OptionError

LabelMatch = Callable[[Mapping[str, str]], bool]

# Texts, not compiled patterns: most processes use none of them.
_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
LABEL_KEY = rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}"
LABEL_VALUE = rf"(?:{_NAME})?"
_SET = r"(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)"
_EQUAL = r"(?P<key>[^\s!=,()]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s!=,()]*)"
_EXISTS = r"(?P<op>!?)\s*(?P<key>[^\s!=,()<>]+)"
_COMPARE = r"(?P<key>[^\s!=,()<>]+)\s*(?P<op>[<>])\s*(?P<value>-?\d+)"
_FIELD = r"(?P<key>[A-Za-z0-9_.\-/\[\]]+)\s*(?:==|!=|=)\s*(?:[^\\,=\ud800-\udfff]|\\[\\,=])*"

_LABEL_GRAMMAR = (
    "requirements joined by commas: key=value, key!=value, key in (a,b), key notin (a,b), key, !key, key<1, key>1"
)
_FIELD_GRAMMAR = "requirements joined by commas: field=value, field==value or field!=value"


def parse_label_selector(text: str, *, field: str) -> LabelMatch:
    """Compiles a label selector to a predicate on the labels of an object.

    Args:
        text: The selector; `""` matches every object.
        field: Name of the option, for the error message.

    Raises:
        OptionError: The selector is not valid. The message names the invalid requirement.
    """
    _require_text(text, field, 'a string like "app=web", which `Selector.labels` makes of a dict')
    matches = [_requirement(part.strip(), text, field) for part in _split(text)] if text.strip() else []
    return lambda labels: all(match(labels) for match in matches)


def label_keys(text: str) -> list[str]:
    """Returns the keys of the labels that a valid selector reads."""
    patterns = (_SET, _EQUAL, _EXISTS, _COMPARE)
    parts = map(str.strip, _split(text))
    return [found["key"] for part in parts for pattern in patterns if (found := re.fullmatch(pattern, part))]


def required_labels(text: str) -> list[tuple[str, str]]:
    """Returns the labels that every match of a valid selector has, as keys and values."""
    found = []
    for part in map(str.strip, _split(text)):
        if equal := re.fullmatch(_EQUAL, part):
            if equal["op"] != "!=":
                found.append((equal["key"], equal["value"]))
        elif (of := re.fullmatch(_SET, part)) and of["op"] == "in" and "," not in of["values"]:
            found.append((of["key"], of["values"].strip()))
    return found


def check_field_selector(text: str, *, field: str) -> None:
    """Checks the grammar of a field selector.

    Raises:
        OptionError: The selector is not valid. The message names the invalid requirement.
    """
    _require_text(text, field, 'a string like "spec.nodeName=node-7", which `Selector.fields` makes of a dict')
    for part in re.split(r"(?<!\\),", text) if text.strip() else ():
        if not re.fullmatch(_FIELD, part.strip()):
            raise OptionError(field, text, f"{_FIELD_GRAMMAR}; {part.strip()!r} is not a requirement")


def field_paths(text: str) -> list[str]:
    """Returns the paths of the fields that a valid field selector reads."""
    parts = re.split(r"(?<!\\),", text)
    return [found["key"] for part in parts if (found := re.fullmatch(_FIELD, part.strip()))]


def selects_identity(text: str, namespace: str, name: str) -> bool:
    """Returns whether a valid field selector admits a namespace and a name."""
    values = {"metadata.namespace": namespace, "metadata.name": name}
    for part in re.split(r"(?<!\\),", text) if text.strip() else ():
        field, op, value = (each.strip() for each in re.split(r"(==|!=|=)", part, maxsplit=1))
        value = re.sub(r"\\(.)", r"\1", value)  # as `escape_field` has escaped it
        if field in values and (values[field] == value) == (op == "!="):
            return False
    return True


def _require_text(text: object, field: str, allowed: str) -> None:
    if not isinstance(text, str):
        raise OptionError(field, text, allowed)


def _split(text: str) -> list[str]:
    return re.split(r",(?![^(]*\))", text)  # but not at commas inside parentheses


def _requirement(part: str, text: str, field: str) -> LabelMatch:
    if found := re.fullmatch(_SET, part):
        values = frozenset(value.strip() for value in found["values"].split(","))
    elif found := re.fullmatch(_EQUAL, part):
        values = frozenset((found["value"],))
    elif found := re.fullmatch(_EXISTS, part) or re.fullmatch(_COMPARE, part):
        values = frozenset()
    else:
        raise OptionError(field, text, f"{_LABEL_GRAMMAR}; {part!r} is not a requirement")
    key, op = found["key"], found["op"]
    if not re.fullmatch(LABEL_KEY, key):
        raise OptionError(field, text, f"{_LABEL_GRAMMAR}; {key!r} is not a label key")
    for value in values:
        if not re.fullmatch(LABEL_VALUE, value):
            raise OptionError(field, text, f"{_LABEL_GRAMMAR}; {value!r} is not a label value")
    if op in ("in", "=", "=="):
        return lambda labels: labels.get(key) in values
    if op in ("notin", "!="):
        return lambda labels: labels.get(key) not in values
    if op == "!":
        return lambda labels: key not in labels
    if op in ("<", ">"):
        return _comparison(key, op, int(found["value"]))
    return lambda labels: key in labels


def _comparison(key: str, op: str, bound: int) -> LabelMatch:
    def matches(labels: Mapping[str, str]) -> bool:
        value = labels.get(key, "")
        if not re.fullmatch(r"-?\d+", value):
            return False
        return int(value) < bound if op == "<" else int(value) > bound

    return matches
