"""Label and field selectors: parsing as in kube-apiserver, and matching.

An invalid selector raises ValueError with the message of the 400 answer.
Source: the grammar on the Kubernetes page "Labels and Selectors", `fields` of apimachinery.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:[a-z0-9](?:[a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_TOKEN = re.compile(r"\s*(?:(?P<operator>==|!=|[=!<>(),])|(?P<word>[^\s=!<>(),]+)|(?P<end>$))")


class Requirement(msgspec.Struct, frozen=True):
    """A condition on a label."""

    key: str
    operator: Literal["in", "notin", "exists", "absent", "gt", "lt"]
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Returns whether the labels meet the condition."""
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "absent":
                return value is None
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case _:
                try:
                    difference = int(value or "") - int(self.values[0])
                except ValueError:
                    return False
                return difference > 0 if self.operator == "gt" else difference < 0


class FieldTerm(msgspec.Struct, frozen=True):
    """A condition on a field."""

    path: tuple[str, ...]
    value: str
    equal: bool

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """Returns whether the object meets the condition; a missing field is `""`."""
        value: Any = obj
        for name in self.path:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, bool):
            value = "true" if value else "false"
        return (str(value if value is not None else "") == self.value) is self.equal


class _LabelParser:
    """A recursive descent parser for label selectors."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        at = 0
        while True:
            match = _TOKEN.match(text, at)
            if match is None:  # pragma: no cover (the pattern matches any text)
                raise ValueError(f"unable to parse requirement: {text!r}")
            at = match.end()
            token = match["operator"] or match["word"] or ""
            self.tokens.append(token)
            if not token:
                break
        self.at = 0

    def take(self) -> str:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def error(self, token: str, expected: str) -> ValueError:
        return ValueError(f"unable to parse requirement: found '{token}', expected: {expected}")

    def key(self) -> str:
        token = self.take()
        if not _KEY.fullmatch(token):
            raise self.error(token, "a label key")
        return token

    def value(self, token: str) -> str:
        if not _VALUE.fullmatch(token):
            raise self.error(token, "a label value")
        return token

    def values(self) -> tuple[str, ...]:
        if (token := self.take()) != "(":
            raise self.error(token, "'('")
        values: set[str] = set()
        while True:
            token = self.take()
            if token in (",", ")"):
                values.add("")
            else:
                values.add(self.value(token))
                token = self.take()
            if token == ")":
                return tuple(sorted(values))
            if token != ",":
                raise self.error(token, "',' or ')'")

    def requirement(self) -> Requirement:
        if self.tokens[self.at] == "!":
            self.take()
            return Requirement(self.key(), "absent")
        key = self.key()
        following = self.tokens[self.at]
        match following:
            case "" | ",":
                return Requirement(key, "exists")
            case "=" | "==" | "!=":
                self.take()
                value = "" if self.tokens[self.at] in ("", ",") else self.value(self.take())
                return Requirement(key, "notin" if following == "!=" else "in", (value,))
            case "in" | "notin":
                self.take()
                return Requirement(key, "in" if following == "in" else "notin", self.values())
            case "<" | ">":
                self.take()
                number = self.take()
                if not re.fullmatch(r"-?[0-9]+", number):
                    raise self.error(number, "an integer")
                return Requirement(key, "gt" if following == ">" else "lt", (number,))
            case _:
                raise self.error(following, "in, notin, =, ==, !=, gt, lt")

    def parse(self) -> tuple[Requirement, ...]:
        requirements = []
        while True:
            requirements.append(self.requirement())
            token = self.take()
            if not token:
                return tuple(requirements)
            if token != ",":
                raise self.error(token, "',' or the end")


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """Parses a label selector: an object must meet every requirement; `""` gives `()`."""
    return _LabelParser(text).parse() if text.strip() else ()


def parse_fields(text: str, supported: frozenset[str], unsupported: str) -> tuple[FieldTerm, ...]:
    """Parses a field selector: an object must meet every term.

    `unsupported` is the message for a label that is not in `supported`, with `{label}` in it.
    """
    terms = []
    for part in _split_terms(text):
        match = re.match(r"(?P<label>[^=!\\]*)(?P<operator>!=|==|=)(?P<value>.*)", part, re.DOTALL)
        if match is None:
            raise ValueError(f"invalid selector: '{text}'; can't understand '{part}'")
        label = match["label"]
        if label not in supported:
            raise ValueError(unsupported.format(label=label))
        terms.append(FieldTerm(tuple(label.split(".")), _unescape(match["value"], text), match["operator"] != "!="))
    return tuple(terms)


def _split_terms(text: str) -> list[str]:
    parts = re.findall(r"(?:\\.|[^,\\])+", text, re.DOTALL)
    return [part for part in parts if part]


def _unescape(value: str, text: str) -> str:
    if re.search(r"(?<!\\)(?:\\\\)*\\(?![\\,=])", value) or re.search(r"(?<!\\)(?:\\\\)*=", value):
        raise ValueError(f"invalid selector: '{text}'; can't understand the value")
    return re.sub(r"\\(.)", r"\1", value)
