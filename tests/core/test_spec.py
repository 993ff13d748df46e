"""The identity of a collection: defaults, checks and equality."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest

import kinform
from kinform._options import DEFAULT_PRUNE, Prune, Resource, Scope, WatchOptions
from kinform._spec import CollectionSpec


class Spec(msgspec.Struct):
    nodeName: str


class Pod(msgspec.Struct):
    spec: Spec


def test_none_stands_for_the_default():
    spec = CollectionSpec.of("v1/pods")
    assert spec == CollectionSpec(
        resource=Resource(version="v1", plural="pods"),
        scope=Scope(),
        prune=DEFAULT_PRUNE,
        transform=None,
        options=WatchOptions(),
    )


def test_equal_arguments_make_equal_specs():
    def spec(label: str) -> CollectionSpec:
        return CollectionSpec.of("v1/pods", Scope(label_selector=label), Prune(drop=["status"]))

    assert spec("app=web") == spec("app=web")
    assert spec("app=web") != spec("app=db")


def test_order_and_repetition_do_not_matter_and_specs_are_keys():
    one = CollectionSpec.of(
        "v1/pods",
        Scope(namespaces=["shop", "billing"]),
        Prune(drop=["a", "b"], keep=["d", "c"], keep_last={"x": 1, "y": 2}),
    )
    other = CollectionSpec.of(
        "v1/pods",
        Scope(namespaces=["shop", "billing", "shop"]),
        Prune(drop=["b", "a", "b"], keep=["c", "d"], keep_last={"y": 2, "x": 1}),
    )
    assert one == other
    assert {one: "shared"}[other] == "shared"


@pytest.mark.parametrize(
    ("scope", "namespace", "name"),
    [
        (Scope(), "", "v1/pods"),
        (Scope(), "shop", "v1/pods in shop"),
        (Scope(namespaces=["shop", "till"]), "", "v1/pods in shop, till"),
        (Scope(namespaces=["shop", "till"]), "till", "v1/pods in till"),
        (Scope(namespaces=list("abcdefg")), "", "v1/pods in a, b, c, d, e and 2 more"),
        (Scope(label_selector="app in (web, db)"), "", "v1/pods (labels app in (web, db))"),
        (Scope(label_selector="a=b", field_selector="c=d"), "shop", "v1/pods in shop (labels a=b, fields c=d)"),
        (Scope(field_selector="a=" + "b" * 200), "", f"v1/pods (fields a={'b' * 95}...)"),
    ],
)
def test_the_name_has_the_namespaces_and_the_selectors(scope, namespace, name):
    assert CollectionSpec.of("v1/pods", scope).name(namespace) == name


def test_a_resource_that_is_not_parsed_is_refused():
    with pytest.raises(kinform.OptionError, match="resource: 'v1/pods' is not allowed"):
        CollectionSpec(resource="v1/pods")


@pytest.mark.parametrize(
    ("field", "value"), [("scope", "shop"), ("prune", ["spec"]), ("options", {}), ("transform", "raw")]
)
def test_a_field_of_another_type_is_refused(field, value):
    with pytest.raises(kinform.OptionError, match=f"{field}: .* is not allowed"):
        CollectionSpec.of("v1/pods", **{field: value})


def test_a_prune_that_keeps_nothing_of_the_metadata_is_refused():
    scope = Scope(metadata_only=True)
    with pytest.raises(kinform.OptionError, match=r"Prune.keep: .*spec.nodeName.*Scope.metadata_only is set"):
        CollectionSpec.of("v1/pods", scope, Prune(keep=["spec.nodeName", "status"]))
    for keep in (["spec", "metadata.labels"], ["kind"], ["[*].labels"], []):
        assert CollectionSpec.of("v1/pods", scope, Prune(keep=keep, drop=["spec"])).prune.keep == tuple(sorted(keep))


def test_a_type_that_needs_a_dropped_field_is_refused():
    with pytest.raises(kinform.OptionError, match="spec"):
        CollectionSpec.of("v1/pods", prune=Prune(drop=["spec"])).check_readable(Pod, {})


class Plain:
    spec: dict[str, str]


class Array(msgspec.Struct, array_like=True):
    spec: Spec


@dataclasses.dataclass
class Data:
    spec: Spec


class Typed(TypedDict):
    spec: Spec


@pytest.mark.parametrize(
    "type",
    [int, str, bytes, list, None, int | str, Literal["a"], Plain, collections.OrderedDict, Array, dict[str, int], 7],
)
def test_a_type_that_no_object_decodes_to_is_refused(type):
    with pytest.raises(kinform.OptionError, match=r"^type: .*expected dict, a model of"):
        CollectionSpec.of("v1/pods").check_readable(type, {})
    with pytest.raises(kinform.OptionError, match=r"^type: "):
        kinform.store(type=type)


@pytest.mark.parametrize(
    "type",
    [dict, dict[str, Any], Mapping[str, Any], Any, object, msgspec.Raw, Pod, Pod | None, Data, Typed,
     Annotated[Pod, msgspec.Meta(extra={"a": 1})]],
)  # fmt: skip
def test_a_type_that_objects_decode_to_is_accepted(type):
    CollectionSpec.of("v1/pods").check_readable(type, {})
    kinform.store(type=type)


def test_an_index_without_a_name_is_refused():
    with pytest.raises(kinform.OptionError, match="indexes: '' is not allowed; expected a name that is not empty"):
        CollectionSpec.of("v1/pods").check_readable(dict, {"": "spec.nodeName"})
    with pytest.raises(kinform.OptionError, match="indexes: '' is not allowed"):
        kinform.store(indexes={"": "spec.nodeName"})


def test_metadata_only_refuses_a_type_that_needs_the_spec():
    with pytest.raises(kinform.OptionError, match=r"spec, because Scope\.metadata_only drops it"):
        CollectionSpec.of("v1/pods", Scope(metadata_only=True)).check_readable(Pod, {})


def test_metadata_only_refuses_an_index_on_the_spec():
    with pytest.raises(kinform.OptionError, match=r"node.*a path that Scope\.metadata_only does not drop"):
        CollectionSpec.of("v1/pods", Scope(metadata_only=True)).check_readable(dict, {"node": "spec.nodeName"})
