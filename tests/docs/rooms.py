"""Tables of rooms and of files, for the page about the architecture.

The rooms come from `ROOMS` of tests/core/test_floors.py; the description of a file is the first line of its docstring,
or the first sentence of the first comment of a header.
"""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

from tests.core.test_floors import DROP_IN, MODULES, PUBLIC, ROOMS, room
from tests.docs.markdown import ROOT

_LISTED = {".py", ".pyx", ".pxi", ".h"}


def table() -> str:
    """Returns a table of all rooms: the rooms that each may import, and its doors."""
    rows = [f"| {_name(name)} | {_names(each.imports)} | {_doors(each.doors)} |" for name, each in ROOMS.items()]
    return "\n".join(["| room | may import | doors |", "|---|---|---|", *rows, ""])


def graph() -> str:
    """Returns a Mermaid graph of the imports, without those that follow from others."""
    imports = {name: set(each.imports.split()) & ROOMS.keys() for name, each in ROOMS.items()}
    reached: dict[str, set[str]] = {}
    for name, direct in imports.items():
        reached[name] = direct.union(*(reached[below] for below in direct))
    lines = [f"    {_node(name)}" for name in ROOMS]
    for name, direct in imports.items():
        indirect = set[str]().union(*(reached[below] for below in direct))
        lines += [f"    {_id(name)} --> {_id(below)}" for below in ROOMS if below in direct - indirect]
    return "\n".join(["```mermaid", "graph TD", *lines, "```", ""])


def files(folder: str) -> str:
    """Returns a table of the files in a folder, without those in folders below it."""
    rows = [
        f"| `{path.name}` | {_described(path)} |"
        for path in sorted((ROOT / folder).iterdir())
        if path.suffix in _LISTED and path.read_text().strip()
    ]
    return "\n".join(["| file | |", "|---|---|", *rows, ""])


def _name(name: str) -> str:
    if name == "vocabulary":
        flat = [module for module in MODULES if room(module) == "vocabulary"]
        return f"vocabulary: {', '.join(f'`{module}`' for module in flat)}"
    if name in ("public", "dropin"):
        return f"{name}: {', '.join(f'`{module}`' for module in (PUBLIC if name == 'public' else DROP_IN))}"
    return f"`{name}`"


def _names(names: str) -> str:
    return ", ".join(name if name in ("vocabulary", "public") else f"`{name}`" for name in names.split()) or "no room"


def _doors(doors: str) -> str:
    return "every module" if doors == "*" else ", ".join(f"`{door}`" for door in doors.split())


def _id(name: str) -> str:
    return name.strip("_")


def _node(name: str) -> str:
    return f'{_id(name)}["{name}"]'


def _described(path: Path) -> str:
    text = path.read_text()
    if path.suffix == ".py":
        described = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
    else:
        found = re.search(r'"""(.*?)(?:"""|\n)' if path.suffix in (".pyx", ".pxi") else r"/\*(.*?)\*/", text, re.DOTALL)
        lines = [line.strip(" *") for line in found[1].splitlines()] if found else []
        paragraph = " ".join(itertools.takewhile(bool, lines))
        described = re.split(r"(?<=[.:])(?:\s{2,}|$)|(?<=\.)\s", paragraph)[0]
    return described.replace("|", "\\|")
