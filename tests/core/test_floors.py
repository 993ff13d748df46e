"""The rooms of the package: imports go down, and enter through doors.

Read from the source, so that an import inside a function counts too. docs/explanation/architecture.md prints `ROOMS`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import kinform

ROOT = Path(kinform.__file__).parent


class Room(NamedTuple):
    """A room: the rooms that it may import, and its doors.

    Doors are the modules that other rooms may import; `*`: all.
    """

    imports: str
    doors: str


# In the order in which an object travels. The vocabulary is the flat modules; `_errors` is open to every room.
ROOMS = {
    "_paths": Room("", "*"),
    "_models": Room("", "*"),
    "vocabulary": Room("_paths _models", "*"),
    "_transport": Room(
        "vocabulary",
        "base adapter access credentials client_configuration http_client lean_import lent_client cluster_identity",
    ),
    "_listwatch": Room("vocabulary _paths _transport", "stream fetch frames pacing pages capabilities"),
    "_connection": Room("vocabulary _paths _transport _listwatch", "bodies connection exchange listing target verbs"),
    "_store": Room("vocabulary _paths", "contents writer reader"),
    "_dispatch": Room("vocabulary", "dispatcher handlers changes queue invoke"),
    "_snapshot": Room("vocabulary _transport _listwatch _store", "keeper"),
    "_informer": Room(
        "vocabulary _paths _transport _listwatch _connection _store _dispatch _snapshot",
        "factory informer on_demand reflector",
    ),
    "_watch": Room("vocabulary _models _listwatch", "*"),
    "dropin": Room("vocabulary _models _watch", "*"),
    "__init__": Room("vocabulary _transport _listwatch _connection _store _dispatch _informer", "*"),
    "sync": Room("__init__ vocabulary _transport _listwatch _connection _dispatch _informer", "*"),
    "controllers": Room("__init__ vocabulary _dispatch _informer", "*"),
    "public": Room("__init__ vocabulary _paths controllers testing", "*"),
}
PUBLIC = ("__main__", "cli", "prometheus")
DROP_IN = ("watch", "sync.watch")  # public, too, but without a store

# Rooms above `kinform` that it imports when a program first uses their names. For type checkers, it names them.
AT_FIRST_USE = {"controllers", "prometheus", "sync", "testing", "watch"}

# Modules of the standard library that asyncio, ssl and msgspec do not import: each takes 0.1 to 1 MiB.
# A function that needs one imports it. `_snapshot` as a whole is imported at its first use.
HEAVY = {"concurrent", "ctypes", "email", "gzip", "hashlib", "http", "json", "multiprocessing", "random", "tempfile"}
LIGHT = {"concurrent.futures"}  # asyncio imports it, but not its thread pool, which is imported at its first use


def room(module: str) -> str:
    """The room of a module, which is named from `kinform` down: `_paths.grammar`."""
    first = module.split(".")[0]
    if module in DROP_IN:
        return "dropin"
    if first in ROOMS or first == "testing":
        return first
    return "public" if first in PUBLIC else "vocabulary"


def modules() -> dict[str, Path]:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


def imports(path: Path) -> set[str]:
    """The modules of kinform that a file imports, named from `kinform` down."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module] if node.module != "kinform" else [f"kinform.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
            continue
        within = [name.removeprefix("kinform.") for name in names if name.startswith("kinform.")]
        known = {name for name in within if room(name) in ROOMS or room(name) == "testing"}
        found |= {name if name in MODULES else "__init__" for name in known}
        found |= {"__init__" for name in names if name == "kinform"}
    return found


MODULES = modules()
IMPORTS = {name: imports(path) for name, path in MODULES.items() if room(name) != "testing"}
assert IMPORTS["__init__"] >= AT_FIRST_USE
IMPORTS["__init__"] -= AT_FIRST_USE


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_a_module_imports_only_what_its_room_may(module):
    here = room(module)
    allowed = {here, *ROOMS[here].imports.split()}
    for other in IMPORTS[module] - {"_errors"}:
        assert room(other) in allowed, f"{module} imports {other}"


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_a_room_is_entered_through_its_doors(module):
    for other in IMPORTS[module]:
        there = room(other)
        if there != room(module) and there in ROOMS and "*" not in (doors := ROOMS[there].doors.split()):
            assert other.removeprefix(f"{there}.") in doors, f"{module} imports {other}: the doors are {doors}"


def test_rooms_import_only_rooms_below():
    below: set[str] = set()
    for name, here in ROOMS.items():
        assert set(here.imports.split()) <= below | {"testing"}, name
        below.add(name)


# The rooms of `controllers`, from the lowest to the highest.
CONTROLLERS = ("_queue", "_leases", "_identity", "_events", "_finalizers", "_election", "_shards", "_reconcile")


def test_rooms_of_controllers_import_only_rooms_below():
    for module in MODULES:
        if module.startswith("controllers."):
            here = CONTROLLERS.index(module.split(".")[1])
            for other in IMPORTS[module]:
                if other.startswith("controllers."):
                    assert CONTROLLERS.index(other.split(".")[1]) <= here, f"{module} imports {other}"


def test_no_module_imports_itself_through_others():
    open_, done = [], set()

    def visit(module: str) -> None:
        assert module not in open_, " -> ".join([*open_, module])
        if module not in done:
            open_.append(module)
            for other in sorted(IMPORTS.get(module, ())):
                visit(other)
            done.add(open_.pop())

    for module in sorted(IMPORTS):
        visit(module)


def test_the_init_of_a_room_is_empty():
    for name in ROOMS:
        if name.startswith("_") and name != "__init__":
            assert (ROOT / name / "__init__.py").read_text() == "", name


def test_files_in_a_room_carry_no_underscore():
    for name in MODULES:
        if room(name).startswith("_") and "." in name:
            assert not name.split(".")[1].startswith("_"), name


def test_the_import_of_kinform_takes_no_heavy_module():
    for name, path in MODULES.items():
        if room(name) not in {"_transport", "_snapshot", "testing", "public"}:
            for node in ast.parse(path.read_text()).body:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                pools = isinstance(node, ast.ImportFrom) and any("Pool" in alias.name for alias in node.names)
                assert not pools, name
                assert not HEAVY & {imported.split(".")[0] for imported in set(names) - LIGHT}, name


def test_kinform_imports_public_rooms_at_their_first_use():
    program = (
        "import sys, kinform\n"
        f"for name in {sorted(AT_FIRST_USE)}:\n"
        "    assert f'kinform.{name}' not in sys.modules, name\n"
        "for name in sys.argv[1:]:\n"
        "    assert getattr(kinform, name) is sys.modules[f'kinform.{name}'], name\n"
    )
    subprocess.run([sys.executable, "-c", program, *sorted(AT_FIRST_USE)], check=True)


def test_the_simulator_imports_nothing_of_what_it_tests():
    for name, path in MODULES.items():
        if room(name) == "testing":
            assert {room(other) for other in imports(path)} <= {"testing"}, path


def test_the_compiled_floor_imports_nothing_of_kinform():
    for path in (ROOT.parent / "kinform_ext").glob("*.py*"):
        if path.suffix in (".py", ".pyi", ".pyx"):
            for line in path.read_text().splitlines():
                assert not line.lstrip().startswith(("import kinform", "from kinform ", "from kinform.")), path


def test_every_public_name_is_listed_sorted_and_there():
    assert kinform.__all__ == sorted(kinform.__all__)
    for name in set(kinform.__all__) - {"Change"}:  # an alias has no docstring
        assert getattr(kinform, name).__doc__
