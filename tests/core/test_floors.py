"""Imports go down the floors only; read from the source, so that no import can hide in a function."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kinform

ROOT = Path(kinform.__file__).parent
FLOORS = [
    {
        "_dispatch.invoke",
        "_checks",
        "_errors",
        "_events",
        "_paths.grammar",
        "_paths.prune_program",
        "_selectors",
        "_throttled_log",
        "_worker_thread",
    },
    {"_options", "_transport.base", "_transport.lean_import"},
    {"_transport.credentials"},
    {"_paths.conflicts", "_listwatch.frames", "_paths.index_program", "_transport.api_client"},
    {"_transport.cluster_identity", "_codec.zstd", "_transport.connection", "_listwatch.machine"},
    {"_codec.training", "_codec.exemplars"},
    {"_codec.recode"},
    {"_codec.codec"},
    {"_store.contents"},
    {"_store.writer"},
    {"_snapshot.file", "_store.reader"},
    {"_dispatch.queue", "_listwatch.stream"},
    {"_snapshot.keeper"},
    {"_dispatch.changes", "_stats"},
    {"_dispatch.handlers", "_dispatch.key_handlers"},
    {"_informer.informer"},
    {"__init__"},
    {"__main__", "cli"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
# Within a floor these few lean on a neighbour, in one direction.
NEIGHBOURS = {(name, "_errors") for name in FLOORS[0]} | {("_paths.prune_program", "_paths.grammar")}


def imports(path: Path) -> set[str]:
    """The modules of kinform that a file imports, by their first name below `kinform`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module] if node.module != "kinform" else [f"kinform.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
            continue
        found |= {place(name.removeprefix("kinform.")) for name in names if name.startswith("kinform.")}
        found |= {"__init__" for name in names if name == "kinform"}
    return found


def place(name: str) -> str:
    """The module's name on its floor: that of a module in a room is `room.module`."""
    found = [known for known in FLOOR if name == known or name.startswith(f"{known}.")]
    return max(found, key=len) if found else name.split(".")[0]


def modules() -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if name == "__init__" or not name.endswith("__init__"):
            found.setdefault(place(name), []).append(path)
    return found


def test_every_module_has_its_floor():
    assert set(modules()) - {"testing"} <= set(FLOOR)


@pytest.mark.parametrize("module", sorted(FLOOR))
def test_a_module_imports_only_what_lies_below(module):
    for path in modules().get(module, []):
        for other in imports(path) - {module}:
            if module in ("__main__", "cli") and other in ("__init__", "cli", "testing"):
                continue
            below = FLOOR.get(other, len(FLOORS)) < FLOOR[module] or (module, other) in NEIGHBOURS
            assert below or other not in FLOOR, f"{path.name} imports {other}"


def test_the_simulator_imports_nothing_of_what_it_tests():
    for path in modules()["testing"]:
        assert imports(path) <= {"testing"}, path


def test_the_compiled_floor_imports_nothing_of_kinform():
    for path in (ROOT.parent / "kinform_ext").glob("*.py*"):
        if path.suffix in (".py", ".pyi", ".pyx"):
            for line in path.read_text().splitlines():
                assert not line.lstrip().startswith(("import kinform", "from kinform ", "from kinform.")), path


def test_every_public_name_is_listed_sorted_and_there():
    assert kinform.__all__ == sorted(kinform.__all__)
    for name in kinform.__all__:
        assert getattr(kinform, name).__doc__
