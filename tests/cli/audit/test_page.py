"""The page of an audit: complete in itself, sortable, and readable on a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from kinform.cli._report.page import render
from kinform.cli.audit.report import (
    Collection,
    Conditions,
    Estimate,
    Growth,
    Leases,
    NamespaceShare,
    Renewer,
    Report,
    Saving,
    Unseen,
    Watcher,
)
from kinform.cli.audit.sections import document

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TITLES = [
    "Resources",
    "One copy of everything",
    "Largest namespaces",
    "Watchers of all namespaces",
    "Conditions that grow",
    "Leases",
    "Savings",
    "Not seen",
]


def collection(resource: str, objects: int, size: int) -> Collection:
    return Collection(
        resource=resource,
        namespaced=True,
        objects=objects,
        wire_bytes=2 * size,
        pruned_bytes=size,
        metadata_bytes=size // 4,
        growth=Growth(1, 2, 3),
        namespaces=2,
        largest=[NamespaceShare("a", 1, 2)],
        estimates=[Estimate("kinform", size // 20, measured=True), Estimate("client-go", 4 * size)],
        conditions=Conditions(50, "a/x", 2, 20, size // 2),
    )


REPORT = Report(
    cluster="prod<script>",
    taken_at="2026-11-28T01:00:00+00:00",
    seconds=12.3,
    nodes=300,
    namespaces=100_000,
    collections=[
        collection("v1/pods", 9_000, 90 << 20),
        collection("v1/namespaces", 100_000, 40 << 20),
        collection("a-very-long-group-name.of-some-vendor.example.com/v1alpha1/configurationparameters", 5, 9 << 10),
    ],
    largest_namespaces=[NamespaceShare("kube-system", 473, 4 << 20), NamespaceShare("", 100_000, 3 << 20)],
    watchers=[
        Watcher(
            kind="DaemonSet",
            namespace="logging",
            name="vector",
            service_account="vector",
            processes=300,
            resources=["v1/namespaces"],
            everything=False,
            bytes=40 << 20,
            bytes_of_all_processes=12_000 << 20,
            memory_bytes=5 << 30,
        )
    ],
    leases=Leases(400, 399, 15.0, 31.5, 4.2, 9.9, [Renewer("nodes", 300, 30.0), Renewer("shop/x", 1, 0.5)], 2),
    savings=[Saving("metadata only", 1 << 20, 99 << 20, "for programs that read labels")],
    unseen=[Unseen("v1/secrets", 'the server answered 403 & "<b>no</b>"')],
    costs="2026-11-27: client-go v0.36.6",
)


def in_browser(page: Path, script: str, width: int = 1280) -> str:
    """Runs a script on the page in a frame of this width, and returns its result.

    A frame, because a window of Chromium has at least 500 pixels.
    """
    frame = page.with_name("frame.html")
    frame.write_text(
        f"""<!doctype html><iframe src="{page.name}" style="width: {width}px; height: 900px; border: 0"></iframe>
        <script>document.querySelector("iframe").onload = (event) => {{
          const document = event.target.contentDocument;
          window.document.title = {script};
        }}</script>"""
    )
    assert BROWSER is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]
    command = [BROWSER, *options, str(frame)]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    found = re.search("<title>(.*?)</title>", dumped, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_text(render(document(REPORT)))
    return path


def test_the_page_has_every_section(page: Path) -> None:
    assert [section.title for section in document(REPORT).sections] == TITLES
    assert re.findall("<h2>(.*?)</h2>", page.read_text()) == TITLES


def test_the_page_needs_no_other_file(page: Path) -> None:
    assert not re.search(r"(src|href)=|@import|url\(|https?://", page.read_text())


def test_texts_of_the_server_are_escaped(page: Path) -> None:
    text = page.read_text()
    assert "prod&lt;script&gt;" in text
    assert "prod<script>" not in text
    assert "<b>no</b>" not in text


def test_an_empty_report_has_a_page() -> None:
    empty = msgspec.structs.replace(
        REPORT, collections=[], largest_namespaces=[], watchers=[], leases=None, savings=[], unseen=[]
    )
    assert "<h1>" in render(document(empty))


needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")


@needs_browser
def test_a_click_on_a_column_sorts_the_rows(page: Path) -> None:
    first_column = '[...document.querySelectorAll("tbody")[0].rows].map((row) => row.cells[0].textContent).join(" ")'
    click = 'document.querySelectorAll("thead")[0].querySelectorAll("button")[{}].click()'
    assert in_browser(page, f"({click.format(1)}, {first_column})").startswith("v1/namespaces v1/pods a-very")
    twice = f"({click.format(1)}, {click.format(1)}, {first_column})"
    assert in_browser(page, twice).startswith("a-very-long")
    assert in_browser(page, f"({click.format(0)}, {first_column})").startswith("a-very-long")


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_not_wider_than_the_screen(page: Path, width: int) -> None:
    inner = 'document.documentElement.scrollWidth + " " + document.documentElement.clientWidth'
    scroll, client = map(int, in_browser(page, inner, width).split())
    assert scroll <= client
    assert width - 20 <= client <= width  # a scroll bar


@needs_browser
def test_every_bar_is_drawn(page: Path) -> None:
    widths = '[...document.querySelectorAll("rect")].map((bar) => bar.getBoundingClientRect().width > 0).join(" ")'
    assert set(in_browser(page, widths, 390).split()) == {"true"}
