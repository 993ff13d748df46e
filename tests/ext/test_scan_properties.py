"""The scanner agrees with json.loads and a plain prune, at any split of any body."""

from __future__ import annotations

import json
import random
from types import EllipsisType
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinform._errors import OptionError
from kinform._paths.prune_program import Program, compile_prune
from kinform_ext._scan import MAX_DEPTH, Scanner
from tests.ext.bodies import CONDITIONS, PATHS, TEXTS, chunked, objects, run, spell
from tests.support.oracles.prune import FieldPath, prune_object, put_type_first

SEEDS = st.integers(0, 2**32)
PRUNES = st.fixed_dictionaries(
    {},
    optional={
        "drop": st.lists(PATHS, max_size=4),
        "keep": st.lists(PATHS, max_size=4),
        "keep_last": st.dictionaries(PATHS, st.integers(1, 3), max_size=3),
    },
)
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def text_of(path: FieldPath) -> str:
    def bracket(step: str | EllipsisType) -> str:
        return "[*]" if isinstance(step, EllipsisType) else f"[{json.dumps(step)}]"

    return "".join(map(bracket, path))


def compiled(prune: dict[str, Any]) -> tuple[dict[str, Any], Program | None]:
    """Returns a prune without the paths that are refused, and its program."""
    drop, keep = ([path for path in prune.get(name, []) if accepted(name, path)] for name in ("drop", "keep"))
    keep_last = {path: n for path, n in prune.get("keep_last", {}).items() if accepted("keep_last", path)}
    program = compile_prune(map(text_of, drop), map(text_of, keep), {text_of(path): n for path, n in keep_last.items()})
    return {"drop": drop, "keep": keep, "keep_last": keep_last}, program


def accepted(name: str, path: FieldPath) -> bool:
    paths = {text_of(path): 1}
    try:
        compile_prune(**{"drop": (), "keep": (), "keep_last": {}, name: paths})
    except OptionError:
        return False
    return True


def expected(verb: str, value: dict[str, Any], prune: dict[str, Any], kind: str, api_version: str) -> Any:
    metadata = value["metadata"]
    texts = [metadata.get(field) or "" for field in ("namespace", "name", "uid", "resourceVersion")]
    wanted = prune_object(put_type_first(value, kind, api_version), **prune)
    # null is read like an absent field, and stays in the JSON.
    return (verb, *texts, json.dumps(wanted))


def read(item: Any) -> Any:
    """Returns an item with its raw decoded and encoded again.

    So the order of members and the types of numbers are compared.
    """
    if item[0] not in ("ADDED", "MODIFIED", "DELETED"):
        return item
    raw = item[5]
    value = json.loads(raw)
    leading = [name for name in ("apiVersion", "kind") if name in value]
    assert list(value)[: len(leading)] == leading
    msgspec.json.decode(raw)
    return (*item[:5], json.dumps(value))


@SLOW
@given(st.lists(objects(), max_size=5), PRUNES, SEEDS, st.booleans(), st.booleans())
def test_any_split_of_a_list_equals_json_loads_and_plain_prune(
    values: list[dict[str, Any]], prune: dict[str, Any], seed: int, indent: bool, items_first: bool
) -> None:
    rng = random.Random(seed)
    prune, program = compiled(prune)
    metadata = {"resourceVersion": "12", "continue": rng.choice(["", 'a"é']), "remainingItemCount": 3, "z": [{}]}
    envelope: list[tuple[str, Any]] = [
        ("kind", "PodList"),
        ("apiVersion", "v1"),
        ("metadata", metadata),
        ("x", [{"items": 1}]),
    ]
    rng.shuffle(envelope)
    place = 0 if items_first else rng.randrange(len(envelope) + 1)
    envelope.insert(place, ("items", values))
    before = dict(envelope[:place])
    data = spell(dict(envelope), rng, indent).encode()
    kind = "Pod" if "kind" in before else ""
    wanted = [expected("ADDED", value, prune, kind, before.get("apiVersion", "")) for value in values]
    for _ in range(3):
        found = run(Scanner("list", program), chunked(data, rng))
        assert [read(item) for item in found[:-1]] == wanted
        assert found[-1][0] == "LIST_END"
        assert found[-1][2:] == ("PodList", "v1", "12", metadata["continue"], 3, "")


@SLOW
@given(st.lists(objects(), max_size=5), PRUNES, SEEDS, st.booleans())
def test_any_split_of_a_watch_equals_json_loads_and_plain_prune(
    values: list[dict[str, Any]], prune: dict[str, Any], seed: int, indent: bool
) -> None:
    rng = random.Random(seed)
    prune, program = compiled(prune)
    wanted: list[Any] = []
    texts: list[str] = []
    for value in values:
        verb = rng.choice(["ADDED", "MODIFIED", "DELETED", "BOOKMARK"])
        members = [("type", verb), ("object", value), ("unknown", {"type": [1]})]
        rng.shuffle(members)
        texts.append(spell(dict(members), rng, indent))
        wanted.append(verb if verb == "BOOKMARK" else expected(verb, value, prune, "", ""))
    data = rng.choice(["", "\n", " \r\n"]).join(texts).encode()
    for _ in range(3):
        found = run(Scanner("watch", program), chunked(data, rng))
        assert [item[0] if item[0] == "BOOKMARK" else read(item) for item in found] == wanted
        bookmarks = [value for value, item in zip(values, found, strict=True) if item[0] == "BOOKMARK"]
        assert [json.loads(item[2]) for item in found if item[0] == "BOOKMARK"] == bookmarks


