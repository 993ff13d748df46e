"""The argument `Scope.names`."""

from __future__ import annotations

from typing import Any

import pytest

import kinform
from kinform._listwatch.pages import selector_params
from kinform._spec import CollectionSpec


@pytest.mark.parametrize(
    "names", [[], "web", ["a/b"], ["a%2Fb"], [""], ["."], [".."], ["a\n"], ["\ud800"], ["x" * 254], [1], 3, {"a": 1}]
)
def test_names_that_cannot_be_raise(names: Any) -> None:
    with pytest.raises(kinform.OptionError) as caught:
        kinform.Scope(names=names)
    assert caught.value.field == "Scope.names"
    assert 'without "/" and "%"' in str(caught.value)


@pytest.mark.parametrize("name", ["web-0", "system:controller:x", "a.b", "...", "Admin", "é", "x" * 253])
def test_names_of_every_kind_are_accepted(name: str) -> None:
    assert kinform.Scope(names=[name]).names == (name,)


@pytest.mark.parametrize("selector", ["metadata.name=a", "spec.x=1, metadata.name!=b", "metadata.name==a,spec.x=1"])
def test_a_field_selector_of_names_besides_names_raises(selector: str) -> None:
    with pytest.raises(kinform.OptionError, match=r"Scope.names is set") as caught:
        kinform.Scope(names=["a"], field_selector=selector)
    assert caught.value.field == "Scope.field_selector"


def test_a_field_selector_of_other_fields_is_accepted() -> None:
    kinform.Scope(names=["a"], field_selector=r"spec.x=metadata.name,metadata.namespace=b,spec.y=a\,metadata.name\=b")


@pytest.mark.parametrize(
    ("names", "fields", "sent"),
    [
        (["a"], "", "metadata.name=a"),
        (["a=b"], "", r"metadata.name=a\=b"),
        (["a"], "spec.x=1", "metadata.name=a,spec.x=1"),
        (["a", "a"], "", "metadata.name=a"),
        (["a", "b"], "spec.x=1", "spec.x=1"),
        (None, "spec.x=1", "spec.x=1"),
    ],
)
def test_the_server_is_asked_for_one_name(names: Any, fields: str, sent: str) -> None:
    assert selector_params(kinform.Scope(names=names, field_selector=fields), None) == [("fieldSelector", sent)]


def test_no_field_selector_is_sent_for_several_names() -> None:
    assert selector_params(kinform.Scope(names=["a", "b"]), None) == []


def test_equal_sets_of_names_are_equal_collections() -> None:
    one, same, other = (
        CollectionSpec.of("v1/pods", kinform.Scope(names=names)) for names in (["b", "a"], {"a", "b"}, ["a"])
    )
    assert one == same
    assert hash(one) == hash(same)
    assert one != other


def test_the_name_of_a_collection_has_its_names() -> None:
    spec = CollectionSpec.of("v1/pods", kinform.Scope(names=["db", "app"], namespaces=["shop"], label_selector="x=y"))
    assert spec.name() == "v1/pods in shop (labels x=y, names app, db)"
    assert CollectionSpec.of("v1/pods", kinform.Scope(names=[f"n{i}" for i in range(99)])).name().endswith(" more)")
