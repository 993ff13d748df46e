"""LIST bodies: the envelope in any order, and its end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kinform_ext._scan import MAX_DEPTH, Batch, Scanner
from tests.ext.bodies import run

BUILT_IN = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[%s]}'
CUSTOM = (
    b'{"apiVersion":"example.com/v1","items":[%s],"kind":"WidgetList",'
    b'"metadata":{"continue":"abc","remainingItemCount":4,"resourceVersion":"8","shardInfo":{"selector":"s"}}}'
)
POD = b'{"metadata":{"name":"a","namespace":"shop","uid":"u","resourceVersion":"5"},"spec":{}}'


def every_way(body: bytes, **options: Any) -> list[Any]:
    """Returns the result for a LIST body, after a check of all chunk sizes up to 70."""
    whole = run(Scanner("list", **options), [body])
    for size in [*range(1, 70), 128]:
        assert run(Scanner("list", **options), [body[at : at + size] for at in range(0, len(body), size)]) == whole
    return whole


def refused(body: bytes, **options: Any) -> str:
    """Returns the error for a malformed LIST body, the same for all chunk sizes."""
    with pytest.raises(ValueError, match=r"at byte \d+$") as whole:
        run(Scanner("list", **options), [body])
    for size in (1, 2, 5, 64):
        with pytest.raises(ValueError, match=r"at byte \d+$") as split:
            run(Scanner("list", **options), [body[at : at + size] for at in range(0, len(body), size)])
        assert str(split.value) == str(whole.value)
    return str(whole.value)


def test_built_in_items_get_kind_and_version_from_the_envelope() -> None:
    found = every_way(BUILT_IN % POD)
    assert found[0] == ("ADDED", "shop", "a", "u", "5", b'{"apiVersion":"v1","kind":"Pod",' + POD[1:])
    assert found[1] == ("LIST_END", len(BUILT_IN % POD) - 1, "PodList", "v1", "7", "", None, "")


def test_metadata_after_the_items_is_read_for_custom_resources() -> None:
    item = b'{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"}}'
    found = every_way(CUSTOM % item)
    assert found[0] == ("ADDED", "", "w", "", "", item)
    assert found[1][2:] == ("WidgetList", "example.com/v1", "8", "abc", 4, "s")


def test_items_before_the_envelopes_kind_get_its_version_only() -> None:
    found = every_way(CUSTOM % b'{"metadata":{"name":"w"}}')
    assert found[0][5] == b'{"apiVersion":"example.com/v1","metadata":{"name":"w"}}'


def test_kind_and_apiversion_are_omitted_if_unknown() -> None:
    assert every_way(b'{"items":[{"metadata":{"name":"w"}}]}')[0][5] == b'{"metadata":{"name":"w"}}'
    assert every_way(b'{"kind":"List","items":[{"metadata":{"name":"w"}}]}')[0][5] == b'{"metadata":{"name":"w"}}'


def test_kind_and_version_of_the_envelope_are_escaped_as_json() -> None:
    envelope = b'{"kind":"a\\"b\\\\List","apiVersion":"\\u00e9\\n","items":[{"metadata":{"name":"w"}}]}'
    raw = every_way(envelope)[0][5]
    assert json.loads(raw) == {"apiVersion": "é\n", "kind": 'a"b\\', "metadata": {"name": "w"}}


@pytest.mark.parametrize("items", [b"[]", b"null", b"[ \n ]"])
def test_an_empty_collection_gives_list_end_only(items: bytes) -> None:
    found = every_way(b'{"kind":"PodList","metadata":{"resourceVersion":"3"},"items":%s}' % items)
    assert [item[0] for item in found] == ["LIST_END"]
    assert found[0][4] == "3"


def test_unknown_envelope_members_of_any_size_are_skipped() -> None:
    extra = b'"x":{"a":["}",{"items":[1]}]},"y":"\\"]","z":-1.5,'
    body = b"{" + extra + (BUILT_IN % POD)[1:-1] + b',"more":"' + b"z" * 5000 + b'"}'
    assert [item[0] for item in every_way(body, max_object_bytes=200)] == ["ADDED", "LIST_END"]


def test_an_indented_list_gives_the_same_objects() -> None:
    value = json.loads(BUILT_IN % (POD + b"," + POD))
    indented = json.dumps(value, indent=4).replace("\n", "\r\n\t").encode()
    found = every_way(b" \n" + indented + b"\n\n")
    assert [json.loads(item[5]) for item in found[:2]] == [
        json.loads(b'{"apiVersion":"v1","kind":"Pod",' + POD[1:])
    ] * 2
    assert all(item[5].startswith(b'{"apiVersion":"v1","kind":"Pod","metadata":') for item in found[:2])


def test_null_metadata_of_the_list_reads_as_empty() -> None:
    assert every_way(b'{"metadata":null,"items":[]}')[0][2:] == ("", "", "", "", None, "")


@pytest.mark.parametrize(
    ("item", "name"),
    [
        (b'{"metadata":{"name":"a"},"spec":nope}', "a"),
        (b'{"metadata":{"name":"a"},"spec":{"a":[}}}', "a"),
        (b'{"metadata":{"name":"a"},"spec":[1}}', "a"),
        (b'{"metadata":{"name":"a"},"spec":01}', "a"),
        (b'{"metadata":{"name":"a"},"spec":"\\x"}', "a"),
        (b'{"metadata":{"name":"a"},"spec":"\\ud800"}', "a"),
        (b'{"metadata":{"name":"a"},"spec":"\xff"}', "a"),
        (b'{"metadata":{"name":"a"},"spec":{"a" 1}}', "a"),
        (b'{"metadata":{"name":"a"},}', "a"),
        (b'{"spec":[1,],"metadata":{"name":"a"}}', "a"),
        (b'{"metadata":{"name":"a","uid":7}}', "a"),
        (b'{"kind":7,"metadata":{"name":"a"}}', "a"),
        (b'{"metadata":{"name":""}}', None),
        (b'{"metadata":{"name":null}}', None),
        (b'{"metadata":null}', None),
        (b'{"metadata":["name"]}', None),
        (b"{}", None),
        (b'{"spec":{}}', None),
        (b"7", None),
        (b"nope", None),
        (b'"text"', None),
        (b"[{}]", None),
        (b"null", None),
    ],
)
def test_a_malformed_item_is_skipped_and_the_list_continues(item: bytes, name: str | None) -> None:
    body = BUILT_IN % (POD + b"," + item + b"," + POD)
    found = every_way(body)
    assert [entry[0] for entry in found] == ["ADDED", "SKIP", "ADDED", "LIST_END"]
    assert found[1][1:3] == (body.index(item + b"," + POD), "ADDED")
    assert found[1][4] == name
    assert found[1][7:] == ("malformed", len(item))


def test_a_malformed_item_is_reported_with_its_readable_key() -> None:
    item = b'{"metadata":{"name":"a","uid":"u","resourceVersion":"5"%s},"spec":nope}'
    assert every_way(BUILT_IN % (item % b""))[0][3:7] == ("", "a", "u", "5")
    assert every_way(BUILT_IN % (item % b',"namespace":"shop"'))[0][3:7] == ("shop", "a", "u", "5")
    assert every_way(BUILT_IN % (item % b',"labels":{"a":"\\x"},"namespace":"shop"'))[0][3:7] == ("shop", "a", "u", "5")


def test_objects_deeper_than_the_limit_are_skipped() -> None:
    def nested(levels: int) -> bytes:
        pairs = levels - 1  # the object itself is a level
        return (
            b'{"metadata":{"name":"a"},"x":'
            + b'[{"y":' * (pairs // 2)
            + b"[1]" * (pairs % 2)
            + (b"0" * (1 - pairs % 2) + b"}]" * (pairs // 2) + b"}")
        )

    for levels in (MAX_DEPTH - 1, MAX_DEPTH):
        assert json.loads(every_way(BUILT_IN % nested(levels))[0][5])["metadata"] == {"name": "a"}
    found = every_way(BUILT_IN % (nested(MAX_DEPTH + 1) + b"," + POD))
    assert found[0][2:8] == ("ADDED", "", "a", "", "", "too deep")
    assert found[1][2] == "a"


def test_an_oversized_item_is_skipped_with_its_key() -> None:
    big = b'{"metadata":{"name":"big","namespace":"shop","uid":"u"},"data":"' + b"x" * 3000 + b'"}'
    body = BUILT_IN % (POD + b"," + big + b"," + POD)
    found = every_way(body, max_object_bytes=1000)
    assert [entry[0] for entry in found] == ["ADDED", "SKIP", "ADDED", "LIST_END"]
    assert found[1][1:] == (body.index(big), "ADDED", "shop", "big", "u", "", "oversized", len(big))
    assert every_way(body, max_object_bytes=len(big))[1][2] == "big"


def test_a_key_after_the_buffered_part_of_an_item_is_unknown() -> None:
    item = b'{"data":"' + b"x" * 300 + b'","metadata":{"name":"big"}}'
    assert every_way(BUILT_IN % item, max_object_bytes=200)[0][3:6] == (None, None, "")
    item = b'{"metadata":{"name":"big","labels":{"a":"' + b"x" * 300 + b'"},"namespace":"shop"}}'
    assert every_way(BUILT_IN % item, max_object_bytes=200)[0][3:6] == (None, "big", "")


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"nope", b'{"items":[}', b'{"items":[]]', b'{"items":[]}}', b'{"items":[]} x', b'{"items":{}}',
        b'{"items":7}', b'{"items":[],}', b'{"items" []}', b'{"items":[{"metadata":{"name":"a"}},]}',
        b'{"items":[,]}', b'{"items":[{}{}]}', b'{,"items":[]}', b'{"items":[],"items":[]}', b"{}",
        b'{"kind":"Status"}', b'{"items":[],"kind":7}', b'{"items":[],"metadata":"x"}',
        b'{"items":[],"metadata":{"continue":7}}', b'{"items":[],"metadata":{"remainingItemCount":"x"}}',
        b'{"items":[],"metadata":{"a":nope}}', b'{"items":[],"metadata":nope}', b'{"items":[],"ki\\xnd":"x"}',
        b'{"items":[{"a":"\n"}]}', b'{"items":[{"a":"x\x00"}]}', b'{"items":["\t"]}', b'{"a":"\x1f","items":[]}',
        b'{"items":[{"a":["x\n\n"]}]}',
        b'{"items":[{"a":[}]}]}', b"\x00", b'{"a":,"items":[]}', b'{"items":[{"metadata":{"name":"a"}}',
        b'{"items":[{"metadata":{"name":"a"}}]', b'{"items":[{"a":1', b"", b"  ", b'{"items":[nul', b'{"it',
    ],
)  # fmt: skip
def test_a_malformed_list_is_refused_with_a_byte_offset(body: bytes) -> None:
    refused(body)


def test_the_byte_offset_is_that_of_the_first_wrong_byte() -> None:
    assert refused(b'{"items":[{"a":"x\ny"}]}') == "control character in a string at byte 17"
    assert refused(b'{"items":[]}}').endswith("at byte 12")
    assert refused(b'{"items":[{}').endswith("at byte 12")


def test_a_truncated_string_before_a_line_end_is_refused() -> None:
    refused(b'{"items":[{"metadata":{"name":"a},\n{"metadata":{"name":"b"}}]}')


def test_errors_do_not_show_the_contents() -> None:
    for body in (b'{"items":[{"data":"hunter2\n"}]}', b'{"hunter2":hunter2}', b'{"items":[]} hunter2'):
        assert "hunter2" not in refused(body)


def test_a_failed_scanner_fails_at_each_later_call() -> None:
    scanner = Scanner("list")
    with pytest.raises(ValueError, match="at byte 0"):
        scanner.feed(b"x")
    for again in (lambda: scanner.feed(b""), lambda: scanner.feed(BUILT_IN), scanner.finish):
        with pytest.raises(ValueError, match="at byte 0"):
            again()


def test_feed_after_finish_is_refused() -> None:
    scanner = Scanner("list")
    scanner.feed(b'{"items":[]}')
    scanner.finish()
    with pytest.raises(ValueError, match="ended"):
        scanner.feed(b" ")


def test_wire_bytes_are_those_of_the_items() -> None:
    body = BUILT_IN % (POD + b", " + POD)
    scanner = Scanner("list")
    (batch, _) = scanner.feed(body)
    assert isinstance(batch, Batch)
    assert batch.wire_bytes == 2 * len(POD)
    assert scanner.offset == len(body)


def test_a_batch_index_out_of_range_is_an_index_error() -> None:
    (batch, _) = Scanner("list").feed(BUILT_IN % POD)
    assert isinstance(batch, Batch)
    for read in (batch.raw, batch.key, batch.verb, batch.uid):
        for i in (-1, 1, 2**40):
            with pytest.raises(IndexError):
                read(i)


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("both",), {}, ValueError),
        ((None,), {}, TypeError),
        (("list", 7), {}, TypeError),
        (("list", ()), {}, TypeError),
        (("list", (((), 5, True, 0),)), {}, ValueError),
        (("list", ((((b"metadata", -2),), -1, True, 0),)), {}, ValueError),
        (("list", ((((b"metadata", 9),), -1, True, 0),)), {}, ValueError),
        (("list", (((("metadata", 0),), -1, True, 0),)), {}, TypeError),
        (("list",), {"max_object_bytes": 0}, ValueError),
        (("list",), {"max_object_bytes": -5}, ValueError),
        (("list",), {"max_object_bytes": "1"}, TypeError),
        (("list",), {"max_object_bytes": True}, TypeError),
    ],
)
def test_invalid_arguments_are_refused_at_construction(arguments: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Scanner(*arguments, **options)


def test_feed_refuses_non_buffers_and_the_scanner_continues() -> None:
    scanner = Scanner("list")
    for wrong in ("text", None, 7):
        with pytest.raises(TypeError):
            scanner.feed(wrong)  # type: ignore[arg-type]
    assert scanner.feed(b"") == []
    assert scanner.feed(b'{"items":[]}')[0][0] == "LIST_END"  # type: ignore[index]


def test_no_reference_to_a_chunk_is_kept_after_feed() -> None:
    scanner = Scanner("list")
    chunk = bytearray(BUILT_IN % POD)
    (batch, _) = scanner.feed(chunk)
    assert isinstance(batch, Batch)
    before = batch.raw(0)
    chunk[:] = b"x" * len(chunk)
    chunk.extend(b"y")  # raises BufferError if a reference to the buffer is left
    assert batch.raw(0) == before
