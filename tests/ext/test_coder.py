"""Runs the slot coder under sanitizers, as a C program of its own.

The sanitizers are AddressSanitizer and UndefinedBehaviorSanitizer.

The program is built once a run from `tests/ext/coder`, twice on x86: with and without SSE2. `coder/main.c` lists its
tests. The seed is KINFORM_SEED, and is printed when a test fails; the same seed repeats all steps.

    KINFORM_FUZZ=full pytest tests/ext/test_coder.py -s

encodes 400 MB of mutated objects, reads 200 MB of forged input and prints the figures: about two minutes on one core.
"""

from __future__ import annotations

import itertools
import os
import platform
import struct
import subprocess
from pathlib import Path

import pytest

import kinform_ext
from kinform.testing._objects.catalogue import CATALOGUE
from kinform.testing._objects.kinds import dump

ROOT = Path(__file__).parent / "coder"
FULL = os.environ.get("KINFORM_FUZZ") == "full"
SEED = int(os.environ.get("KINFORM_SEED", "20261127"))
OBJECTS = {
    "pods": 150,
    "events": 400,
    "namespaces": 200,
    "customs": 60,
    "leases": 60,
    "services": 60,
    "replicasets": 60,
    "endpointslices": 40,
    "deployments": 40,
    "secrets": 30,
    "configmaps": 25,
    "nodes": 12,
}
FLAGS = [
    *("-D_GNU_SOURCE", "-O1", "-g1", "-fno-strict-aliasing"),
    *("-Wall", "-Wextra", "-Wno-unused-function"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    f"-I{Path(kinform_ext.__file__).parent}",
]
BUILDS: dict[str, list[str]] = {"native": []}
if platform.machine() == "x86_64":
    # As on other machines. In a short run the compiler takes most of the time.
    BUILDS["scalar"] = ["-U__SSE2__", "-O1" if FULL else "-O0"]


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Writes generated objects, a file for each kind, for `collection_load`."""
    folder, written = tmp_path_factory.mktemp("dumps"), []
    for name, count in OBJECTS.items():
        _, maker = CATALOGUE[name]
        written.append(folder / name)
        with written[-1].open("wb") as file:
            for obj in itertools.islice(maker(SEED), count):
                fields = ("namespace", "name", "uid", "resourceVersion")
                parts = [*(str(obj["metadata"].get(each, "")).encode() for each in fields), dump(obj)]
                file.write(struct.pack("=5I", *map(len, parts)) + b"".join(parts))
    return written


@pytest.fixture(scope="module", params=BUILDS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built with the sanitizers."""
    made = tmp_path_factory.mktemp(request.param) / "coder"
    compiler = os.environ.get("CC", "cc").split()
    command = [*compiler, *FLAGS, *BUILDS[request.param], "-o", str(made), str(ROOT / "main.c"), "-lzstd"]
    try:
        built = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.fail(f"no C compiler: `{compiler[0]}` not found; set CC, or install gcc and libzstd-dev")
    if built.returncode:
        pytest.fail(
            f"`{compiler[0]}` cannot build the tests of the coder; it must have AddressSanitizer and "
            f"UndefinedBehaviorSanitizer (libasan, libubsan), and the headers of libzstd:\n{built.stderr}"
        )
    return made


def run(program: Path, test: str, *arguments: object) -> None:
    """Runs one test of the program, and fails with its report."""
    options = {"ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
    command = [str(program), test, str(SEED), *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | options, capture_output=True, text=True, errors="replace")
    if done.returncode:
        pytest.fail(f"coder {test}: seed {SEED} (KINFORM_SEED), exit status {done.returncode}\n{done.stderr[:8000]}")
    if done.stdout:
        print(f"{test}, seed {SEED}: {done.stdout}", end="")


@pytest.mark.timeout(900)
def test_mutated_objects_come_back_byte_for_byte(program: Path, dumps: list[Path]) -> None:
    run(program, "roundtrip", 200_000_000 if FULL else 6_000_000, *dumps)


@pytest.mark.timeout(900)
def test_forged_input_is_read_within_bounds_or_refused(program: Path, dumps: list[Path]) -> None:
    run(program, "forged", 100_000_000 if FULL else 3_000_000, *dumps)


def test_parsers_accept_only_what_formatters_reproduce(program: Path) -> None:
    run(program, "values")


def test_templates_bases_and_tables_go_with_their_users(program: Path, dumps: list[Path]) -> None:
    run(program, "life", *dumps)


def test_each_failing_allocation_is_survived(program: Path, dumps: list[Path]) -> None:
    run(program, "memory", *dumps)
