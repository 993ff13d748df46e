"""The files of the packages that are not modules: a wheel has all of them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MADE = {".py", ".pyc", ".so", ".c"}
"""Modules, which need no pattern, and what a build makes."""


@pytest.mark.parametrize("package", ["kinform", "kinform_ext"])
def test_package_data_names_every_file_that_is_no_module(package: str) -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    folder = ROOT / package
    files = {path for path in folder.rglob("*") if path.is_file() and path.suffix not in MADE}
    packaged = {path for pattern in tools["setuptools"]["package-data"][package] for path in folder.glob(pattern)}
    assert files
    assert files == packaged


def test_license_files_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert all((ROOT / name).is_file() for name in project["license-files"])
