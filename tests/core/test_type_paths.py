"""`Prune.from_type`: the paths that types read. `&`: what two prunes keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Annotated, Any, NamedTuple, Optional, TypedDict, Union

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinform import OptionError, Prune
from kinform._listwatch.frames import Frames
from kinform_ext._scan import Batch


class Owner(msgspec.Struct, rename="camel"):
    kind: str
    block_owner_deletion: bool = False


class Meta(msgspec.Struct):
    labels: dict[str, str] = {}
    owners: list[Owner] = msgspec.field(default_factory=list, name="ownerReferences")


@dataclass
class Container:
    name: str
    ports: list[dict[str, int]] = field(default_factory=list)


class Spec(TypedDict, total=False):
    nodeName: str
    containers: list[Container]


class Pod(msgspec.Struct):
    metadata: Meta
    spec: Optional[Spec] = None  # noqa: UP045


class Http(msgspec.Struct, tag="http", tag_field="type"):
    path: str


class Tcp(msgspec.Struct, tag="tcp", tag_field="type"):
    port: int


class Probe(msgspec.Struct):
    spec: Union[Http, Tcp]  # noqa: UP007


class Tree(msgspec.Struct):
    value: int
    children: list[Tree] = []


class Schema(msgspec.Struct):
    spec: Tree


class Pair(NamedTuple):
    first: int
    second: int


class Whole(msgspec.Struct):
    a: dict[str, Any]
    b: msgspec.Raw
    c: str | Meta
    d: Pair
    e: dict[str, Meta]
    f: tuple[Meta, ...]
    g: Annotated[int, msgspec.Meta(gt=0)]
    h: Annotated[Meta, msgspec.Meta(title="x")]
    i: list[list[int]]


class Annotations(msgspec.Struct):
    weight: str = msgspec.field(default="", name="example.com/weight")


class QuotedMeta(msgspec.Struct):
    annotations: Annotations


class Quoted(msgspec.Struct):
    metadata: QuotedMeta


@pytest.mark.parametrize(
    ("type_", "keep"),
    [
        (Pod, ["metadata.labels", "metadata.ownerReferences[*].blockOwnerDeletion", "metadata.ownerReferences[*].kind",
               "spec.containers[*].name", "spec.containers[*].ports", "spec.nodeName"]),
        (Probe, ["spec.path", "spec.port", "spec.type"]),
        (Schema, ["spec.children", "spec.value"]),
        (Whole, ["a", "b", "c", "d", "e[*].labels", "e[*].ownerReferences[*].blockOwnerDeletion",
                 "e[*].ownerReferences[*].kind", "f[*].labels", "f[*].ownerReferences[*].blockOwnerDeletion",
                 "f[*].ownerReferences[*].kind", "g", "h.labels", "h.ownerReferences[*].blockOwnerDeletion",
                 "h.ownerReferences[*].kind", "i"]),
        (Quoted, ['metadata.annotations["example.com/weight"]']),
        (Union[Pod, None], list(Prune.from_type(Pod).keep)),  # noqa: UP007
    ],
)  # fmt: skip
def test_a_type_keeps_what_it_reads(type_: Any, keep: list[str]) -> None:
    assert list(Prune.from_type(type_).keep) == sorted(keep)
    assert Prune.from_type(type_).drop == ()


@pytest.mark.parametrize("type_", [dict, Any, dict[str, Any], msgspec.Raw])
def test_a_type_that_reads_everything_keeps_everything(type_: Any) -> None:
    assert Prune.from_type(type_) == Prune()


class WrongMeta(msgspec.Struct):
    labels: dict[str, Meta]


class Wrong(msgspec.Struct):
    metadata: WrongMeta


class V1Pod:
    pass


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        (int, "Struct, dataclass, TypedDict"),
        (list[Pod], "Struct, dataclass, TypedDict"),
        (V1Pod, "Struct, dataclass, TypedDict"),
        (42, "Struct, dataclass, TypedDict"),
        (dict[str, str], "Struct, dataclass, TypedDict"),
        (Wrong, r"metadata\.labels\[\*\] is a scalar"),
    ],
)
def test_a_type_of_no_object_is_refused(type_: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        Prune.from_type(type_)
    assert caught.value.field == "type"


# Combinations

NAMES = st.sampled_from(["a", "b", "[*]"])
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=3).map(lambda steps: "spec." + ".".join(steps)), max_size=3).map(
    lambda paths: [path.replace(".[", "[") for path in paths]
)
PRUNES = st.builds(lambda drop, keep: Prune(drop=drop, keep=keep), PATHS, PATHS)
VALUES = st.recursive(
    st.just(0), lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c"]), inner) | st.lists(inner)
)


@settings(deadline=None)
@given(PRUNES, PRUNES, VALUES)
def test_a_combination_keeps_what_both_keep(left: Prune, right: Prune, spec: Any) -> None:
    obj = {"metadata": {"name": "x"}, "spec": numbered(spec, count(1))}
    once = [leaves(applied(prune, obj)) for prune in (left, right)]
    assert leaves(applied(left & right, obj)) == once[0] & once[1]
    assert left & right == right & left


def applied(prune: Prune, obj: dict[str, Any]) -> Any:
    body = msgspec.json.encode({"kind": "L", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [obj]})
    frames = Frames("list", prune.program(), name="list", max_object_bytes=1 << 20).feed(body)
    (batch,) = (frame for frame in frames if isinstance(frame, Batch))
    return msgspec.json.decode(batch.raw(0))


def leaves(value: Any) -> set[int]:
    """Returns the numbers in a value."""
    if isinstance(value, dict | list):
        return {leaf for part in (value.values() if isinstance(value, dict) else value) for leaf in leaves(part)}
    return {value} if isinstance(value, int) else set()


def numbered(value: Any, numbers: Iterator[int]) -> Any:
    """Returns the value with another number at each place."""
    if isinstance(value, dict):
        return {name: numbered(part, numbers) for name, part in value.items()}
    return [numbered(part, numbers) for part in value] if isinstance(value, list) else next(numbers)


def test_presets_combine() -> None:
    both = Prune.from_type(Pod) & Prune.last_applied() & Prune(keep_last={"status.conditions": 3})
    assert both.keep == Prune.from_type(Pod).keep
    assert "metadata.managedFields" in both.drop
    assert (both & Prune(keep_last={"status.conditions": 2})).keep_last == {"status.conditions": 2}
    assert (Prune.metadata() & Prune(keep=["metadata.labels", "spec"])).keep == ("metadata.labels",)


def test_prunes_without_common_fields_do_not_keep_everything() -> None:
    kept = applied(Prune(keep=["a"]) & Prune(keep=["b"]), {"metadata": {"name": "x"}, "a": 1, "b": 2})
    assert kept["metadata"] == {"name": "x"}
    assert not {"a", "b"} & kept.keys()


def test_a_prune_combines_only_with_a_prune() -> None:
    with pytest.raises(TypeError):
        Prune() & "metadata"  # type: ignore[operator]
