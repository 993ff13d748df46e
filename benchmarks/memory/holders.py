"""Attributes memory to the part of the process that allocated it.

The stack of frames that memray found decides. Memory of a package that was stripped of its symbols is attributed to its
caller.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Frame = tuple[str, str, int]

C_PREFIXES = ("kj_", "ks_", "kr_", "kx_", "kt_")  # see kinform_ext/__init__.py
ROOT = f"{Path(__file__).parents[2]}/"

RULES: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
    ("kinform: slabs of records", lambda function, _: function.startswith("kr_slab")),
    ("zstd: compressing", lambda function, _: function.startswith(("ZSTD_createC", "ZSTD_compress"))),
    ("zstd: decompressing", lambda function, _: function.startswith(("ZSTD_createD", "ZSTD_decompress"))),
    ("zstd: other", lambda function, _: function.startswith("ZSTD_")),
    ("kinform: coder", lambda function, _: function.startswith("kc_")),
    ("decoded JSON", lambda function, _: function.startswith(("json_decode", "JSONDecoder", "msgspec_json_decode"))),
    ("encoded JSON", lambda function, _: function.startswith(("json_encode", "msgspec_json_encode"))),
    ("loaded modules", lambda function, file: "importlib" in file or function.startswith("_dl_open")),
    ("certificates", lambda _, file: file.endswith("/ssl.py")),
    ("sockets and HTTP", lambda function, file: function.startswith("sock_") or _any(file, "aiohttp/", "httptools/")),
    ("bodies and lines", lambda _, file: file.endswith("memory/wire.py") or "kinform/_transport/" in file),
    ("kinform: other C code", lambda function, file: "kinform_ext" in file or function.startswith(C_PREFIXES)),
    ("kinform: Python code", lambda _, file: file.startswith(f"{ROOT}kinform/")),
    ("the mode's own dicts and lists", lambda _, file: file.endswith("memory/modes.py")),
    ("asyncio", lambda _, file: "/asyncio/" in file),
)
"""The name of a part, and whether a frame (function, file) belongs to it. The first rule that matches a frame wins."""

OTHER = "other"
SITES = 12


def holders(records: Iterable[Any]) -> list[dict[str, Any]]:
    """Returns the bytes and the share of each part, the largest first."""
    return _ranked((record.size, holder(record.hybrid_stack_trace())) for record in records)


def sites(records: Iterable[Any]) -> list[dict[str, Any]]:
    """Returns the bytes of each place in the program, the dozen largest."""
    return _ranked((record.size, site(record.hybrid_stack_trace())) for record in records)[:SITES]


def holder(trace: Iterable[Frame]) -> str:
    """Returns the part that a stack belongs to."""
    frames = [(function, file) for function, file, _ in trace]
    found = (name for name, matches in RULES if any(matches(function, file) for function, file in frames))
    return next(found, OTHER)


def site(trace: Iterable[Frame]) -> str:
    """Returns the innermost line of Python, with the C function that allocated."""
    native = ""
    for function, file, line in trace:
        if file.endswith(".py"):
            place = f"{_short(file)}:{line} {function}"
            return f"{place}, in {native}" if native else place
        native = native or ("" if _of_allocator(function, file) else function)
    return native or "the interpreter"


def _ranked(sizes: Iterable[tuple[int, str]]) -> list[dict[str, Any]]:
    total, by = 0, defaultdict[str, int](int)
    for size, where in sizes:
        by[where] += size
        total += size
    ranked = sorted(by.items(), key=lambda item: -item[1])
    return [{"where": where, "bytes": size, "share": size / total} for where, size in ranked if size]


def _any(text: str, *parts: str) -> bool:
    return any(part in text for part in parts)


def _of_allocator(function: str, file: str) -> bool:
    """Returns whether a function only allocates for its callers."""
    python = function.startswith(("_Py", "Py", "pymalloc")) or _any(file, "Objects/", "Python/", "Modules/", "Include/")
    return python or function in ("ZSTD_customMalloc", "ZSTD_customCalloc", "kr_map", "<unknown>")


def _short(file: str) -> str:
    if file.startswith(ROOT) and "site-packages/" not in file:
        return file.removeprefix(ROOT)
    return file.rpartition("site-packages/")[2] if "site-packages/" in file else Path(file).name
