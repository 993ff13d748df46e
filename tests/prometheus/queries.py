"""The queries of the dashboard and of the alerts in docs/monitoring."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from tests.docs.markdown import DOCS

DASHBOARD = DOCS / "monitoring" / "kinform-dashboard.json"
ALERTS = DOCS / "monitoring" / "kinform-alerts.yaml"

_VARIABLES = {"$informer": ".*", "$__rate_interval": "5m"}


def panels() -> list[dict[str, Any]]:
    """Returns the panels of the dashboard."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def panel_queries() -> dict[str, str]:
    """Returns the queries of the dashboard, as Grafana sends them.

    The keys are the title of the panel, and the letter of the query.
    """
    queries = {}
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for variable, value in _VARIABLES.items():
                query = query.replace(variable, value)
            queries[f"{panel['title']} {target['refId']}"] = query
    return queries


def rule_file() -> dict[str, Any]:
    """Returns the alerts as the content of a rule file."""
    found: dict[str, Any] = yaml.safe_load(ALERTS.read_text())["spec"]
    return found


def alerts() -> dict[str, str]:
    """Returns the expression of each alert."""
    return {rule["alert"]: rule["expr"] for group in rule_file()["groups"] for rule in group["rules"]}


def metric_names(query: str) -> set[str]:
    """Returns the names of the metrics in a query."""
    return set(re.findall(r"\bkinform_\w+", query))


def label_names(query: str) -> set[str]:
    """Returns the names of the labels in a query.

    They are in matchers, and in lists after `by`, `on` and `without`.
    """
    matchers = re.findall(r"\{(.*?)\}", query)
    lists = re.findall(r"\b(?:by|on|without) \((.*?)\)", query)
    names = {name for matcher in matchers for name in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matcher)}
    return names | {name for each in lists for name in re.split(r",\s*", each)}
