"""Dashboard and alerts use metrics, labels and values that the collector returns."""

from __future__ import annotations

import re

import pytest

from kinform.prometheus._informer_metrics import NAMES, ROWS, SHARED_ROWS, STATES
from tests.docs.markdown import DOCS
from tests.prometheus.queries import alerts, label_names, metric_names, panel_queries, panels

QUERIES = {**panel_queries(), **alerts()}
METRICS = {row.name: row for row in (*ROWS, *SHARED_ROWS)}
SCRAPED = {"job", "instance"}  # labels that Prometheus adds


@pytest.mark.parametrize("title", QUERIES)
def test_a_query_has_names_that_the_collector_returns(title: str):
    metrics = metric_names(QUERIES[title])
    assert metrics
    assert metrics <= METRICS.keys()
    labels = {*NAMES, *SCRAPED, *(METRICS[name].label for name in metrics)}
    assert label_names(QUERIES[title]) <= labels


@pytest.mark.parametrize("title", QUERIES)
def test_only_counters_have_a_rate(title: str):
    query = QUERIES[title]
    for name in re.findall(r"(?:rate|increase)\((\w+)", query):
        assert METRICS[name].type == "counter", name
    if not re.search(r"rate\(|increase\(", query):
        assert {METRICS[name].type for name in metric_names(query)} == {"gauge"}


@pytest.mark.parametrize("title", QUERIES)
def test_a_state_in_a_query_exists(title: str):
    for states in re.findall(r'state=~?"(.*?)"', QUERIES[title]):
        assert set(states.split("|")) <= set(STATES)


def test_legends_name_labels_of_the_query():
    for panel in panels():
        for target in panel["targets"]:
            kept = re.search(r"\bby \((.*?)\)", target["expr"])
            metrics = metric_names(target["expr"])
            labels = kept[1].split(", ") if kept else {*NAMES, *SCRAPED, *(METRICS[name].label for name in metrics)}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= set(labels), panel["title"]


def test_panels_fill_rows_without_overlap():
    cells = [
        (x, y)
        for position in (panel["gridPos"] for panel in panels())
        for x in range(position["x"], position["x"] + position["w"])
        for y in range(position["y"], position["y"] + position["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_the_page_has_a_row_for_each_alert():
    page = (DOCS / "howto" / "metrics.md").read_text()
    assert re.findall(r"^\| `(Kinform\w+)`", page, re.MULTILINE) == list(alerts())


def test_names_follow_the_conventions_of_prometheus():
    for row in METRICS.values():
        assert re.fullmatch(r"kinform_[a-z_]+", row.name)
        assert row.name.endswith("_total") == (row.type == "counter"), row.name
        assert row.help.endswith((".", "`."))
