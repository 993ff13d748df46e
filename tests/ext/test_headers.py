"""The rules of `kinform_ext` for C headers: includes, prefixes and comments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kinform_ext

ROOT = Path(kinform_ext.__file__).parent
HEADERS = {str(path.relative_to(ROOT)): path.read_text() for path in ROOT.rglob("*.h")}
LOWER = {
    "json": set(),
    "scan": {"json"},
    "records": set(),
    "coder": {"records"},
    "index": {"json", "records"},
    ".": {"coder", "index", "records"},
}
PREFIX = {"json": "kj_", "scan": "ks_", "records": "kr_", "coder": "kc_", "index": "kx_", ".": "kt_"}
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
STRUCT = re.compile(r"typedef struct \w* ?\{\n(.*?)\n\} (\w+);", re.DOTALL)


def folder(name: str) -> str:
    return str(Path(name).parent)


def included(name: str) -> set[str]:
    found = re.findall(r'#include "(.*)"', HEADERS[name])
    return {folder(str((ROOT / name).parent.joinpath(each).resolve().relative_to(ROOT))) for each in found}


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_a_header_includes_only_lower_folders(name: str) -> None:
    assert included(name) <= {folder(name), *LOWER[folder(name)]}


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_names_have_the_prefix_of_their_folder(name: str) -> None:
    code, prefix = COMMENT.sub("", HEADERS[name]), PREFIX[folder(name)]
    defined = re.findall(r"^static (?:inline )?[\w ]*?\*?(\w+)\(", code, re.MULTILINE)
    defined += re.findall(r"^\} (\w+);", code, re.MULTILINE)
    defined += re.findall(r"^#define (\w+)", code, re.MULTILINE)
    defined += re.findall(
        r"\b([A-Z][A-Z0-9_]+)\b(?= *[,=}])", "".join(re.findall(r"^enum \{.*?\};", code, re.M | re.S))
    )
    assert [each for each in defined if not each.lower().startswith((prefix, "kinform_"))] == []


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_a_header_and_each_field_in_it_has_a_comment(name: str) -> None:
    assert HEADERS[name].startswith("/* ")
    for body, struct in STRUCT.findall(HEADERS[name]):
        for line in body.split("\n"):
            assert "/*" in line or line.strip() in ("union {", "} in;"), f"{struct}: {line}"
