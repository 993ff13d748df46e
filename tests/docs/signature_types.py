"""Types in signatures that no module exports: what each stands for.

The page "Types in signatures" has a program with the aliases, as they are in the code, and a table of the others, which
is written by hand.
"""

from __future__ import annotations

import ast
import builtins
import collections.abc
import contextlib
import importlib
import inspect
import re
import typing
from collections.abc import Iterable, Iterator

# The modules with aliases that are in signatures, and their names.
_ALIASES = {
    "kinform._options": ("Start", "StartMode", "Compression", "Transform", "Strings"),
    "kinform._selector_builder": ("LabelValues",),
    "kinform._listwatch.stream": ("WatcherEvent",),
    "kinform._stats": ("State", "ShardFilter"),
    "kinform._counts": ("RelistReason", "WatchEventType"),
    "kinform._store.object_decoder": ("OnUndecodable",),
    "kinform._connection.verbs": ("How",),
    "kinform._connection.bodies": ("Propagation",),
    "kinform._encoding": ("AnyObject",),
    "kinform._watch.recovery": ("OnExpired",),
    "kinform.controllers._identity": ("AnyIdentity",),
    "kinform.controllers._reconcile.user_calls": ("Reconcile",),
    "kinform.controllers._reconcile.feeds": ("Mapper",),
    "kinform.controllers._reconcile.predicates": ("Predicate",),
    "kinform.controllers._events.recorder": ("EventType",),
    "kinform.testing._faults": ("RequestKind",),
}

_HEADER = """\
from collections.abc import Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal

import msgspec
from kinform import Added, Apply, Delete, Deleted, Init, InitApply, InitDone, Updated
from kinform.controllers import Requeue

"""

_NAME = re.compile(r"\b[A-Z]\w+")  # a single letter is a type variable
_SIGNATURE = re.compile(r"```text\n(.+?)```", re.DOTALL)
_PROPERTY = re.compile(r"^Property, `(.+?)`\.", re.MULTILINE)
_FIELD = re.compile(r"^- `\w+` \(`(.+?)`(?:, default .*)?\): ", re.MULTILINE)


def program() -> str:
    """Returns the aliases as a block of Python."""
    lines = [f"{name} = {_definition(module, name)}" for module, names in _ALIASES.items() for name in names]
    return f"<!-- test: run -->\n```python\n{_HEADER}" + "\n".join(sorted(lines, key=str.lower)) + "\n```\n"


def aliases() -> list[str]:
    """Returns the names of all aliases."""
    return [name for names in _ALIASES.values() for name in names]


def unexplained(regions: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    """Returns the types in signatures that a reader cannot find.

    Args:
        regions: The generated parts of the reference.
        known: The names that the reference explains, and public names.
    """
    found = {*known, "Set"}
    for module in (builtins, collections.abc, contextlib, typing):
        found.update(vars(module))
    for region in regions:
        for pattern in (_SIGNATURE, _PROPERTY, _FIELD):
            for signature in pattern.findall(region):
                yield from (name for name in _NAME.findall(_without_strings(signature)) if name not in found)


def _without_strings(signature: str) -> str:
    return re.sub(r'"[^"]*"', "", signature)


def _definition(module: str, name: str) -> str:
    """Returns what an alias stands for, without other aliases of its module."""
    defined = _assigned(module)
    text = defined[name]
    for other, meaning in defined.items():
        if other != name and other[:1].isupper() and other[1:2].islower():
            text = re.sub(rf"\b{other}\b", meaning, text)
    return re.sub(r"\bClientModel\b", "Any", re.sub(r"\bSet\b", "AbstractSet", text))


def _assigned(module: str) -> dict[str, str]:
    source = inspect.getsource(importlib.import_module(module))
    found = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            found[statement.targets[0].id] = _text(statement.value)
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            found[statement.target.id] = _text(statement.value)
    return found


def _text(value: ast.expr) -> str:
    return ast.unparse(value).replace("'", '"')
