"""The events of kinform's Watch: dicts that decode at the first access."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from kinform._errors import ProtocolError
from kinform._models.client import get_client
from kinform._watch import events
from kinform._watch.events import ModelReader, WatchEvent
from kinform._watch.parser import parse_event

CLIENT = get_client("kubernetes_asyncio.client")
RAW = {
    "metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "7"},
    "spec": {"finalizers": ["n"]},
}
PLAIN = {"type": "ADDED", "object": RAW, "raw_object": RAW}


def parse(return_type: Any = "", *, expected: bool = False, **fields: Any) -> WatchEvent:
    """Returns an event. `expected`: the program read `raw_object` of the last one."""
    reader = ModelReader(return_type, CLIENT)
    reader.reads_raw = expected
    return parse_event(json.dumps({"type": "ADDED", "object": RAW, **fields}).encode(), reader)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The lines that were decoded."""
    found: list[bytes] = []
    decode = events.decode
    monkeypatch.setattr(events, "decode", lambda line: found.append(line) or decode(line))
    return found


def test_type_and_identity_decode_nothing(decoded):
    event = parse("V1Namespace")
    assert event["type"] == event.get("type") == "ADDED"
    assert (event.key, event.uid, event.resource_version) == ("shop/web", "u-1", "7")
    assert "object" in event
    assert "other" not in event
    assert len(event) == 3
    assert list(event) == list(event.keys()) == ["type", "object", "raw_object"]
    assert decoded == []


def test_each_value_is_decoded_once(decoded):
    event = parse()
    assert event["raw_object"] is event["raw_object"] is event["object"]
    assert len(decoded) == 1


def test_a_program_that_reads_raw_objects_decodes_each_once(decoded):
    reader = ModelReader("", CLIENT)
    line = json.dumps({"type": "ADDED", "object": RAW}).encode()
    for _ in range(3):
        event = parse_event(line, reader)
        assert (event.key, event["raw_object"]) == ("shop/web", RAW)
    assert len(decoded) == 1
    assert not reader.reads_raw or parse_event(line, reader)["type"] == "ADDED"
    assert not reader.reads_raw


def test_the_model_is_built_once_and_independent_of_raw_object():
    event = parse("V1Namespace")
    event["raw_object"]["metadata"]["name"] = "changed"
    assert event["object"].metadata.name == "web"
    assert event["object"] is event["object"]


@pytest.mark.parametrize(
    "plain",
    [dict, lambda event: {**event}, lambda event: dict(**event), copy.copy, copy.deepcopy, lambda event: event.copy(),
     lambda event: pickle.loads(pickle.dumps(event)), lambda event: {} | event, lambda event: event | {},
     lambda event: dict(event.items()), lambda event: dict(zip(event, event.values(), strict=True)),
     lambda event: json.loads(json.dumps(event)),
     lambda event: json.loads(json.dumps(event, indent=1, sort_keys=True))],
)  # fmt: skip
@pytest.mark.parametrize("expected", [False, True])
def test_a_copy_is_a_plain_dict_with_all_values(plain, expected):
    found = plain(parse(expected=expected))
    assert type(found) is dict
    assert found == PLAIN
    assert all(type(value) in (str, dict) for value in dict.values(found))


def test_update_takes_all_values():
    found: dict[str, Any] = {}
    found.update(parse())
    assert all(type(value) in (str, dict) for value in found.values())


def test_an_event_equals_a_dict_of_its_values():
    assert parse() == PLAIN
    assert PLAIN == parse()  # noqa: SIM300 - the other operand decides
    assert parse() == parse()
    assert parse() != parse(type="DELETED")
    assert parse() != {**PLAIN, "type": "DELETED"}
    assert repr(parse()) == repr(PLAIN)
    assert f"{parse()}" == f"{PLAIN}"


def test_a_deep_copy_shares_nothing():
    event = parse()
    copied = copy.deepcopy(event)
    copied["raw_object"]["metadata"]["name"] = "changed"
    assert event["raw_object"]["metadata"]["name"] == "web"


def test_an_event_matches_patterns():
    match parse("V1Namespace"):
        case {"type": "ADDED", "object": pod, **rest}:
            assert pod.metadata.name == "web"
            assert rest == {"raw_object": RAW}
        case _:
            raise AssertionError("no match")


def test_an_event_can_be_changed():
    event = parse()
    event["object"] = 1
    event["mine"] = 2
    assert (event["object"], event["mine"], event["raw_object"]) == (1, 2, RAW)
    del event["object"]
    assert event.pop("raw_object") == RAW
    assert event.pop("raw_object", "gone") == "gone"
    assert event.setdefault("type", "x") == "ADDED"
    assert event.popitem() == ("mine", 2)
    assert event == {"type": "ADDED"}
    with pytest.raises(KeyError):
        event["object"]


def test_pop_and_setdefault_decode():
    assert parse().popitem() == ("raw_object", RAW)
    assert parse().setdefault("object", 1) == RAW


@pytest.mark.parametrize("fields", [{}, {"type": "BOOKMARK"}])
def test_the_object_can_be_read_after_raw_object_is_popped(fields):
    event = parse(**fields)
    assert event.pop("raw_object") == RAW
    assert event["object"] == RAW


def test_popitem_takes_all_values_then_raises_a_key_error():
    event = parse()
    assert [event.popitem() for _ in range(3)] == list(reversed(PLAIN.items()))
    with pytest.raises(KeyError):
        event.popitem()


def test_get_decodes_and_has_a_default():
    event = parse()
    assert event.get("object") == RAW
    assert event.get("other") is None
    assert event.get("other", 1) == 1


def test_other_fields_of_the_line_are_kept():
    event = parse("V1Namespace", synthetic=True, extra={"a": 1})
    assert (event["synthetic"], event["extra"], event.key) == (True, {"a": 1}, "shop/web")
    assert event["object"].metadata.name == "web"


@pytest.mark.parametrize(
    "obj", [1, 1.5, "text", None, [1], {}, {"metadata": None}, {"metadata": 1}, {"metadata": {"name": 1}}]
)
@pytest.mark.parametrize("expected", [False, True])
def test_any_json_can_be_an_object(obj, expected):
    event = parse(object=obj, expected=expected)
    assert event["object"] == event["raw_object"] == obj
    assert (event.key, event.uid, event.resource_version) == ("", "", "")


@pytest.mark.parametrize("number", ["NaN", "1e999", "123456789012345678901234567890"])
def test_numbers_of_python_json_are_accepted(number):
    line = f'{{"type": "ADDED", "object": {{"n": {number}}}}}'
    assert repr(parse_event(line.encode(), ModelReader("", CLIENT))["object"]) == repr(json.loads(line)["object"])


def test_a_cluster_scoped_object_has_its_name_as_key():
    assert parse(object={"metadata": {"name": "a"}}).key == "a"


@pytest.mark.parametrize(
    "line", [b"<html>", b'{"type": "ADDED", "object": {', b"[]", b"1", b'"text"', b'{"type": 1, "object": 1}']
)
def test_a_line_that_is_no_event_is_an_error_without_its_text(line):
    with pytest.raises(ProtocolError, match="Malformed JSON response") as caught:
        parse_event(line, ModelReader("", CLIENT))
    assert line.decode() not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None  # no text in a traceback


def test_an_error_without_fields_is_still_the_clients():
    with pytest.raises(CLIENT.api_exception):
        parse(type="ERROR", object=None)


def test_an_untouched_event_takes_little_more_than_its_line():
    import sys

    event = parse("V1Namespace")
    assert sys.getsizeof(event) < 400
