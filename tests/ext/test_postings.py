"""Postings agree with plain sets after any changes, and free their memory."""

from __future__ import annotations

import json
import random
import sys
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinform._paths.grammar import STAR, Path, parse
from kinform._paths.index_program import compile_index
from kinform_ext._table import Postings

NAMES = ("a", "b", "c.d/e", "ä")
PATHS = st.lists(st.lists(st.sampled_from([*NAMES, STAR]), min_size=1, max_size=4).map(tuple), min_size=1, max_size=4)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "y", "a\n\u0000", "\U0001f600", 'quote " and \\'])
)
JSONS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=20,
)
# At both sides of the end of a container, and far apart.
IDS = st.integers(0, 9) | st.integers(65_530, 65_540) | st.integers(0, 2**26 - 1)


def postings(*paths: str) -> Postings:
    return Postings(compile_index(dict(enumerate(parse(path, field="indexes") for path in paths))))


def reached(found: Any, path: Path) -> set[str]:
    """Returns the values at the end of a path in a decoded object."""
    if not path:
        if found is None or isinstance(found, dict | list):
            return set()
        return {found if isinstance(found, str) else json.dumps(found)}
    if path[0] is STAR:
        children = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else []
    else:
        children = [found[path[0]]] if isinstance(found, dict) and path[0] in found else []
    return set().union(*(reached(child, path[1:]) for child in children))


@given(PATHS, st.lists(st.tuples(IDS, JSONS | st.just(...)), max_size=60), st.booleans())
def test_postings_agree_with_plain_sets(paths, steps, escaped):
    ours, plain = Postings(compile_index(dict(enumerate(paths)))), {}
    empty = sys.getsizeof(Postings(compile_index(dict(enumerate(paths)))))
    for id, found in steps:
        if found is ...:
            ours.remove(id)
            plain.pop(id, None)
        else:
            ours.put(id, json.dumps(found, ensure_ascii=escaped).encode())
            plain[id] = found
    for index, path in enumerate(paths):
        expected = defaultdict(list)
        for id in sorted(plain):
            for value in reached(plain[id], path):
                expected[value].append(id)
        assert {value: ours.ids(index, value) for value in ours.values(index)} == expected
        assert all(ours.count(index, value) == len(ids) for value, ids in expected.items())
    for id in plain:
        ours.remove(id)
    assert all(ours.values(index) == [] for index in range(len(paths)))
    # Lists of pages, and the list of staged values, stay allocated.
    assert sys.getsizeof(ours) <= empty + 5_000_000 * any(id > 100_000 for id, _ in steps) + 10_000


@given(PATHS, st.dictionaries(IDS, JSONS, max_size=60), st.sets(st.integers(0, 3)), st.integers(1, 3))
def test_a_smaller_program_and_a_purge_leave_the_other_values(paths, plain, kept, budget):
    program = dict(enumerate(paths))
    ours, only = (Postings(compile_index(program)) for _ in range(2))
    left = {index: path for index, path in program.items() if index in kept}
    ours.load(compile_index(left))
    ours.load(compile_index(program))
    for id, found in plain.items():
        ours.put(id, json.dumps(found).encode())
    for each in (ours, only):
        each.load(compile_index(left))
    for id, found in plain.items():
        only.put(id, json.dumps(found).encode())
    while ours.purge(budget):
        pass
    for index in program:
        if index in left:
            found = {value: ours.ids(index, value) for value in ours.values(index)}
            assert found == {value: only.ids(index, value) for value in only.values(index)}
        else:
            with pytest.raises(IndexError):
                ours.ids(index, "x")
    ours.load(compile_index(program))
    assert all(ours.values(index) == [] for index in program if index not in left)
    for id in plain:
        ours.remove(id)
        only.remove(id)
    assert all(ours.values(index) == [] for index in program)
    large = any(id > 100_000 for id in plain)
    assert sys.getsizeof(ours) <= sys.getsizeof(only) + 5_000_000 * large + 10_000


