"""Builds the compiled floor, `kinform_ext`; everything else is in pyproject.toml."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

CHECKED = os.environ.get("KINFORM_CHECKED") == "1"  # bounds and overflow checks on: slower, for CI and for debugging

HEADERS = [f"kinform_ext/{name}.h" for name in ("_batch", "_bounds", "_json", "_last", "_peek", "_prune")]

extensions = [
    Extension(
        f"kinform_ext.{name}",
        [f"kinform_ext/{name}.pyx"],
        depends=HEADERS,
        extra_compile_args=["-O3", "-fno-strict-aliasing"],
    )
    for name in ("_batch", "_scan")
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
