"""The reference agrees with the code, and links and paths in documents exist."""

from __future__ import annotations

import re
import runpy
import sys
import tomllib
from pathlib import Path
from typing import get_args

import msgspec
import pytest

import kinform
import kinform.controllers
import kinform.prometheus
import kinform.sync
import kinform.sync.watch
import kinform.testing
import kinform.watch
from kinform._stats import _FROM_BEST_TO_WORST, State
from kinform.cli import _exit_codes
from tests.core.test_floors import ROOMS
from tests.docs import constants, reference, signature_types
from tests.docs.markdown import DOCS, PROJECT_URL, ROOT, pages
from tests.support.controlplane.build import versions

PAGES = {path.stem: path.read_text() for path in sorted((DOCS / "reference").glob("*.md"))}
PUBLIC_MODULES = (
    kinform,
    kinform.controllers,
    kinform.prometheus,
    kinform.sync,
    kinform.testing,
    kinform.watch,
    kinform.sync.watch,
)


def test_pages_are_up_to_date_with_the_code():
    assert not list(reference.stale()), "run: python -m tests.docs.reference"


def test_every_public_name_is_on_one_page():
    shown = [name for page in PAGES.values() for name in reference.names(page)]
    for module in PUBLIC_MODULES:
        for name in module.__all__:
            own = module is kinform or getattr(module, name) is not getattr(kinform, name, None)
            if name not in ("testing", "Source") and not name.isupper() and own:
                assert shown.count(f"{module.__name__}.{name}") == 1, f"{module.__name__}.{name}"


def test_every_public_module_is_in_the_stability_policy():
    public, _, _ = PAGES["stability"].partition("Everything else is private")
    packages = (path.parent for path in (ROOT / "kinform").glob("*/__init__.py"))
    files = (path for path in (ROOT / "kinform").rglob("*.py") if "__all__" in path.read_text())
    found = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (*packages, *files)}
    names = {name.removesuffix(".__init__") for name in found if "._" not in name.removesuffix(".__init__")}
    assert names - {"kinform.cli"} == {module.__name__ for module in PUBLIC_MODULES}
    for module in PUBLIC_MODULES:
        assert re.search(rf"^\|.*`{module.__name__}`.*\|.*\|$", public, re.MULTILINE), module.__name__


def test_a_block_is_shown_as_a_context_manager():
    assert "-> AbstractContextManager[None]" in reference.rendered("kinform.testing.at_most")
    assert "leading() -> AbstractAsyncContextManager[Term]" in reference.rendered("kinform.controllers.LeaderElection")


def test_every_type_in_a_signature_is_explained():
    regions = re.findall(r"<!-- from the code: kinform\..+?<!-- end -->", "\n".join(PAGES.values()), re.DOTALL)
    table = re.findall(r"^\| (`.+?) \|", PAGES["types"], re.MULTILINE)
    explained = set(re.findall(r"`(\w+)`", " ".join(table)))
    public = {name for module in PUBLIC_MODULES for name in module.__all__}
    used = set(signature_types.unexplained(regions, public))
    assert used == explained | set(signature_types.aliases())


def test_every_field_of_every_option_is_described():
    _, *parts = re.split(r"^<!-- from the code: kinform\.(\w+) -->$", PAGES["options"], flags=re.MULTILINE)
    for name, section in zip(parts[::2], parts[1::2], strict=True):
        option = getattr(kinform, name)
        for field in msgspec.structs.fields(option) if issubclass(option, msgspec.Struct) else ():
            assert re.search(rf"^- `{field.name}` \(.+\): \S", section, re.MULTILINE), f"{name}.{field.name}"
    assert {"Resource", "Scope", "NamespaceSelector", "Prune", "WatchOptions", "Backoff", "Snapshot"} <= set(parts)


def test_every_state_is_explained_from_best_to_worst():
    for page in (DOCS / "reference/states.md", DOCS / "howto/not-synced.md"):
        explained = re.findall(r"^\| `(\w+)` \|", page.read_text(), re.MULTILINE)
        assert set(explained) == set(get_args(State)), page
    assert re.findall(r"^\| `(\w+)` \|", PAGES["states"], re.MULTILINE) == list(_FROM_BEST_TO_WORST)


