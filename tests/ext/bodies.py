"""Random LIST and WATCH bodies for tests of the scanner, cut anywhere.

A spelling of a value is one of its JSON texts: white space and escapes differ, the value is the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from kinform_ext._scan import Batch, Scanner

NAMES = (
    "a", "b", "spec", "status", "type", "name", "kind", "metadata", "items", "conditions", "lastTransitionTime",
    "a.b/c", 'k:{"name":"x"}', "é", "\u2028", "", "\U0001f600", "back\\slash", "\x00",
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", "\x00", "\u2028\u0085", '"{[]}"', "\\", '\\"', "\U0001f600" * 20, "x" * 15 + "é", "y" * 63, "z" * 200]
    ),
)
TIMES = st.sampled_from(
    [
        "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000001Z", "2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.10Z",
        "2026-01-02T05:04:05+02:00", "2024-02-29T23:59:60Z", "2025-02-29T00:00:00Z", "2026-01-02", "", "soon",
        "2026-01-02t03:04:05z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05-24:00", "0000-01-01T00:00:00Z",
    ]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**30, -0.0, 1e-300, 1.5e300]),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
CONDITIONS = st.lists(
    st.one_of(
        SCALARS,
        st.fixed_dictionaries(
            {},
            optional={
                "type": st.one_of(st.sampled_from(["Ready", "Available", "é"]), st.just(7)),
                "lastTransitionTime": st.one_of(TIMES, st.none()),
                "status": SCALARS,
            },
        ),
    ),
    max_size=8,
)
VALUES = st.recursive(
    st.one_of(SCALARS, CONDITIONS),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)),
    max_leaves=25,
)
STEPS = st.sampled_from([*NAMES, ..., ...])
PATHS = st.lists(STEPS, min_size=1, max_size=4).map(tuple)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    """Draws a Kubernetes object: a name, and random other members in any order."""
    metadata = draw(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
    metadata["name"] = draw(st.one_of(st.text(min_size=1, max_size=20), st.just("n")))
    for field in ("namespace", "uid", "resourceVersion"):
        if draw(st.booleans()):
            metadata[field] = draw(st.one_of(TEXTS, st.none()))
    found = draw(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6))
    found["metadata"] = shuffled(draw, metadata)
    for field in ("kind", "apiVersion"):
        found.pop(field, None)
        if draw(st.booleans()):
            found[field] = draw(st.sampled_from(["Pod", "v1", "Käse", 'quo"te', ""]))
    return shuffled(draw, found)


def shuffled(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    return dict(draw(st.permutations(list(value.items()))))


def spell(value: Any, rng: random.Random, indent: bool = False, level: int = 0) -> str:
    """Returns a spelling of a value."""

    def gap() -> str:
        if not indent:
            return ""
        return "\n" + "  " * level if rng.random() < 0.7 else rng.choice(["", " ", "\t", "\r\n", " " * 70])

    def inside(pairs: list[str]) -> str:
        return gap() + f"{gap()},{gap()}".join(pairs) + gap()

    if isinstance(value, str):
        return '"' + "".join(spell_character(character, rng) for character in value) + '"'
    if isinstance(value, list):
        return "[" + inside([spell(inner, rng, indent, level + 1) for inner in value]) + "]"
    if isinstance(value, dict):
        return "{" + inside([f"{spell(name, rng)}{gap()}:{gap()}{spell(inner, rng, indent, level + 1)}"
                             for name, inner in value.items()]) + "}"  # fmt: skip
    return json.dumps(value)


def spell_character(character: str, rng: random.Random) -> str:
    if character in '"\\' or character < " " or rng.random() < 0.05:
        code = "".join(f"\\u{unit:04x}" for unit in _units(character))
        short = json.dumps(character, ensure_ascii=False)[1:-1]
        return short if short[0] == "\\" and rng.random() < 0.7 else code.upper().replace("\\U", "\\u")
    return character


def _units(character: str) -> Iterator[int]:
    data = character.encode("utf-16-be")
    return (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


def chunked(data: bytes, rng: random.Random) -> list[bytes | bytearray | memoryview]:
    """Cuts bytes into chunks of random sizes, in all types that a feed accepts."""
    size = rng.choice([1, 2, 3, 7, 63, 64, 65, 300, len(data) + 1])
    chunks: list[bytes | bytearray | memoryview] = []
    at = 0
    while at < len(data):
        length = rng.randrange(size + 1) if size > 3 else size
        chunks.append(rng.choice([bytes, bytearray, memoryview])(data[at : at + length]))
        at += length
    return chunks


def run(scanner: Scanner, chunks: Any, finish: bool = True) -> list[Any]:
    """Feeds chunks and returns all objects and control items.

    An object is `(verb, namespace, name, uid, resource_version, raw)`. Checks what is true of every batch.
    """
    found: list[Any] = []
    for chunk in chunks:
        items = scanner.feed(chunk)
        for item, after in zip(items, [*items, None][1:], strict=True):
            if not isinstance(item, Batch):
                found.append(item)
                continue
            assert len(item) > 0
            assert not isinstance(after, Batch), "a run of objects is one batch"
            assert item.last_resource_version == item.resource_version(len(item) - 1)
            found += [fields(item, i) for i in range(len(item))]
    if finish:
        scanner.finish()
    return found


def fields(batch: Batch, i: int) -> tuple[str, str, str, str, str, bytes]:
    namespace, name = batch.namespace(i), batch.name(i)
    assert batch.key(i) == (f"{namespace}/{name}" if namespace else name)
    return batch.verb(i), namespace, name, batch.uid(i), batch.resource_version(i), batch.raw(i)
