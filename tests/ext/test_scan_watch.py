"""WATCH bodies: frames one after the other, and what a bad one does to the stream."""

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
    """What a body gives, fed whole, and in pieces of every length up to 70: always the same."""
    whole = run(Scanner("watch", **options), [body], finish)
    for size in [*range(1, 70), 128]:
        assert run(Scanner("watch", **options), [body[at : at + size] for at in range(0, len(body), size)]) == whole
    return whole


def test_every_verb_comes_in_the_order_of_the_wire() -> None:
    found = every_way(b"".join(map(frame, ("ADDED", "MODIFIED", "DELETED", "ADDED"))))
    assert found == [(verb, "shop", "a", "u", "5", RAW) for verb in ("ADDED", "MODIFIED", "DELETED", "ADDED")]


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n\r\n", b" \t "])
def test_frames_need_nothing_between_them(between: bytes) -> None:
    assert len(every_way(between.join([frame("ADDED").strip()] * 3))) == 3


def test_control_frames_cut_the_batch_and_come_unpruned() -> None:
    body = frame("ADDED") + frame("BOOKMARK", BOOKMARK) + frame("MODIFIED") + frame("ERROR", b'{"code":410}')
    found = every_way(body)
    assert [item[0] for item in found] == ["ADDED", "BOOKMARK", "MODIFIED", "ERROR"]
    assert found[1] == ("BOOKMARK", len(frame("ADDED")), BOOKMARK)
    assert found[3][2] == b'{"code":410}'


def test_the_object_may_come_before_its_type_and_among_strangers() -> None:
    body = b'{ "x" : [{"type":"ERROR"}] , "object" : %s , "y":"}" ,"ty\\u0070e" : "ADD\\u0045D" }' % POD
    assert every_way(body) == [("ADDED", "shop", "a", "u", "5", RAW)]
    assert every_way(b'{"object":%s,"type":"BOOKMARK"}' % BOOKMARK) == [("BOOKMARK", 0, BOOKMARK)]
    assert every_way(b'{"object":{"a":nope},"type":"ADDED"}')[0][7] == "malformed"


def test_an_indented_stream_reads_the_same() -> None:
    body = b"\n".join(json.dumps(json.loads(frame("ADDED")), indent=2).encode() for _ in range(3))
    assert [json.loads(item[5]) for item in every_way(body)] == [json.loads(RAW)] * 3


@pytest.mark.parametrize(
    "rest", [b'"x":nope', b'"x":[}', b'"x":{"a":1,}', b'"x":"\\u12"', b'"x":1.', b'"x"', b""]
)  # fmt: skip
def test_a_malformed_object_is_left_out_and_the_stream_goes_on(rest: bytes) -> None:
    value = b'{"metadata":{"name":"a"},' + rest + b"}"
    bad = frame("MODIFIED", value).strip()
    found = every_way(frame("ADDED") + bad + b"\n" + frame("DELETED"))
    assert [item[0] for item in found] == ["ADDED", "SKIP", "DELETED"]
    assert found[1][1:] == (len(frame("ADDED")), "MODIFIED", "", "a", "", "", "malformed", len(bad))


@pytest.mark.parametrize("value", [b"nope", b"null", b"7", b'"x"', b"[]", b"{}"])
def test_what_is_no_object_is_left_out_without_a_key(value: bytes) -> None:
    found = every_way(frame("ADDED", value) + frame("DELETED"))
    assert [item[0] for item in found] == ["SKIP", "DELETED"]
    assert found[0][3:8] == (None, None, "", "", "malformed")


def test_an_unknown_event_type_is_left_out_with_the_key() -> None:
    found = every_way(frame("MOVED") + frame("ADDED"))
    assert found[0][2:] == ("MOVED", "shop", "a", "u", "5", "unknown event type", len(frame("MOVED")) - 1)
    assert found[1][0] == "ADDED"


