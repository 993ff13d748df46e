"""Builds the compiled package, `kinform_ext`; the rest is in pyproject.toml.

Environment:
    KINFORM_CHECKED: 1 turns bounds and overflow checks on, and line tracing, so that coverage can be measured. Slower;
        for tests and for debugging. Keeps symbols.
    KINFORM_SYMBOLS: 1 keeps symbols and debug information, so that a profiler can name C functions.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

CHECKED = os.environ.get("KINFORM_CHECKED") == "1"
SYMBOLS = CHECKED or os.environ.get("KINFORM_SYMBOLS") == "1"

HEADERS = [str(path) for path in sorted(Path("kinform_ext").rglob("*.h"))]
MODULES = ("_scan", "_table")
LIBRARIES = {"_table": ["zstd"]}

# The flags of the interpreter often have -g. Debug information makes the modules five times as large.
# The compiler stops at its first error, so that the message about a missing header is not followed by many others.
COMPILE = ["-O3", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Wfatal-errors", "-g" if SYMBOLS else "-g0"]
LINK = [] if SYMBOLS else ["-Wl,-s"]

extensions = [
    Extension(
        f"kinform_ext.{name}",
        [f"kinform_ext/{name}.pyx"],
        depends=HEADERS,
        libraries=LIBRARIES.get(name, []),
        extra_compile_args=COMPILE,
        extra_link_args=LINK,
        define_macros=[("CYTHON_TRACE", "1")] if CHECKED else [],
    )
    for name in MODULES
]

setup(
    ext_modules=cythonize(
        extensions,
        compiler_directives={
            "language_level": 3,
            "boundscheck": CHECKED,
            "wraparound": CHECKED,
            "overflowcheck": CHECKED,
            "initializedcheck": CHECKED,
            "linetrace": CHECKED,
            "cdivision": not CHECKED,
            "embedsignature": False,
            "auto_pickle": False,
            "autotestdict": False,
        },
    ),
)
