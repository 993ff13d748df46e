"""Selectors from Python values: their text, and which values are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kinform
from kinform import OptionError, Selector
from kinform._selectors import parse_label_selector, selects_identity
from kinform.testing._selectors import parse_fields, parse_labels

VALUES = st.from_regex(r"([a-z0-9]([-a-z0-9_.]{0,5}[a-z0-9])?)?", fullmatch=True)
KEYS = st.from_regex(r"(example\.com/)?[a-z]([-a-z_.]{0,3}[a-z])?", fullmatch=True)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Selector.labels(app="web", tier=["b", "a"], canary=None), "app=web,tier in (a,b),!canary"),
        (Selector.labels({"app.kubernetes.io/name": "web"}, tier=("x",)), "app.kubernetes.io/name=web,tier in (x)"),
        (Selector.labels(app=""), "app="),
        (Selector.labels(app={"", "web"}), "app in (,web)"),
        (Selector.labels(labels="x", self="y"), "labels=x,self=y"),
        (Selector.labels(), ""),
        (Selector.fields({"spec.nodeName": "n7", "status.phase": "Running"}), "spec.nodeName=n7,status.phase=Running"),
        (Selector.fields({"metadata.name": r"a,b=c\d"}), r"metadata.name=a\,b\=c\\d"),
        (Selector.fields(type="kubernetes.io/tls"), "type=kubernetes.io/tls"),
        (Selector.fields({"spec.nodeName": ""}), "spec.nodeName="),
        (Selector.fields(), ""),
    ],
)  # fmt: skip
def test_values_become_a_selector(made: str, text: str) -> None:
    assert made == text


@given(st.dictionaries(KEYS, st.none() | VALUES | st.sets(VALUES, min_size=1, max_size=3)), st.data())
def test_a_label_selector_matches_what_the_values_say(wanted: dict[str, Any], data: st.DataObject) -> None:
    keys = st.sampled_from(sorted(wanted)) | KEYS if wanted else KEYS
    labels = data.draw(st.dictionaries(keys, VALUES))
    text = Selector.labels(wanted)
    expected = all(
        key not in labels if value is None else labels.get(key) in ({value} if isinstance(value, str) else value)
        for key, value in wanted.items()
    )
    assert parse_label_selector(text, field="x")(labels) is expected
    assert all(requirement.matches(labels) for requirement in parse_labels(text)) is expected
    kinform.Scope(label_selector=text)


@given(st.text(min_size=1).filter(lambda text: text == text.strip() and text.isprintable()))
def test_a_field_selector_selects_any_name(name: str) -> None:
    text = Selector.fields({"metadata.name": name})
    assert [term.value for term in parse_fields(text, frozenset({"metadata.name"}), "")] == [name]
    assert kinform.Scope(field_selector=text).field_selector == text


def test_an_escaped_name_selects_the_object() -> None:
    assert selects_identity(Selector.fields({"metadata.name": "web"}), "shop", "web")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("app", True, "a label value"),
        ("app", 7, "a label value"),
        ("app", [], "a list of label values"),
        ("app", ["x", None], "a list of label values"),
        ("app", {"x": "y"}, "a list of label values"),
        ("app", "a b", "a label value"),
        ("app", "a,b", "a label value"),
        ("app", ["a)", "b"], "a label value"),
        ("app", "-x", "a label value"),
        ("app", "x" * 64, "a label value"),
        ("-app", "web", "keys of labels"),
        ("a/b/c", "web", "keys of labels"),
        ("app,x", None, "keys of labels"),
        ("", "web", "keys of labels"),
        (7, "web", "keys of labels"),
    ],
)
def test_a_wrong_label_is_refused(key: Any, value: Any, message: str) -> None:
    with pytest.raises(OptionError, match=r"^Selector\.labels") as caught:
        Selector.labels({key: value})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("spec.nodeName", None, "a string"),
        ("spec.nodeName", ["a"], "a string"),
        ("spec.nodeName", " a", "white space"),
        ("spec nodeName", "a", "is not a requirement"),
        ("a=b", "a", "is not a requirement"),
        (7, "a", "paths of fields"),
    ],
)
def test_a_wrong_field_is_refused(path: Any, value: Any, message: str) -> None:
    with pytest.raises(OptionError, match=r"^Selector\.fields") as caught:
        Selector.fields({path: value})
    assert message in str(caught.value)


def test_a_key_that_comes_twice_is_refused() -> None:
    with pytest.raises(OptionError, match="'app' is not allowed; expected each key once"):
        Selector.labels({"app": "a"}, app="b")
    with pytest.raises(OptionError, match=r"Selector\.labels: 'app=web' is not allowed"):
        Selector.labels("app=web")  # type: ignore[arg-type]