@SLOW
@given(CONDITIONS, st.integers(1, 3), SEEDS)
def test_keep_last_equals_a_plain_count(elements: list[Any], n: int, seed: int) -> None:
    rng = random.Random(seed)
    value = {"metadata": {"name": "a"}, "status": {"conditions": elements}}
    data = b'{"items":[%s]}' % spell(value, rng, indent=True).encode()
    found = run(Scanner("list", compile_prune((), (), {"status.conditions": n})), chunked(data, rng))
    assert read(found[0])[5] == json.dumps(prune_object(value, keep_last={("status", "conditions"): n}))


@SLOW
@given(st.lists(objects(), min_size=1, max_size=3), PRUNES, SEEDS, st.booleans(), st.data())
def test_mutated_bodies_give_the_same_result_at_any_split(
    values: list[dict[str, Any]], prune: dict[str, Any], seed: int, watch: bool, data: st.DataObject
) -> None:
    rng = random.Random(seed)
    _, program = compiled(prune)
    if watch:
        text = "\n".join(spell({"type": "ADDED", "object": value}, rng) for value in values)
    else:
        text = spell({"kind": "PodList", "items": values, "metadata": {}}, rng, indent=rng.random() < 0.2)
    body = mutated(text.encode(), rng)
    options: dict[str, Any] = {"max_object_bytes": data.draw(st.sampled_from([50, 300, 1 << 20]))}
    outcomes = []
    for chunks in ([body], chunked(body, rng), [body[at : at + 1] for at in range(len(body))]):
        scanner = Scanner("watch" if watch else "list", program, **options)
        try:
            found = run(scanner, chunks)
            outcomes.append([read(item) for item in found])
        except ValueError as error:
            outcomes.append([str(error).rsplit(" ", 1)[0].endswith("at byte")])
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0] != [False], "an error without a byte offset"


def mutated(body: bytes, rng: random.Random) -> bytes:
    """Changes, removes, doubles or inserts a few bytes; sometimes truncates."""
    found = bytearray(body)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at, length = rng.randrange(len(found) + 1), rng.choice([1, 1, 2, 10])
        match rng.randrange(5):
            case 0:
                found[at : at + length] = rng.randbytes(length)
            case 1:
                del found[at : at + length]
            case 2:
                found[at:at] = found[at : at + length]
            case 3:
                found[at:at] = bytes(rng.choices(b'{}[]",:\\ \n0ntf\xff\xc3', k=length))
            case _:
                found[at : at + 1] = rng.choice([b"{", b"}", b"[", b"]", b'"', b"\\", b",", b"\n"])
    return bytes(found[: rng.randrange(len(found) + 1)] if rng.random() < 0.1 else found)


def test_a_string_of_a_mebibyte_survives_any_split() -> None:
    rng = random.Random(7)
    for filling in ("x", '\\"', "é\U0001f600", "\u2028\x00", "{[\\"):
        value = {"metadata": {"name": "a"}, "data": filling * ((1 << 20) // len(filling)), "after": 1}
        text = json.dumps(value, ensure_ascii=False).encode()
        data = b'{"items":[' + text + b"]}"
        for size in (1 << 20, 65536, 4093, rng.randrange(500, 900)):
            for program in (None, compile_prune(["data"], (), {})):
                chunks = [data[at : at + size] for at in range(0, len(data), size)]
                raw = json.loads(run(Scanner("list", program), chunks)[0][5])
                assert raw == (value if program is None else {"metadata": {"name": "a"}, "after": 1})


@SLOW
@given(st.integers(1, MAX_DEPTH - 1), SEEDS, TEXTS)
def test_nesting_up_to_the_limit_survives_any_split(levels: int, seed: int, text: str) -> None:
    rng = random.Random(seed)
    inner: Any = [text]
    for _ in range(levels - 1):
        inner = [inner] if rng.random() < 0.5 else {"a": inner}
    value = {"metadata": {"name": "a"}, "a": inner}
    text_ = json.dumps(value).encode()
    for program in (None, compile_prune(["b.c"], (), {}), compile_prune(["".join(["[*]"] * 40)], (), {})):
        chunks = chunked(b'{"items":[' + text_ + b"]}", rng)
        raw = run(Scanner("list", program), chunks)[0][5]
        msgspec.json.decode(raw)
        assert program is not None or raw == text_
