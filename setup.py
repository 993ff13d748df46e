"""Builds the compiled package, `kinform_ext`; everything else is in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

CHECKED = os.environ.get("KINFORM_CHECKED") == "1"  # bounds and overflow checks on: slower, for CI and for debugging

HEADERS = [str(path) for path in sorted(Path("kinform_ext").rglob("*.h"))]
MODULES = ("_batch", "_postings", "_scan", "_table", "_version")

extensions = [
    Extension(
        f"kinform_ext.{name}",
        [f"kinform_ext/{name}.pyx"],
        depends=HEADERS,
        extra_compile_args=["-O3", "-fno-strict-aliasing"],
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
            "cdivision": not CHECKED,
            "embedsignature": False,
            "auto_pickle": False,
            "autotestdict": False,
        },
    ),
)
