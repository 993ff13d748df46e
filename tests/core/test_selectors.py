"""Selectors: which are refused, and what a label selector matches."""

from __future__ import annotations

import re

import pytest

from kinform._errors import OptionError
from kinform._selector_builder import Selector
from kinform._selectors import check_field_selector, parse_label_selector, selects_identity

WEB = {"app": "web", "tier": "front", "example.com/rank": "3"}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app=db", False),
        ("app!=db", True),
        ("missing!=x", True),
        ("app in (web, db)", True),
        ("app in (db)", False),
        ("app notin (db,cache)", True),
        ("app notin (web)", False),
        ("app", True),
        ("missing", False),
        ("!app", False),
        ("!missing", True),
        ("example.com/rank", True),
        ("app=web,tier in (front,back),!missing", True),
        ("app=web,tier=back", False),
        ("example.com/rank>2", True),
        ("example.com/rank<2", False),
        ("app>2", False),
        ("app=", False),
        ("app in (web,)", True),
    ],
)
def test_a_label_selector_matches_as_the_server_would(selector, matches):
    assert parse_label_selector(selector, field="Scope.label_selector")(WEB) is matches


@pytest.mark.parametrize(
    "selector", ["=web", "app in web", "app in (web", "a b", "app=web,,tier=x", "-app=web", "app=we b", "app=a/b", ","]
)
def test_an_invalid_label_selector_is_refused(selector):
    with pytest.raises(OptionError, match=r"Scope\.label_selector") as caught:
        parse_label_selector(selector, field="Scope.label_selector")
    assert caught.value.value == selector
    assert "key=value" in str(caught.value)
    assert re.search(r"'[^']*' is not a (requirement|label key|label value)$", str(caught.value))


@pytest.mark.parametrize("selector", ["", "status.phase=Running", "metadata.name!=a,spec.nodeName==n1", r"a=x\,y"])
def test_a_valid_field_selector_is_accepted(selector):
    check_field_selector(selector, field="Scope.field_selector")


@pytest.mark.parametrize("selector", ["status.phase", "=x", "a=b,", "a in (b)", "a=b=c", "a=\ud800"])
def test_an_invalid_field_selector_is_refused(selector):
    with pytest.raises(OptionError, match=r"Scope\.field_selector: .* is not a requirement$"):
        check_field_selector(selector, field="Scope.field_selector")


@pytest.mark.parametrize("name", ["web", "system:a,b", "a=b", "a\\b"])
def test_a_field_selector_admits_the_name_that_it_escapes(name):
    selector = Selector.fields({"metadata.name": name})
    assert selects_identity(selector, "shop", name)
    assert not selects_identity(selector, "shop", f"{name}x")
    assert not selects_identity(selector.replace("=", "!=", 1), "shop", name)