@pytest.mark.parametrize("spread", [1, 7, 300])
def test_an_id_set_is_correct_from_empty_to_dense_and_back(spread):
    rng = random.Random(spread)
    ours, plain = postings("v"), set()
    ids = rng.sample(range(200_000 // spread), 20_000 // spread)
    ids = [id * spread for id in ids]
    for way in (ids, rng.sample(ids, len(ids))):
        for at, id in enumerate(way):
            if way is ids:
                ours.put(id, b'{"v":"x"}')
                plain.add(id)
            else:
                ours.remove(id)
                plain.remove(id)
            if at % 1_000 == 0 or len(plain) < 10:
                assert ours.ids(0, "x") == sorted(plain)
                assert ours.count(0, "x") == len(plain)
    assert ours.values(0) == []


def test_postings_take_a_dozen_bytes_an_object_and_free_them():
    ours = postings("node")
    empty = sys.getsizeof(ours)
    for id in range(100_000):
        ours.put(id, b'{"node":"node-%d"}' % (id % 3_000))
    assert sys.getsizeof(ours) - empty < 100_000 * 8 + 3_000 * 180 + 100_000 * 4
    for id in range(100_000):
        ours.remove(id)
    assert sys.getsizeof(ours) - empty < 8_192


def test_postings_grow_in_steps_of_at_most_16_kib():
    ours, before, largest = postings("v"), 0, 0
    for id in range(100_000):
        ours.put(id, b'{"v":"x"}')
        size = sys.getsizeof(ours)
        largest = max(largest, size - before) if before else 0
        before = size
    assert largest < 16 << 10


@pytest.mark.parametrize(
    ("paths", "raw", "values"),
    [
        (["a"], b'{"a":1e3,"b":2}', [["1e3"]]),
        (["a"], b'{"a":-0.50}', [["-0.50"]]),
        (["a"], b'{"a":true}', [["true"]]),
        (["a"], b'{"a":null}', [[]]),
        (["a"], b'{"a":{}}', [[]]),
        (["a"], b'{"a":[1]}', [[]]),
        (["a"], rb'{"\u0061":"\u00e4\ud83d\ude00"}', [["ä\U0001f600"]]),
        (["a"], b' {"a" : "x" } ', [["x"]]),
        (["a.b", "a"], b'{"a":{"b":"x"}}', [["x"], []]),
        (["a[*]", "a[*].b"], b'{"a":["x",{"b":"y"},["z"]]}', [["x"], ["y"]]),
        (["a[*]"], b'{"a":{"b":"x","c":"x","d":"y"}}', [["x", "y"]]),
        (['a["b.c/d"]'], b'{"a":{"b.c/d":"x","b":{"c/d":"y"}}}', [["x"]]),
        (["a"], b'{"a":"' + b"x" * 70_000 + b'"}', [["x" * 70_000]]),
        (["a"], b'{"a":"' + b"\\n" * 70_000 + b'"}', [["\n" * 70_000]]),
    ],
)
def test_values_are_decoded_strings_and_texts_of_other_scalars(paths, raw, values):
    ours = postings(*paths)
    ours.put(3, raw)
    assert [sorted(ours.values(index)) for index in range(len(paths))] == values


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b'{"a"',
        b'{"a":"x',
        b'{"a":"x",',
        b'{"a":"x" "b"}',
        b'{"a":"\\ud800"}',
        b"[",
        b'"',
        b'{"a":"\xff"}',
    ],
)
def test_malformed_json_has_no_values(raw):
    ours = postings("a", "[*]")
    ours.put(3, b'{"a":"old"}')
    ours.put(3, raw)
    assert ours.values(0) == ours.values(1) == []


@given(st.binary(max_size=60), st.integers(0, 60))
def test_random_bytes_do_not_crash_the_extraction(noise, at):
    whole = b'{"a":[{"b":"x"},{"b":["y",1,null]}],"b":{"a":"z"}}'
    ours = postings("a[*].b", "[*][*]", "b.a", "[*]")
    ours.put(1, whole[:at] + noise + whole[at:])
    ours.remove(1)
    assert [ours.values(index) for index in range(4)] == [[]] * 4


def test_deep_objects_are_indexed_up_to_the_limit_of_decoders():
    ours = postings("a", "[*]" * 600)
    ours.put(1, b'{"a":"x","b":' + b"[" * 400 + b"]" * 400 + b"}")
    assert ours.values(0) == ["x"]
    ours.put(1, b'{"a":"x","b":' + b"[" * 600 + b"]" * 600 + b"}")
    assert ours.values(0) == []


def test_unknown_values_have_no_ids_and_bad_arguments_raise():
    ours = postings("a")
    assert ours.ids(0, "\ud800") == []
    assert ours.count(0, "x") == 0
    with pytest.raises(IndexError):
        ours.ids(1, "x")
    with pytest.raises(ValueError, match="id"):
        ours.put(2**26, b"{}")


def test_a_program_with_an_unknown_node_is_refused():
    with pytest.raises(ValueError, match="not a node"):
        Postings([((), 1, (), -1)])
    ours = postings("a")
    with pytest.raises(ValueError, match="not a node"):
        ours.load([((), -1, (), -1), ((), 2, (), -1)])
    ours.put(1, b'{"a":"x"}')
    assert ours.values(0) == ["x"]
