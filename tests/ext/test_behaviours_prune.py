"""Pruned members are gone: every kind of value, position, spelling and spacing."""

from __future__ import annotations

import itertools
import json

import pytest

from kinform._paths.prune_program import compile_prune
from kinform_ext._scan import Batch, Scanner

VALUES = [
    b'"hunter2"', b'"\\u0068unter2 \\" } ] , hunter2"', b'""', b"42", b"-0.5e+3", b"true", b"false", b"null",
    b"{}", b"[]", b'{"hunter2":{"hunter2":["hunter2"]}}', b'["hunter2",{"hunter2":1},[["hunter2"]]]',
    b'"' + b"hunter2 " * 5000 + b'"',
]  # fmt: skip
SPELLINGS = [b'"secret"', b'"\\u0073ecret"', b'"s\\u0065\\u0063ret"', b'"secre\\u0074"']
SPACES = [b"", b" ", b"\r\n\t  "]


def scanned(body: bytes, **prune: object) -> bytes:
    options: dict[str, object] = {"drop": (), "keep": (), "keep_last": {}, **prune}
    program = compile_prune(options["drop"], options["keep"], options["keep_last"])  # type: ignore[arg-type]
    found = [item for item in Scanner("watch", program).feed(body) if isinstance(item, Batch)]
    assert [len(batch) for batch in found] == [1]
    return found[0].raw(0)


def frame(members: list[bytes], space: bytes) -> bytes:
    inner = (b"," + space).join(members)
    return b'{"type":"ADDED","object":{%s%s%s}}' % (space, inner, space)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: value[:12].decode())
def test_drop_removes_one_member_and_keeps_the_others_whole(value, spelling):
    others = [b'"metadata":{"name":"a"}', b'"first":[1, {"x":"}"}]', b'"last":"\\u00e9"']
    for space, at in itertools.product(SPACES, range(4)):
        secret = spelling + space + b":" + space + value
        body = frame([*others[:at], secret, *others[at:]], space)
        raw = scanned(body, drop=["secret"])
        assert b"hunter2" not in raw
        assert json.loads(raw) == {"metadata": {"name": "a"}, "first": [1, {"x": "}"}], "last": "é"}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value[:12].decode())
def test_keep_removes_all_other_members_at_any_position(value):
    for space, at in itertools.product(SPACES, range(3)):
        members = [
            b'"metadata":{"name":"a","secret":%s,"labels":{"app":"web"}}' % value,
            b'"spec":{"node":"n","x":%s}' % value,
        ]
        members.insert(at, b'"secret":' + space + value)
        raw = scanned(frame(members, space), keep=["metadata.labels", "spec.node"])
        assert b"hunter2" not in raw
        assert json.loads(raw) == {"metadata": {"name": "a", "labels": {"app": "web"}}, "spec": {"node": "n"}}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value[:12].decode())
def test_drop_with_a_star_removes_a_member_of_every_element(value):
    containers = b'[{"secret":%b,"name":"x"},{"name":"y","secret":%b},7,{"secret":%b}]' % (value, value, value)
    by_key = b'{"one":{"secret":%b},"two":{"b":1,"secret":%b}}' % (value, value)
    members = [b'"metadata":{"name":"a"}', b'"spec":{"containers":%b,"map":%b}' % (containers, by_key)]
    raw = scanned(frame(members, b" "), drop=["spec.containers[*].secret", "spec.map[*].secret"])
    assert b"hunter2" not in raw
    spec = json.loads(raw)["spec"]
    assert spec == {"containers": [{"name": "x"}, {"name": "y"}, 7, {}], "map": {"one": {}, "two": {"b": 1}}}


def test_drop_removes_each_of_two_members_with_the_same_name():
    body = frame([b'"secret":"hunter2"', b'"metadata":{"name":"a"}', b'"\\u0073ecret":["hunter2"]'], b"")
    assert scanned(body, drop=["secret"]) == b'{"metadata":{"name":"a"}}'


def test_long_strings_and_large_numbers_are_kept_byte_for_byte():
    text = 'é\u2028\u0085 \\" \u0000 😀\U00010000\U0010fc00\U0010ffff ' * 40_000
    value = {"text": text, 'k:{"name":"x"}': 1, "\u0000": 2**63 + 1, "big": 10**400, "small": 1e-300}
    for ascii_only in (True, False):
        body = json.dumps(
            {"type": "ADDED", "object": {"metadata": {"name": "a"}, "data": value}}, ensure_ascii=ascii_only
        ).encode()
        for size in (len(body), 4099):
            scanner, found = Scanner("watch", compile_prune(["gone"], [], {})), []
            for at in range(0, len(body), size):
                found += scanner.feed(body[at : at + size])
            (batch,) = found
            assert isinstance(batch, Batch)
            assert json.loads(batch.raw(0))["data"] == value


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2024-02-29T23:00:00Z", "2024-03-01T00:00:00Z"),
        ("2025-02-28T23:00:00Z", "2025-03-01T00:00:00Z"),
        ("2100-02-28T23:59:59Z", "2100-03-01T00:00:00Z"),
        ("2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.09Z", "2026-01-01T00:00:00.1Z"),
        ("2026-01-01T01:00:00+02:00", "2026-01-01T00:00:00+00:30"),
        ("", "1970-01-01T00:00:00Z"),
    ],
)
def test_keep_last_keeps_the_newest_condition_at_any_position(older, newer):
    conditions = [{"type": "Ready", "lastTransitionTime": time} for time in (older, newer)]
    for placed in (conditions, conditions[::-1]):
        found = {"metadata": {"name": "a"}, "conditions": placed}
        body = json.dumps({"type": "ADDED", "object": found}).encode()
        kept = json.loads(scanned(body, keep_last={"conditions": 1}))["conditions"]
        assert [condition["lastTransitionTime"] for condition in kept] == [newer]
