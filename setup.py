"""Builds the compiled floor, `kinform_ext`; everything else is in pyproject.toml."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

CHECKED = os.environ.get("KINFORM_CHECKED") == "1"  # bounds and overflow checks on: slower, for CI and for debugging

WIRE = ("_batch", "_bounds", "_json", "_last", "_peek", "_prune")
STORE = ("_cut", "_ids", "_keymap", "_places", "_record", "_slabs", "_table", "_users")
INDEX = ("_extract", "_postings", "_values")
MODULES = {
    "_batch": WIRE,
    "_scan": WIRE,
    "_version": STORE,
    "_postings": WIRE + STORE + INDEX,
    "_table": WIRE + STORE + INDEX,
}

extensions = [
    Extension(
        f"kinform_ext.{name}",
        [f"kinform_ext/{name}.pyx"],
        depends=[f"kinform_ext/{header}.h" for header in headers],
        extra_compile_args=["-O3", "-fno-strict-aliasing"],
    )
    for name, headers in MODULES.items()
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
