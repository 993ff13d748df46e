"""Constants of the code that pages quote.

A page writes `<!-- constant: kinform._store.writer:SWEEP_OBJECTS -->64<!-- end -->`, and `python -m
tests.docs.reference` fills in the value. The name stands after a module or the path of a file:

    kinform:WatchOptions.page_size                            a field of options: its default
    kinform.controllers:LeaderElection.retry_seconds          an argument of a class: its default
    kinform._transport.base:CHUNK_BYTES in KiB                256 KiB
    kinform_ext/records/slabs.h:KR_MAX_SLAB in KiB           a macro or an enumerator of integers
    tests/support/controlplane/go.mod:k8s.io/kubernetes       the version of a Go module
"""

from __future__ import annotations

import ast
import importlib
import inspect
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tests.docs.markdown import ROOT

CONSTANT = re.compile(r"(<!-- constant: (?P<name>\S+?)(?: in (?P<unit>\w+))? -->)(?P<quoted>[^\n]*?)(<!-- end -->)")

_UNITS = {
    "bits": 1,
    "bytes": 1,
    "KiB": 1 << 10,
    "KB": 1_000,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "seconds": 1,
    "minutes": 60,
    "ms": 1e-3,
}
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.LShift: operator.lshift,
}


def filled(page: str) -> str:
    """Returns the page with the present value of each constant."""
    return CONSTANT.sub(lambda found: f"{found[1]}{text(found['name'], found['unit'])}{found[5]}", page)


def text(name: str, unit: str | None = None) -> str:
    """Returns a constant as a page quotes it: `1,024`, `0.8`, `256 KiB`, `one`, ...

    Raises:
        LookupError: The module or header has no such constant.
    """
    value = _value(name)
    if isinstance(value, str):
        return value
    if unit == "words":
        return ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")[value]
    number = round(value / _UNITS[unit], 9) if unit else value
    number = int(number) if number == int(number) else number
    return f"{number:,}" + (f" {unit}" if unit else "")


def misplaced(page: str) -> Iterator[str]:
    """Returns the lines that begin with a constant, which would end a paragraph."""
    return (line for line in page.splitlines() if line.lstrip().startswith("<!-- constant: "))


def _value(name: str) -> Any:
    place, _, attribute = name.partition(":")
    if place.endswith(".h"):
        return _macro((ROOT / place).read_text(), attribute, name)
    if place.endswith("go.mod"):
        if required := re.search(rf"^\s*{re.escape(attribute)} v(\S+)", (ROOT / place).read_text(), re.MULTILINE):
            return required[1]
        raise LookupError(f"{name}: {place} does not require it")
    found: Any = importlib.import_module(place)
    for part in attribute.split("."):
        defaults = _defaults(found) if isinstance(found, type) else {}
        if part not in defaults and not hasattr(found, part):
            raise LookupError(f"{name}: {place} has no such constant")
        found = defaults[part] if part in defaults else getattr(found, part)
    return found


def _defaults(kind: type) -> dict[str, Any]:
    """Returns the defaults of the fields of a Struct, or of the arguments of a class."""
    if issubclass(kind, msgspec.Struct):
        return {field.name: field.default for field in msgspec.structs.fields(kind)}
    parameters = inspect.signature(kind).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def _macro(header: str, wanted: str, name: str) -> int:
    """Returns the value of a macro or an enumerator of a header."""
    for pattern in (rf"#define {wanted} (.+?)(?:/\*.*)?\n", rf"enum \{{[^}}]*\b{wanted} = ([^,}}]+)"):
        if found := re.search(pattern, header):
            expression = re.sub(r"\((?:size_t|uint\d+_t)\)|(?<=\d)[uUlL]+", "", found[1]).strip()
            return _evaluated(ast.parse(expression, mode="eval").body, header, name)
    raise LookupError(f"{name}: the header has no such constant")


def _evaluated(node: ast.expr, header: str, name: str) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=other):
            return _macro(header, other, name)
        case ast.BinOp(left, operation, right) if type(operation) in _OPERATORS:
            return _OPERATORS[type(operation)](_evaluated(left, header, name), _evaluated(right, header, name))
    raise LookupError(f"{name}: the value cannot be evaluated")
