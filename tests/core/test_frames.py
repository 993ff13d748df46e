"""Frames of a response body: bookmarks, skipped objects, statuses."""

from __future__ import annotations

import json

import pytest

from kinform._errors import ProtocolError
from kinform._events import Skipped
from kinform._listwatch.frames import Bookmark, Frames, ListEnd, Skip
from kinform._status import Cause, Details, Status, read_status
from kinform._store.reader import store
from kinform_ext._scan import Batch


def frames(body: bytes, kind: str = "watch", limit: int = 16 << 20) -> list[object]:
    return list(Frames(kind, None, name="v1/pods", max_object_bytes=limit).feed(body))


@pytest.mark.parametrize(
    ("annotations", "ends"),
    [
        ({"k8s.io/initial-events-end": "true"}, True),
        ({"k8s.io/initial-events-end": "false"}, False),
        ({"k8s.io/initial-events-end": ""}, False),
        ({"k8s.io/initial-events-end": "True"}, False),
        ({"other": "true"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_only_an_annotation_of_true_ends_the_initial_events(annotations, ends):
    body = json.dumps(
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7", "annotations": annotations}}}
    ).encode()
    assert frames(body) == [Bookmark("7", ends)]


@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        ('"name":"big","namespace":"shop"', "shop/big"),
        ('"name":"big"', "big"),
        ('"name":"big","labels":{"a":"' + "x" * 300 + '"},"namespace":"shop"', None),
        ('"labels":{"a":"' + "x" * 300 + '"},"namespace":"shop","name":"big"', None),
    ],
)
def test_a_key_needs_a_name_and_a_namespace(metadata, key):
    item = f'{{"metadata":{{{metadata}}},"data":"{"y" * 300}"}}'
    body = f'{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"7"}},"items":[{item}]}}'
    skip, end = frames(body.encode(), "list", limit=200)
    assert isinstance(skip, Skip)
    assert (skip.key, skip.reason) == (key, "oversized")
    assert end == ListEnd("7")


def test_a_skipped_object_of_unknown_namespace_is_not_deleted():
    pod = '{"metadata":{"name":"%s",%s"namespace":"shop","uid":"u"}}'
    list_of = '{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[%s]}'
    writer, held = store()
    for padding in ("", '"labels":{"a":"%s"},' % ("x" * 300)):
        body = list_of % f"{pod % ('a', '')},{pod % ('big', padding)}"
        writer.begin("")
        for frame in frames(body.encode(), "list", limit=200):
            if isinstance(frame, Batch):
                writer.apply("", frame, initial=True)
            elif isinstance(frame, Skip):
                writer.skip("", Skipped(frame.verb, frame.key, True))
        writer.commit("")
    assert set(held) == {"shop/a", "shop/big"}


def test_a_body_that_is_not_a_status_leaves_the_code():
    body = b'{"kind":"Status","code":7,"reason":"Expired","details":{"retryAfterSeconds":2}}'
    assert read_status(410, body) == Status(410, "Expired", "", read_status(410, body).details)
    assert read_status(410, body).retry_after == 2
    for other in (b"<html>", b"", b"[]", b'"text"', b'{"code":"x"}', b"\xff"):
        assert read_status(502, other) == Status(502)


def test_a_malformed_control_frame_raises_without_its_content():
    with pytest.raises(ProtocolError) as caught:
        frames(b'{"type":"BOOKMARK","object":{"metadata":"hunter2"}}')
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is not None
    assert "hunter2" not in str(caught.value.__cause__)


def test_an_error_event_with_an_impossible_code_is_malformed():
    with pytest.raises(ProtocolError, match="malformed ERROR"):
        frames(b'{"type":"ERROR","object":{"code":%b}}' % (b"9" * 4_000))


def test_a_status_may_have_null_for_any_text():
    body = b'{"code":1,"reason":null,"message":null,"details":{"name":null,"causes":[{"field":null}]}}'
    assert read_status(403, body) == Status(403, None, None, Details(name=None, causes=[Cause(field=None)]))
