"""The reference says what the code says, and leaves nothing public out."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import get_args

import msgspec
import pytest

import kinform
import kinform.testing
from kinform._stats import State
from kinform.cli import _exit_codes
from tests.docs import reference
from tests.docs.markdown import DOCS, ROOT

PAGES = {path.stem: path.read_text() for path in sorted((DOCS / "reference").glob("*.md"))}


def test_the_pages_are_as_the_code_has_them():
    assert not list(reference.stale()), "run: python -m tests.docs.reference"


def test_every_public_name_has_its_place_once():
    told = [name for page in PAGES.values() for name in reference.names(page)]
    for module in (kinform, kinform.testing):
        for name in module.__all__:
            if name != "testing":
                assert told.count(f"{module.__name__}.{name}") == 1, f"{module.__name__}.{name}"


def test_every_field_of_every_option_is_described():
    options = (kinform.Resource, kinform.Scope, kinform.Prune, kinform.WatchOptions, kinform.Backoff)
    for option in options:
        for field in msgspec.structs.fields(option):
            assert re.search(rf"^- `{field.name}` \(.+\): \S", PAGES["options"], re.MULTILINE), field.name


def test_every_state_is_explained_in_the_order_of_badness():
    badness = next(found["_BADNESS"] for found in map(vars, _modules()) if "_BADNESS" in found)
    for page in (DOCS / "reference/states.md", DOCS / "howto/not-synced.md"):
        told = re.findall(r"^\| `(\w+)` \|", page.read_text(), re.MULTILINE)
        assert set(told) == set(get_args(State)), page
    assert re.findall(r"^\| `(\w+)` \|", PAGES["states"], re.MULTILINE) == list(badness)


def _modules() -> list[ModuleType]:
    return [module for name, module in sys.modules.items() if name.startswith("kinform._")]


def test_every_logger_and_every_level_it_uses_is_listed():
    listed: dict[str, set[str]] = {}
    above = ""
    for logger, level in re.findall(r"^\| (?:`(kinform\.\w+)`)? ?\| (\w+) \|", PAGES["logs"], re.MULTILINE):
        above = logger or above
        listed.setdefault(above, set()).add(level)
    used: dict[str, set[str]] = {}
    for path in (ROOT / "kinform").rglob("*.py"):
        source = path.read_text()
        for logger in re.findall(r'getLogger\("([\w.]+)"\)', source):
            levels = re.findall(r"\blog\.(debug|info|warning|error|exception)\(", source.replace("_log.", "log."))
            used.setdefault(logger, set()).update("error" if level == "exception" else level for level in levels)
    assert listed == used


def test_every_exit_code_is_listed():
    codes = {value for name, value in vars(_exit_codes).items() if name.isupper() and isinstance(value, int)}
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGES["command-line"], re.MULTILINE)}
    assert listed == codes | {0}


def test_every_option_of_the_simulator_is_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "argv", ["kinform.testing", "--help"])
    with pytest.raises(SystemExit):
        runpy.run_module("kinform.testing", run_name="__main__")
    options = set(re.findall(r"^ +(--[\w-]+)", capsys.readouterr().out, re.MULTILINE))
    _, _, section = PAGES["command-line"].partition("## python -m kinform.testing")
    section, _, _ = section.partition("\n## ")
    assert len(options) > 5
    assert set(re.findall(r"`(--[\w-]+)", section)) == options


def test_links_lead_somewhere():
    for page in sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")]):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), f"{page.relative_to(ROOT)} links to {target}"
            assert not anchor or anchor in _anchors(file), f"{page.relative_to(ROOT)} links to {target}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_index():
    index = (DOCS / "index.md").read_text()
    for page in sorted(DOCS.rglob("*.md")):
        assert page.name == "index.md" or f"({page.relative_to(DOCS)})" in index, page
