"""Objects that do not fit a type: what the error shows, and reads that skip them."""

from __future__ import annotations

import enum
import json
from typing import Annotated, Any, Literal

import msgspec
import pytest

import kinform
from kinform._errors import DecodeError, OptionError
from kinform._objects import Object
from tests.core.kept_store import Kept
from tests.core.wire import obj


class Colour(enum.Enum):
    RED = "red"


class Spec(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    node_name: str
    count: Annotated[int, msgspec.Meta(ge=0)] = 0
    by_name: dict[str, int] = {}
    by_number: dict[int, int] = {}
    ports: list[int] = []
    mode: Literal["on", "off"] = "on"
    colour: Colour = Colour.RED
    pair: tuple[int, int] = (1, 2)

    def __post_init__(self) -> None:
        if self.node_name.startswith("hunter2"):
            raise ValueError(self.node_name)


class Thing(msgspec.Struct):
    spec: Spec


FITS = {"nodeName": "a"}


@pytest.mark.parametrize(
    ("found", "path", "why"),
    [
        ({}, "$.spec", "missing"),
        ({"spec": {}}, "$.spec.nodeName", "missing"),
        ({"spec": None}, "$.spec", "expected object, got null"),
        ({"spec": {"nodeName": 5}}, "$.spec.nodeName", "expected str, got int"),
        ({"spec": FITS | {"count": -5}}, "$.spec.count", ""),
        ({"spec": FITS | {"byName": {"hunter2": "hunter2"}}}, "$.spec.byName[...]", "expected int, got str"),
        ({"spec": FITS | {"byNumber": {"hunter2": 1}}}, "$.spec.byNumber", "expected int, got str"),
        ({"spec": FITS | {"ports": [1, "hunter2"]}}, "$.spec.ports[1]", "expected int, got str"),
        ({"spec": FITS | {"mode": "hunter2 - at `$.hunter2`"}}, "$.spec.mode", ""),
        ({"spec": FITS | {"colour": "hunter2"}}, "$.spec.colour", ""),
        ({"spec": FITS | {"pair": [1]}}, "$.spec.pair", ""),
        ({"spec": {"nodeName": "hunter2 - at `$.hunter2`"}}, "$.spec", ""),
        ({"spec": {"nodeName": "hunter2: Expected `int`, got `hunter2`"}}, "$.spec", ""),
    ],
)
def test_the_error_has_the_path_in_the_type_and_no_content(found, path, why):
    with pytest.raises(DecodeError) as caught:
        Object("shop", "a", "", "", json.dumps(found).encode()).decode(Thing)
    error = caught.value
    assert (error.key, error.path, error.why) == ("shop/a", path, why)
    assert str(error) == f"shop/a: cannot be decoded at {path}" + (f": {why}" if why else "")
    assert "hunter2" not in str(error)
    assert error.__cause__ is None


@pytest.mark.parametrize("field", ["hunter2", "hunter2` - at `$.hunter2"])
def test_the_name_of_an_unknown_field_is_not_shown(field):
    with pytest.raises(DecodeError) as caught:
        Object("shop", "a", "", "", json.dumps(FITS | {field: 1}).encode()).decode(Spec)
    assert str(caught.value) == "shop/a: cannot be decoded: unknown field"


class Quoting(msgspec.Struct):
    name: str

    def __post_init__(self) -> None:
        raise ValueError(self.name)


@pytest.mark.parametrize("name", ["x at `$.hunter2`", "Expected `hunter2`, got `hunter2`", "field `hunter2`"])
def test_the_text_of_an_exception_of_the_type_is_no_path(name):
    with pytest.raises(DecodeError) as caught:
        Object("shop", "a", "", "", json.dumps({"name": name}).encode()).decode(Quoting)
    assert str(caught.value) == "shop/a: cannot be decoded"


@pytest.mark.parametrize("raw", [b'{"name":', b'{"name":"\xff"}', b"[" * 10_000])
def test_bytes_that_are_no_json_have_no_path(raw):
    with pytest.raises(DecodeError) as caught:
        Object("shop", "a", "", "", raw).decode(Any)
    assert (caught.value.path, caught.value.why) == ("", "")


class Labelled(msgspec.Struct):
    metadata: dict[str, Any]
    replicas: int = 0

    def __post_init__(self) -> None:
        if self.replicas == 13:
            raise KeyError("hunter2")


@pytest.fixture
def kept():
    """A store with two objects that fit its type, and three that do not."""
    kept = Kept(type=Labelled, indexes={"app": "metadata.labels.app"})
    found = [obj("a", replicas=1), obj("b", replicas="hunter2"), obj("c", replicas=3), obj("d", replicas=13), obj("e")]
    for each in found:
        each["metadata"]["labels"] = {"app": "web"}
    found[-1]["metadata"]["labels"]["tier"] = 5
    found[-1]["replicas"] = "5"
    kept.relist(*found)
    return kept


READS = {
    "items": lambda store, **options: [found.replicas for _, found in store.items(**options)],
    "items by label": lambda store, **options: [
        found.replicas for _, found in store.items(label_selector="tier!=db", **options)
    ],
    "values": lambda store, **options: [found.replicas for found in store.values(**options)],
    "index": lambda store, **options: [found.replicas for found in store.index("app", "web", **options)],
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reads_can_skip_objects_that_do_not_fit_the_type(kept, read, caplog):
    with pytest.raises(DecodeError, match=r"shop/b: cannot be decoded at \$\.replicas: expected int, got str"):
        read(kept.store)
    assert kept.store.undecodable_reads == 0
    for times in (1, 2):
        assert sorted(read(kept.store, on_undecodable="skip")) == [1, 3]
        assert kept.store.undecodable_reads == 3 * times
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "store: object skipped: shop/b: cannot be decoded at $.replicas: expected int, got str"
    assert "hunter2" not in caplog.text


def test_values_are_the_objects_of_a_namespace(kept):
    assert list(kept.store.values("till")) == []
    assert sorted(found.replicas for found in kept.store.values("shop", on_undecodable="skip")) == [1, 3]


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_another_value_of_on_undecodable_is_refused_at_the_call(kept, read):
    with pytest.raises(OptionError, match='on_undecodable: \'ignore\' is not allowed; expected "raise" or "skip"'):
        read(kept.store, on_undecodable="ignore")
    with pytest.raises(OptionError):
        kept.store.items(on_undecodable="ignore")


def test_errors_of_decoding_are_public():
    assert kinform.DecodeError is DecodeError