def test_every_logger_and_each_of_its_levels_is_listed():
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
            used.setdefault(logger, set()).update(levels)
            if "exception" in levels:  # of `ThrottledLog`
                used[logger] |= {"error", "debug"}
    for levels in used.values():
        levels.discard("exception")
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


def test_links_have_targets():
    for page in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            where = f"{page.relative_to(ROOT)} links to {target}"
            if inside := re.fullmatch(rf"{re.escape(PROJECT_URL)}/(?:blob|raw)/main/(.+)", target):
                path, _, anchor = inside[1].partition("#")
                file = ROOT / path
            elif "://" in target:
                continue
            else:
                path, _, anchor = target.partition("#")
                file = (page.parent / path).resolve() if path else page
            assert file.exists(), where
            assert not anchor or anchor in _anchors(file), where


def test_links_of_the_readme_are_absolute():
    # A package index shows the README and does not resolve relative links.
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith(f"{PROJECT_URL}/"), target


def test_the_project_has_one_url():
    for page in (*pages(), ROOT / "mkdocs.yml", ROOT / "pyproject.toml"):
        for found in re.findall(r"https://github\.com/kinform[\w./-]*", page.read_text()):
            assert found == PROJECT_URL or found.startswith(f"{PROJECT_URL}/"), f"{page.relative_to(ROOT)}: {found}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_linked_from_the_index():
    index = (DOCS / "index.md").read_text()
    for page in sorted(DOCS.rglob("*.md")):
        assert page.name == "index.md" or f"({page.relative_to(DOCS)})" in index, page


def test_paths_in_documents_exist():
    for page in pages():
        for path in re.findall(r"`((?:kinform|kinform_ext|tests|benchmarks|docs|tools)/[\w./-]*)`", page.read_text()):
            assert (ROOT / path).exists(), f"{page.relative_to(ROOT)}: {path}"


def test_a_constant_does_not_begin_a_line():
    for page in pages():
        assert not list(constants.misplaced(page.read_text())), page.relative_to(ROOT)


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("kinform:WatchOptions.page_size", None, "500"),
        ("kinform:WatchOptions.max_object_bytes", "MiB", "16 MiB"),
        ("kinform:Backoff.initial", "seconds", "0.8 seconds"),
        ("kinform.controllers:LeaderElection.lease_seconds", None, "40"),
        ("kinform.controllers:LeaderElection.name", None, None),
        ("kinform_ext/records/slabs.h:KR_MAX_SLAB", "KiB", "256 KiB"),
        ("kinform_ext/records/ids.h:KR_ID_PAGE", None, "4,096"),
        ("kinform_ext/records/ids.h:KR_NO_SUCH_MACRO", None, None),
        ("tests/support/controlplane/go.mod:k8s.io/kubernetes", None, versions()["kube-apiserver"].removeprefix("v")),
        ("kinform:WatchOptions.no_such", None, None),
    ],
)
def test_constant_is_read_from_the_code(name: str, unit: str | None, expected: str | None):
    if expected is None:
        with pytest.raises((LookupError, TypeError, ValueError)):
            constants.text(name, unit)
    else:
        assert constants.text(name, unit) == expected


def test_a_wrong_constant_is_replaced():
    page = "In slices of <!-- constant: kinform:WatchOptions.page_size -->7<!-- end --> objects."
    assert constants.filled(page) == page.replace("7", "500")


def test_supported_python_versions_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {found[1] for found in map(re.compile(r".*Python :: (3\.\d+)$").match, project["classifiers"]) if found}
    table = re.findall(r"^\| CPython (.+?) \|", PAGES["supported-versions"], re.MULTILINE)
    assert set(", ".join(table).split(", ")) == declared


def test_every_room_has_a_section_in_the_architecture():
    page = (DOCS / "explanation/architecture.md").read_text()
    assert re.findall(r"^### `?(\w+)`?", page, re.MULTILINE) == list(ROOMS)