def test_an_oversized_frame_is_left_out_with_verb_and_key() -> None:
    big = frame("MODIFIED", POD[:-1] + b',"data":{"a":"' + b"\\\\" * 2000 + b'","b":[' + b"[]," * 999 + b"[]]}}")
    found = every_way(frame("ADDED") + big + frame("DELETED"), max_object_bytes=500)
    assert [item[0] for item in found] == ["ADDED", "SKIP", "DELETED"]
    assert found[1][1:] == (len(frame("ADDED")), "MODIFIED", "shop", "a", "u", "5", "oversized", len(big) - 1)


def test_an_object_nested_too_deep_is_left_out_with_the_key() -> None:
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
def test_a_malformed_frame_ends_the_stream_with_the_byte(bad: bytes) -> None:
    body = frame("ADDED") + bad + frame("ADDED")
    with pytest.raises(ValueError, match=r"at byte \d+$") as whole:
        run(Scanner("watch"), [body])
    assert len(frame("ADDED")) <= int(str(whole.value).split()[-1]) <= len(frame("ADDED") + bad)
    for size in (1, 2, 7, 64):
        with pytest.raises(ValueError, match="at byte") as cut:
            run(Scanner("watch"), [body[at : at + size] for at in range(0, len(body), size)])
        assert str(cut.value) == str(whole.value)


def test_a_malformed_frame_without_an_end_is_noticed_at_the_end_of_its_line() -> None:
    bad = b'{"type":"ADDED","object":{"metadata":{"name":"a"},"x":[[}}\n'
    for size in (1, 10, len(bad)):
        chunks = [bad[at : at + size] for at in range(0, len(bad), size)]
        with pytest.raises(ValueError, match="malformed frame of several lines at byte 0"):
            run(Scanner("watch"), chunks, finish=False)


def test_a_malformed_frame_of_several_lines_ends_the_stream_however_it_is_cut() -> None:
    bad = b'{"type":"ADDED","object":{"metadata":{"name":"a"},\n"x":nope}}'
    for data in (bad, frame("ADDED", b"7\n")):
        for size in (1, 10, 52, len(data)):
            chunks = [data[at : at + size] for at in range(0, len(data), size)]
            with pytest.raises(ValueError, match="malformed frame of several lines at byte 0"):
                run(Scanner("watch"), chunks, finish=False)


def test_an_oversized_control_frame_ends_the_stream() -> None:
    big = frame("ERROR", b'{"message":"' + b"x" * 500 + b'"}')
    for size in (1, 100, len(big)):
        with pytest.raises(ValueError, match="oversized control frame at byte 0"):
            run(Scanner("watch", max_object_bytes=200), [big[at : at + size] for at in range(0, len(big), size)])


@pytest.mark.parametrize("length", [1, 10, 40, len(frame("ADDED")) - 2])
def test_a_body_that_ends_inside_a_frame_is_told_at_its_end(length: int) -> None:
    scanner = Scanner("watch")
    scanner.feed(frame("ADDED"))
    assert scanner.feed(frame("ADDED")[:length]) == []
    with pytest.raises(ValueError, match=f"truncated at byte {len(frame('ADDED')) + length}"):
        scanner.finish()


def test_a_body_may_end_between_frames_or_hold_none() -> None:
    assert every_way(b"") == []
    assert every_way(b" \n ") == []
    assert len(every_way(frame("ADDED").strip())) == 1


def test_defaults_serve_objects_that_do_not_tell_their_kind() -> None:
    found = every_way(frame("ADDED", b'{"metadata":{"name":"a"}}'), kind="Pod", api_version="v1")
    assert found[0][5] == b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}'


def test_an_object_is_given_as_soon_as_its_last_byte_is_there() -> None:
    scanner = Scanner("watch")
    whole = frame("ADDED").strip()
    assert scanner.feed(whole[:-1]) == []
    assert len(scanner.feed(whole[-1:])) == 1
