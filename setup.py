"""Builds the compiled floor, `kinform_ext`; everything else is in pyproject.toml."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

CHECKED = os.environ.get("KINFORM_CHECKED") == "1"  # bounds and overflow checks on: slower, for CI and for debugging

extensions = [
    Extension(
        "kinform_ext._scan",
        ["kinform_ext/_scan.pyx"],
        depends=["kinform_ext/_batch.h", "kinform_ext/_json.h", "kinform_ext/_prune.h"],
        extra_compile_args=["-O3", "-fno-strict-aliasing"],
    ),
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
