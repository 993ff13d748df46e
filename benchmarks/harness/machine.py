"""The machine and the versions of a run.

Each results record needs them to be judged and repeated.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kinform_ext import _table

PACKAGES = ("kinform", "aiohttp", "kubernetes-asyncio", "msgspec")
"""The packages that a program with kinform loads."""


def machine() -> dict[str, Any]:
    """Describes the machine, its kernel and memory settings, and package versions."""
    return {
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "page_bytes": os.sysconf("SC_PAGE_SIZE"),
        "load": round(os.getloadavg()[0], 2),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "transparent_huge_pages": _selected("/sys/kernel/mm/transparent_hugepage/enabled"),
        "libc": " ".join(platform.libc_ver()),
        "allocator": {name: text for name, text in sorted(os.environ.items()) if _sets_allocator(name)},
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "versions": versions() | {"zstandard": _version("zstandard")},  # makes the frames to compare with
        "commit": commit(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def versions() -> dict[str, str]:
    """Returns the versions of kinform, of its packages, and of the linked libzstd."""
    return {name: _version(name) for name in PACKAGES} | {"libzstd": _libzstd_version()}


def _libzstd_version() -> str:
    table = ctypes.CDLL(_table.__file__)  # a lookup includes the libraries that the module is linked to
    table.ZSTD_versionString.restype = ctypes.c_char_p
    return str(table.ZSTD_versionString(), "ascii")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def commit() -> str:
    """The commit that is checked out, with `-dirty` if files differ from it."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _sets_allocator(variable: str) -> bool:
    return variable.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "PYTHONMALLOC"))


def _first(file: str, name: str) -> str:
    lines = Path(file).read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "unknown")


def _selected(file: str) -> str:
    try:
        return Path(file).read_text().partition("[")[2].partition("]")[0]
    except OSError:
        return "unknown"
