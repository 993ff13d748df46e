"""Pruning on bytes: dropped members, mandatory fields, the form of the result."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

import pytest

from kinform._paths.prune_program import compile_prune
from kinform_ext._scan import Batch, Scanner

HEAD = '{"apiVersion":"v1","kind":"Pod",'
META = '"metadata":{"name":"a"}'


def prune(
    text: str, drop: Sequence[str] = (), keep: Sequence[str] = (), keep_last: Mapping[str, int] | None = None
) -> str:
    """Returns an object after pruning, the same for each place to cut it in two."""
    program = compile_prune(drop, keep, keep_last or {})
    data = text.encode()
    body = b'{"apiVersion":"v1","kind":"PodList","items":[' + data + b"]}"
    found = set()
    for at in range(len(body)):
        scanner = Scanner("list", program)
        items = scanner.feed(body[:at]) + scanner.feed(body[at:])
        assert isinstance(items[0], Batch), items
        assert items[0].name(0) == "a"
        found.add(items[0].raw(0))
    (raw,) = found
    return raw.decode()


def test_without_a_program_the_bytes_stay_the_same() -> None:
    text = '{"metadata": {"name":"a"} ,\t"b":[1, 2,{}],"c":"\\u0041\\/","d":1E400,"e":-0.0,"f":123456789012345678901}'
    assert prune(text) == HEAD + text[1:]


def test_dropped_members_leave_no_comma() -> None:
    for order in ('"x":1,"b":2,"c":3', '"b":2,"x":1,"c":3', '"b":2,"c":3,"x":1'):
        assert prune("{" + META + ',"s":{' + order + "}}", ["s.x"]) == HEAD + META + ',"s":{"b":2,"c":3}}'
    for order in ('"x":1,"y":1,"b":2', '"x":1,"b":2,"y":1', '"b":2,"x":1,"y":1'):
        assert prune("{" + META + ',"s":{' + order + "}}", ["s.x", "s.y"]) == HEAD + META + ',"s":{"b":2}}'
    assert prune("{" + META + ',"s":{"x":1,"y":{"z":[]}}}', ["s.x", "s.y"]) == HEAD + META + ',"s":{}}'


def test_dropped_members_between_white_space_leave_valid_json() -> None:
    metadata = {"managedFields": [1], "name": "a", "x": 1}
    text = json.dumps({"metadata": metadata, "y": 2, "z": [{"x": 3}, {"x": 4}]}, indent=3)
    raw = prune(text, ["metadata.managedFields", "metadata.x", "y", "z[*].x"])
    assert json.loads(raw) == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "z": [{}, {}]}


def test_apiversion_and_kind_come_first_from_any_position() -> None:
    wanted = '{"apiVersion":"w/v2","kind":"W",' + META + ',"spec":{}}'
    for text in (
        '{"kind":"W","apiVersion":"w/v2",' + META + ',"spec":{}}',
        '{"apiVersion":"w/v2","kind":"W",' + META + ',"spec":{}}',
        "{" + META + ',"kind":"W","spec":{},"apiVersion":"w/v2"}',
        "{" + META + ',"spec":{},"kind":"W","apiVersion":"w/v2"}',
        '{"kind":"W",' + META + ',"spec":{},"apiVersion":"w/v2"}',
        '{"k\\u0069nd":"W",' + META + ',"spec":{},"apiVersion":"w/v2"}',
    ):
        assert prune(text) == wanted
        assert prune(text, keep=["spec"]) == wanted


def test_objects_with_headers_of_different_lengths_are_correct() -> None:
    scanner = Scanner("list")
    items = [{"kind": "K" * n, "metadata": {"name": f"n{n}", "uid": f"u{n}"}} for n in (1, 90, 3, 200, 0)]
    (batch, _) = scanner.feed(json.dumps({"kind": "ZList", "apiVersion": "v1", "items": items}).encode())
    assert isinstance(batch, Batch)
    for i, item in enumerate(items):
        assert json.loads(batch.raw(i)) == {"apiVersion": "v1", **item, "kind": item["kind"] or "Z"}
        assert (batch.name(i), batch.uid(i)) == (item["metadata"]["name"], item["metadata"]["uid"])  # type: ignore[index]


def test_mandatory_fields_are_kept_by_any_keep() -> None:
    always = '"uid":"u","name":"a","namespace":"n","resourceVersion":"1"'
    text = f'{{"kind":"Pod","spec":{{"a":1}},"metadata":{{"labels":{{}},{always},"z":1}}}}'
    assert prune(text, keep=["status"]) == HEAD + f'"metadata":{{{always}}}}}'


def test_keep_keeps_containers_and_drops_scalars_on_a_path() -> None:
    text = "{" + META + ',"spec":{"a":{"b":1,"c":2},"d":3},"status":7,"list":[1,{"b":1}]}'
    kept = prune(text, keep=["spec.a.b", "spec.d.e", "status.phase", "list[*].b", "absent.x"])
    assert kept == HEAD + META + ',"spec":{"a":{"b":1}},"list":[{"b":1}]}'
    assert prune(text, keep=["spec.x.y"]) == HEAD + META + ',"spec":{}}'


def test_drop_keeps_a_scalar_on_a_path() -> None:
    text = "{" + META + ',"spec":7,"list":[1,{"b":1,"c":2}],"a":null}'
    assert prune(text, ["spec.x", "list[*].b", "a.b"]) == HEAD + META + ',"spec":7,"list":[1,{"c":2}],"a":null}'


def test_names_match_members_and_stars_match_elements_too() -> None:
    text = "{" + META + ',"l":[{"x":1,"y":2}],"o":{"p":{"x":1,"y":2},"q":{"x":3}}}'
    assert prune(text, ["l.x", "o.x"]) == HEAD + text[1:]
    assert prune(text, ["l[*].x", "o[*].x"]) == HEAD + META + ',"l":[{"y":2}],"o":{"p":{"y":2},"q":{}}}'
    assert prune(text, ["l[*]", "o[*]"]) == HEAD + META + ',"l":[],"o":{}}'


def test_keep_is_applied_before_drop() -> None:
    text = "{" + META + ',"spec":{"a":{"x":1,"y":2},"b":3}}'
    assert prune(text, drop=["spec.a.x"], keep=["spec.a"]) == HEAD + META + ',"spec":{"a":{"y":2}}}'
    assert prune(text, drop=["spec.a"], keep=["spec.a.x"]) == HEAD + META + ',"spec":{}}'


def test_paths_match_keys_with_escapes() -> None:
    for key in ("a.b/c", "\\u0061.b/c", "a\\u002eb\\/c", "\\u0061\\u002E\\u0062\\u002f\\u0063"):
        text = "{" + META + f',"s":{{"{key}":{{"deep":[1,"}}"]}},"z":1}}}}'
        assert prune(text, ['s["a.b/c"]']) == HEAD + META + ',"s":{"z":1}}'
    for key in ("é\U0001f600", "\\u00e9\\ud83d\\ude00", "\\u00E9\U0001f600"):
        assert prune("{" + META + f',"{key}":1}}', ['["é\U0001f600"]']) == HEAD + META + "}"
    backslash = "{" + META + ',"a\\\\b":1,"a\\b":2}'
    assert prune(backslash, ['["a\\\\b"]']) == HEAD + META + ',"a\\b":2}'
    assert prune("{" + META + ',"k:{\\"name\\":\\"x\\"}":1}', ['["k:{\\"name\\":\\"x\\"}"]']) == HEAD + META + "}"


def test_metadata_is_found_under_a_key_with_escapes() -> None:
    text = '{"m\\u0065tadata":{"n\\u0061me":"\\u0061","managedFields":[{"name":"x"}],"labels":{"name":"b"}},"name":"c"}'
    raw = prune(text, ["metadata.managedFields"])
    assert raw == HEAD + '"m\\u0065tadata":{"n\\u0061me":"\\u0061","labels":{"name":"b"}},"name":"c"}'


def test_name_namespace_and_uid_with_escapes_are_decoded() -> None:
    name = r'"\u0061\"\\\/\b\f\n\r\t\u00e9\u2028\ud83d\ude00\u0000"'
    text = '{"metadata":{"name":' + name + r',"namespace":"\u006e","uid":"é"}}'
    (batch, _) = Scanner("list").feed(b'{"items":[' + text.encode() + b"]}")
    assert isinstance(batch, Batch)
    assert batch.name(0) == json.loads(text)["metadata"]["name"]
    assert batch.key(0) == "n/" + batch.name(0)
    assert batch.uid(0) == "é"
    assert batch.raw(0).decode() == text


def test_the_last_of_two_members_with_the_same_name_counts() -> None:
    second = b'"metadata":{"name":"y","name":"a","managedFields":1}'
    text = b'{"kind":"Pod","metadata":{"name":"x","uid":"u"},"kind":"Q",' + second + b"}"
    (batch, _) = Scanner("list", compile_prune(["metadata.managedFields"], (), {})).feed(b'{"items":[' + text + b"]}")
    assert isinstance(batch, Batch)
    assert (batch.name(0), batch.uid(0)) == ("a", "")
    assert json.loads(batch.raw(0)) == {"kind": "Q", "metadata": {"name": "a"}}


def conditions(*found: tuple[str | None, str | None, object]) -> str:
    each = [
        {name: text for name, text in (("type", a), ("lastTransitionTime", b), ("n", c)) if text is not None}
        for a, b, c in found
    ]
    return "{" + META + ',"c":' + json.dumps(each) + "}"


@pytest.mark.parametrize(
    ("found", "n", "left"),
    [
        ([("R", "2026-01-01T00:00:00Z", 1), ("A", "2020-01-01T00:00:00Z", 2), ("R", "2026-01-02T00:00:00Z", 3)],
         1, [2, 3]),
        ([("R", "2026-01-03T00:00:00Z", 1), ("R", "2026-01-01T00:00:00Z", 2), ("R", "2026-01-02T00:00:00Z", 3)],
         2, [1, 3]),
        ([("R", "2026-01-01T00:00:00Z", 1), ("R", "2026-01-01T00:00:00.000Z", 2)], 1, [2]),
        ([("R", "2026-01-01T00:00:00.2Z", 1), ("R", "2026-01-01T00:00:00.19Z", 2)], 1, [1]),
        ([("R", "2026-01-01T00:30:00Z", 1), ("R", "2026-01-01T01:00:00+01:00", 2)], 1, [1]),
        ([("R", None, 1), ("R", "2001-01-01T00:00:00Z", 2), ("R", "later", 3)], 1, [2]),
        ([("R", None, 1), ("R", "2001-01-01T00:00:00Z", 2), ("R", "later", 3)], 2, [2, 3]),
        ([(None, "2026-01-01T00:00:00Z", 1), (None, "2020-01-01T00:00:00Z", 2), (None, None, 3)], 2, [2, 3]),
        ([(None, "2026-01-01T00:00:00Z", 1), ("R", None, 2), (None, "2020-01-01T00:00:00Z", 3)], 1, [1, 2]),
        ([("R", None, 1)], 3, [1]),
        ([], 3, []),
    ],
)  # fmt: skip
def test_keep_last_keeps_the_newest_of_each_type(
    found: list[tuple[str | None, str | None, object]], n: int, left: list[int]
) -> None:
    raw = prune(conditions(*found), keep_last={"c": n})
    assert [each["n"] for each in json.loads(raw)["c"]] == left


def test_keep_last_without_types_keeps_the_last_elements() -> None:
    text = "{" + META + ',"c":[1, "b", {"type":7}, null, [2] ]}'
    assert prune(text, keep_last={"c": 2}) == HEAD + META + ',"c":[null, [2] ]}'


def test_keep_last_decodes_types_and_reads_them_before_pruning() -> None:
    text = "{" + META + ',"c":[{"type":"\\u0052","n":1},{"type":"R","n":2}]}'
    assert json.loads(prune(text, ["c[*].type"], keep_last={"c": 1}))["c"] == [{"n": 2}]


def test_keep_last_takes_each_spelling_of_a_type_for_the_same() -> None:
    spellings = ['"a/\U0001f600"', '"\\u0061/\U0001f600"', '"a\\/\\ud83d\\ude00"', '"\\u0061\\u002F\\uD83D\\uDE00"']
    others = ['"a\\/"', '"\\u0061"', '""', '"A/\U0001f600"']
    text = ",".join(f'{{"type":{each},"n":{i}}}' for i, each in enumerate([*spellings, *others]))
    kept = json.loads(prune("{" + META + ',"c":[' + text + "]}", keep_last={"c": 1}))["c"]
    assert [each["n"] for each in kept] == [3, 4, 5, 6, 7]


def test_keep_last_ignores_values_that_are_not_lists() -> None:
    text = "{" + META + ',"c":{"a":[1,2]},"d":7}'
    assert prune(text, keep_last={"c": 1, "d": 1}) == HEAD + text[1:]


def test_keep_last_works_inside_keep_last() -> None:
    text = "{" + META + ',"c":[{"type":"A","l":[1,2]},{"type":"A","l":[3,4]},{"type":"B","l":[5]}]}'
    raw = prune(text, keep_last={"c": 1, "c[*].l": 1})
    assert json.loads(raw)["c"] == [{"type": "A", "l": [4]}, {"type": "B", "l": [5]}]


def test_keep_last_is_fast_on_a_list_of_many_types() -> None:
    body = b'{"metadata":{"name":"a"},"c":[%s]}' % b",".join(b'{"type":"%d"}' % (n % 30_000) for n in range(60_000))
    items = Scanner("list", compile_prune((), (), {"c": 1})).feed(b'{"items":[' + body + b"]}")
    assert isinstance(items[0], Batch)
    assert len(json.loads(items[0].raw(0))["c"]) == 30_000


def test_keep_last_is_as_fast_on_escaped_types_as_on_others() -> None:
    types = ["".join(f"\\u{ord(char):04x}" for char in "x" * 100 + str(n % 10)) for n in range(10_000)]
    listed = ",".join(f'{{"type":"{each}"}}' for each in types)
    body = f'{{"metadata":{{"name":"a"}},"c":[{listed}]}}'

    def seconds(keep_last: Mapping[str, int]) -> float:
        scanner = Scanner("list", compile_prune((), (), keep_last))
        start = time.perf_counter()
        (found, *_) = scanner.feed(b'{"items":[%b]}' % body.encode())
        assert isinstance(found, Batch)
        return time.perf_counter() - start

    pairs = [(seconds({"c": 1}), seconds({"d": 1})) for _ in range(5)]
    # To read the types again, and to decode them once, takes about as long as to scan the object.
    assert min(chosen for chosen, _ in pairs) < 5 * min(plain for _, plain in pairs)
