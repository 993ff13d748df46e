"""Label and field selectors: checked before they are sent, and label selectors matched locally.

The grammar is the API server's; what depends on the resource (which fields may be selected) only the server
knows. Source: Kubernetes' concepts page on labels and selectors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kinform._errors import OptionError

LabelMatch = Callable[[Mapping[str, str]], bool]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_SET = re.compile(r"(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(r"(?P<key>[^\s!=,()]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s!=,()]*)")
_EXISTS = re.compile(r"(?P<op>!?)\s*(?P<key>[^\s!=,()<>]+)")
_COMPARE = re.compile(r"(?P<key>[^\s!=,()<>]+)\s*(?P<op>[<>])\s*(?P<value>-?\d+)")
_FIELD = re.compile(r"(?P<key>[A-Za-z0-9_.\-/\[\]]+)\s*(?:==|!=|=)\s*(?:[^\\,=]|\\[\\,=])*")

_LABELS = "requirements joined by commas: key=value, key!=value, key in (a,b), key notin (a,b), key, !key"
_FIELDS = "requirements joined by commas: field=value, field==value or field!=value"


def parse_labels(text: str, *, field: str) -> LabelMatch:
    """Compiles a label selector to a predicate over an object's labels.

    Args:
        text: The selector; `""` matches everything.
        field: The option's name, for the error.

    Raises:
        OptionError: The selector cannot be parsed; names the requirement that is wrong.
    """
    matches = [_requirement(part.strip(), text, field) for part in _split(text)] if text.strip() else []
    return lambda labels: all(match(labels) for match in matches)


def equalities(text: str) -> list[tuple[str, str]]:
    """The labels that whatever matches must have: requirements that leave one value. The selector is a valid one."""
    found = []
    for part in map(str.strip, _split(text)):
        if equal := _EQUAL.fullmatch(part):
            if equal["op"] != "!=":
                found.append((equal["key"], equal["value"]))
        elif (of := _SET.fullmatch(part)) and of["op"] == "in" and "," not in of["values"]:
            found.append((of["key"], of["values"].strip()))
    return found


def check_fields(text: str, *, field: str) -> None:
    """Checks the grammar of a field selector.

    Raises:
        OptionError: The selector cannot be parsed; names the requirement that is wrong.
    """
    for part in re.split(r"(?<!\\),", text) if text.strip() else ():
        if not _FIELD.fullmatch(part.strip()):
            raise OptionError(field, text, f"{_FIELDS}; {part.strip()!r} is none")


def _split(text: str) -> list[str]:
    return re.split(r",(?![^(]*\))", text)  # not at the commas within parentheses


def _requirement(part: str, text: str, field: str) -> LabelMatch:
    if found := _SET.fullmatch(part):
        values = frozenset(value.strip() for value in found["values"].split(","))
    elif found := _EQUAL.fullmatch(part):
        values = frozenset((found["value"],))
    elif found := _EXISTS.fullmatch(part) or _COMPARE.fullmatch(part):
        values = frozenset()
    else:
        raise OptionError(field, text, f"{_LABELS}; {part!r} is none")
    key, op = found["key"], found["op"]
    if not _KEY.fullmatch(key):
        raise OptionError(field, text, f"{_LABELS}; {key!r} is no label key")
    for value in values:
        if not _VALUE.fullmatch(value):
            raise OptionError(field, text, f"{_LABELS}; {value!r} is no label value")
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
