"""WATCH bodies: sequences of frames, and the effect of a malformed one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kinform_ext._scan import Scanner
from tests.ext.bodies import run

POD = b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"shop","uid":"u","resourceVersion":"5"}}'
RAW = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop","uid":"u","resourceVersion":"5"}}'
BOOKMARK = b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"9"}, "spec":{"containers":null}}'


def frame(type_: str, value: bytes = POD) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (type_.encode(), value)


def every_way(body: bytes, finish: bool = True, **options: Any) -> list[Any]:
    """Returns the result for a body, after a check of all chunk sizes up to 70."""
    whole = run(Scanner("watch", **options), [body], finish)
    for size in [*range(1, 70), 128]:
        assert run(Scanner("watch", **options), [body[at : at + size] for at in range(0, len(body), size)]) == whole
    return whole


def test_events_of_every_verb_come_in_wire_order() -> None:
    found = every_way(b"".join(map(frame, ("ADDED", "MODIFIED", "DELETED", "ADDED"))))
    assert found == [(verb, "shop", "a", "u", "5", RAW) for verb in ("ADDED", "MODIFIED", "DELETED", "ADDED")]


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n\r\n", b" \t "])
def test_frames_need_no_separator(between: bytes) -> None:
    assert len(every_way(between.join([frame("ADDED").strip()] * 3))) == 3


def test_control_frames_end_the_batch_and_are_not_pruned() -> None:
    body = frame("ADDED") + frame("BOOKMARK", BOOKMARK) + frame("MODIFIED") + frame("ERROR", b'{"code":410}')
    found = every_way(body)
    assert [item[0] for item in found] == ["ADDED", "BOOKMARK", "MODIFIED", "ERROR"]
    assert found[1] == ("BOOKMARK", len(frame("ADDED")), BOOKMARK)
    assert found[3][2] == b'{"code":410}'


def test_the_object_may_come_before_its_type_and_unknown_members() -> None:
    body = b'{ "x" : [{"type":"ERROR"}] , "object" : %s , "y":"}" ,"ty\\u0070e" : "ADD\\u0045D" }' % POD
    assert every_way(body) == [("ADDED", "shop", "a", "u", "5", RAW)]
    assert every_way(b'{"object":%s,"type":"BOOKMARK"}' % BOOKMARK) == [("BOOKMARK", 0, BOOKMARK)]
    assert every_way(b'{"object":{"a":nope},"type":"ADDED"}')[0][7] == "malformed"


def test_an_indented_stream_gives_the_same_objects() -> None:
    body = b"\n".join(json.dumps(json.loads(frame("ADDED")), indent=2).encode() for _ in range(3))
    assert [json.loads(item[5]) for item in every_way(body)] == [json.loads(RAW)] * 3


@pytest.mark.parametrize(
    "rest", [b'"x":nope', b'"x":[}', b'"x":{"a":1,}', b'"x":"\\u12"', b'"x":1.', b'"x"', b""]
)  # fmt: skip
def test_a_malformed_object_is_skipped_and_the_stream_continues(rest: bytes) -> None:
    value = b'{"metadata":{"name":"a"},' + rest + b"}"
    bad = frame("MODIFIED", value).strip()
    found = every_way(frame("ADDED") + bad + b"\n" + frame("DELETED"))
    assert [item[0] for item in found] == ["ADDED", "SKIP", "DELETED"]
    assert found[1][1:] == (len(frame("ADDED")), "MODIFIED", "", "a", "", "", "malformed", len(bad))


@pytest.mark.parametrize("value", [b"nope", b"null", b"7", b'"x"', b"[]", b"{}"])
def test_a_value_that_is_not_an_object_is_skipped_without_a_key(value: bytes) -> None:
    found = every_way(frame("ADDED", value) + frame("DELETED"))
    assert [item[0] for item in found] == ["SKIP", "DELETED"]
    assert found[0][3:8] == (None, None, "", "", "malformed")


def test_an_unknown_event_type_is_skipped_with_the_key() -> None:
    found = every_way(frame("MOVED") + frame("ADDED"))
    assert found[0][2:] == ("MOVED", "shop", "a", "u", "5", "unknown event type", len(frame("MOVED")) - 1)
    assert found[1][0] == "ADDED"


def test_an_oversized_frame_is_skipped_with_verb_and_key() -> None:
    big = frame("MODIFIED", POD[:-1] + b',"data":{"a":"' + b"\\\\" * 2000 + b'","b":[' + b"[]," * 999 + b"[]]}}")
    found = every_way(frame("ADDED") + big + frame("DELETED"), max_object_bytes=500)
    assert [item[0] for item in found] == ["ADDED", "SKIP", "DELETED"]
    assert found[1][1:] == (len(frame("ADDED")), "MODIFIED", "shop", "a", "u", "5", "oversized", len(big) - 1)


def test_an_object_nested_too_deep_is_skipped_with_the_key() -> None:
    deep = b"[" * 3000 + b"]" * 3000
    found = every_way(frame("ADDED", POD[:-1] + b',"x":' + deep + b"}") + frame("DELETED"))
    assert [item[0] for item in found] == ["SKIP", "DELETED"]
    assert found[0][2:8] == ("ADDED", "shop", "a", "u", "5", "too deep")


@pytest.mark.parametrize(
    "bad",
    [
        b"nope\n", b"[]\n", b'"x"\n', b"7\n", b"}\n", b",\n", b"\x00", b"{}\n", b'{"type":"ADDED"}\n',
        b'{"object":{}}\n', b'{"type":7,"object":{}}\n', b'{"type":"ADDED","type":"ADDED","object":{}}\n',
        b'{"type":"ADDED","object":{},"object":{}}\n', b'{"type" "ADDED","object":{}}\n',
        b'{"type":"ADDED" "object":{}}\n', b'{"type":"ADDED","object":{},}\n', b'{"type":"ADDED","object":}\n',
        b'{"type":"ADDED","object":{"a":"x}}\n', b'{"type":"ADDED","object":{"a":"\x01"}}\n',
        b'{"type":"ADDED","object":{"a":[}]}}\n', b'{"type":"ADDED","object":{}}}\n', b'{"ty\\qe":"ADDED"}\n',
        b'{"type":"ERROR","object":nope}\n', b'{"type":"BOOKMARK","object":[]}\n',
        b'{"type":"ERROR","object":{"a":}}\n',
        b'{"type":"\\udc00","object":{}}\n', b'{"type":"ADDED","x":"\xff\n","object":{}}\n',
    ],
)  # fmt: skip
def test_a_malformed_frame_fails_with_the_same_byte_at_any_split(bad: bytes) -> None:
    body = frame("ADDED") + bad + frame("ADDED")
    with pytest.raises(ValueError, match=r"at byte \d+$") as whole:
        run(Scanner("watch"), [body])
    assert len(frame("ADDED")) <= int(str(whole.value).split()[-1]) <= len(frame("ADDED") + bad)
    for size in (1, 2, 7, 64):
        with pytest.raises(ValueError, match="at byte") as split:
            run(Scanner("watch"), [body[at : at + size] for at in range(0, len(body), size)])
        assert str(split.value) == str(whole.value)


def test_an_unclosed_malformed_frame_fails_at_its_line_end() -> None:
    bad = b'{"type":"ADDED","object":{"metadata":{"name":"a"},"x":[[}}\n'
    for size in (1, 10, len(bad)):
        chunks = [bad[at : at + size] for at in range(0, len(bad), size)]
        with pytest.raises(ValueError, match="malformed frame of several lines at byte 0"):
            run(Scanner("watch"), chunks, finish=False)


def test_a_malformed_frame_of_several_lines_fails_at_any_split() -> None:
    bad = b'{"type":"ADDED","object":{"metadata":{"name":"a"},\n"x":nope}}'
    for data in (bad, frame("ADDED", b"7\n")):
        for size in (1, 10, 52, len(data)):
            chunks = [data[at : at + size] for at in range(0, len(data), size)]
            with pytest.raises(ValueError, match="malformed frame of several lines at byte 0"):
                run(Scanner("watch"), chunks, finish=False)


def test_an_oversized_control_frame_fails() -> None:
    big = frame("ERROR", b'{"message":"' + b"x" * 500 + b'"}')
    for size in (1, 100, len(big)):
        with pytest.raises(ValueError, match="oversized control frame at byte 0"):
            run(Scanner("watch", max_object_bytes=200), [big[at : at + size] for at in range(0, len(big), size)])


@pytest.mark.parametrize("length", [1, 10, 40, len(frame("ADDED")) - 2])
def test_finish_refuses_a_body_that_ends_inside_a_frame(length: int) -> None:
    scanner = Scanner("watch")
    scanner.feed(frame("ADDED"))
    assert scanner.feed(frame("ADDED")[:length]) == []
    with pytest.raises(ValueError, match=f"truncated at byte {len(frame('ADDED')) + length}"):
        scanner.finish()


def test_a_body_may_be_empty_or_end_between_frames() -> None:
    assert every_way(b"") == []
    assert every_way(b" \n ") == []
    assert len(every_way(frame("ADDED").strip())) == 1


def test_objects_without_a_kind_in_a_watch_stay_as_they_are() -> None:
    found = every_way(frame("ADDED", b'{"metadata":{"name":"a"}}'))
    assert found[0][5] == b'{"metadata":{"name":"a"}}'


def test_an_object_is_returned_with_its_last_byte() -> None:
    scanner = Scanner("watch")
    whole = frame("ADDED").strip()
    assert scanner.feed(whole[:-1]) == []
    assert len(scanner.feed(whole[-1:])) == 1


def test_a_batch_counts_its_verbs() -> None:
    verbs = ("ADDED", "MODIFIED", "DELETED", "MODIFIED", "MODIFIED", "DELETED")
    (batch,) = Scanner("watch").feed(b"".join(map(frame, verbs)))
    assert batch.verb_counts() == (1, 3, 2)
