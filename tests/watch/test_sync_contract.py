"""The contract of the synchronous Watch: the same tests on theirs and on ours.

Source: `watch.py` of kubernetes.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.watch.clients import SYNC_CLIENT, FakeSyncApi, error, event

ARGUMENTS = {"watch": True, "_preload_content": False}


def take(stream: Any, count: int) -> list[Any]:
    return list(itertools.islice(stream, count))


def test_a_stream_is_a_generator_and_sends_no_request(SyncWatch):
    api = FakeSyncApi()
    stream = SyncWatch().stream(api.list_namespace)
    assert iter(stream) is stream
    assert api.calls == []


def test_wrong_arguments_are_seen_at_the_first_step(SyncWatch):
    stream = SyncWatch().stream(lambda: None, "unexpected")
    with pytest.raises(TypeError):
        next(stream)


def test_leaving_the_loop_releases_the_response(SyncWatch):
    api = FakeSyncApi([event("ADDED", "a", "1"), event("ADDED", "b", "2")])
    stream = SyncWatch().stream(api.list_namespace)
    next(stream)
    assert (api.opened[0].closed, api.opened[0].released) == (0, 0)
    stream.close()
    assert (api.opened[0].closed, api.opened[0].released) == (1, 1)


def test_the_function_gets_watch_and_all_arguments(SyncWatch):
    api = FakeSyncApi([])
    arguments = {"namespace": "shop", "timeout_seconds": 5, "_request_timeout": 7, "resource_version": "3"}
    watch = SyncWatch()
    assert list(watch.stream(api.list_namespace, **arguments)) == []
    assert api.calls == [{**ARGUMENTS, **arguments}]
    assert watch.resource_version == "3"


def test_a_function_that_is_no_method_gets_no_more_arguments(SyncWatch):
    api = FakeSyncApi([])
    assert list(SyncWatch().stream(api.list_namespace)) == []
    assert api.calls == [ARGUMENTS]


def test_an_event_has_a_model_and_a_dict(SyncWatch):
    api = FakeSyncApi([event("ADDED", "a", "1")])
    watch = SyncWatch()
    found = next(watch.stream(api.list_namespace))
    assert set(found) == {"type", "object", "raw_object"}
    assert type(found["object"]).__name__ == "V1Namespace"
    assert found["raw_object"] == {"metadata": {"name": "a", "resourceVersion": "1"}}
    assert watch.resource_version == "1"


def test_custom_objects_are_dicts(SyncWatch):
    api = FakeSyncApi([event("ADDED", "a", "1")])
    found = next(SyncWatch().stream(api.list_custom))
    assert found["object"] == found["raw_object"]


def test_chunks_may_be_cut_anywhere_and_be_strings(SyncWatch):
    line = '{"type": "ADDED", "object": {"metadata": {"name": "é", "resourceVersion": "1"}}}\n'
    data = line.encode() * 2
    for cut in range(0, len(data), 7):
        api = FakeSyncApi([data[:cut], data[cut:]])
        names = [each["object"].metadata.name for each in SyncWatch().stream(api.list_namespace, timeout_seconds=5)]
        assert names == ["é", "é"]
    api = FakeSyncApi([line])
    assert len(list(SyncWatch().stream(api.list_namespace, timeout_seconds=5))) == 1


def test_without_deserialize_the_line_is_the_event(SyncWatch):
    api = FakeSyncApi([event("ADDED", "a", "1")])
    watch = SyncWatch()
    found = list(watch.stream(api.list_namespace, deserialize=False))
    assert found == [event("ADDED", "a", "1")]
    assert api.calls == [ARGUMENTS]
    assert watch.resource_version is None


def test_without_a_type_the_stream_ends_with_the_response(SyncWatch):
    api = FakeSyncApi([event("ADDED", "a", "1")])
    watch = SyncWatch()
    found = list(watch.stream(api.list_untyped))
    assert found[0]["object"] is found[0]["raw_object"]
    assert watch.resource_version is None


@pytest.mark.parametrize("metadata", [None, {}, {"metadata": {}}, {"metadata": 1}])
def test_a_bookmark_without_version_is_accepted(SyncWatch, metadata):
    api = FakeSyncApi([event("ADDED", "a", "1"), {"type": "BOOKMARK", "object": metadata}])
    watch = SyncWatch()
    found = list(watch.stream(api.list_namespace, timeout_seconds=5))
    assert found[1]["object"] == metadata
    assert watch.resource_version == "1"


def test_a_bookmark_sets_the_version(SyncWatch):
    api = FakeSyncApi([event("BOOKMARK", "", "9")])
    watch = SyncWatch()
    assert list(watch.stream(api.list_namespace, timeout_seconds=5))
    assert watch.resource_version == "9"


def test_invalid_utf8_is_replaced(SyncWatch):
    api = FakeSyncApi([b'{"type": "ADDED", "object": {"metadata": {"name": "a\xffb"}}}\n'])
    assert next(SyncWatch().stream(api.list_namespace))["object"].metadata.name == "a\ufffdb"


def test_a_log_gives_lines_without_their_ends(SyncWatch):
    api = FakeSyncApi([b"one\ntw", b"o\n\n", "three\n"])
    assert list(SyncWatch().stream(api.read_namespaced_pod_log, "web", "shop")) == ["one", "two", "", "three"]
    assert api.calls == [{"follow": True, "_preload_content": False}]


def test_a_known_version_continues_the_stream(SyncWatch):
    api = FakeSyncApi([event("ADDED", "a", "1")], [event("MODIFIED", "a", "2")])
    assert len(take(SyncWatch().stream(api.list_namespace), 2)) == 2
    assert api.calls == [ARGUMENTS, {**ARGUMENTS, "resource_version": "1"}]


def test_with_timeout_seconds_the_end_of_the_body_is_the_end(SyncWatch):
    for timeout in (5, 0, None):
        api = FakeSyncApi([event("ADDED", "a", "1")])
        assert len(list(SyncWatch().stream(api.list_namespace, timeout_seconds=timeout))) == 1


def test_a_410_is_retried_once_with_the_same_version(SyncWatch):
    api = FakeSyncApi([event("ADDED", "a", "7"), error(410)], [error(410)])
    stream = SyncWatch().stream(api.list_namespace)
    next(stream)
    with pytest.raises(SYNC_CLIENT.api_exception, match=r"\(410\)\nReason: Gone: too old"):
        next(stream)
    assert api.calls == [ARGUMENTS, {**ARGUMENTS, "resource_version": "7"}]


def test_a_410_without_a_version_is_the_end(SyncWatch):
    api = FakeSyncApi([error(410)])
    assert list(SyncWatch().stream(api.list_namespace)) == []


def test_a_410_is_not_retried_with_timeout_seconds(SyncWatch):
    api = FakeSyncApi([error(410)])
    with pytest.raises(SYNC_CLIENT.api_exception):
        list(SyncWatch().stream(api.list_namespace, timeout_seconds=5))


def test_an_error_event_raises(SyncWatch):
    api = FakeSyncApi([error(500, "InternalError", "broken")])
    with pytest.raises(SYNC_CLIENT.api_exception, match=r"\(500\)\nReason: InternalError: broken"):
        next(SyncWatch().stream(api.list_namespace))


def test_any_other_error_is_raised_and_the_response_released(SyncWatch):
    api = FakeSyncApi([KeyError("expected")])
    with pytest.raises(KeyError):
        next(SyncWatch().stream(api.list_namespace, timeout_seconds=5))
    assert (api.opened[0].closed, api.opened[0].released) == (1, 1)


def test_stop_ends_the_stream_before_the_next_event(SyncWatch):
    api = FakeSyncApi([event("ADDED", "a", "1"), event("ADDED", "b", "2")])
    watch, found = SyncWatch(), []
    for each in watch.stream(api.list_namespace):
        found.append(each)
        watch.stop()
    assert len(found) == 1
    assert api.opened[0].released == 1


def test_a_watch_streams_again_after_its_end(SyncWatch):
    api = FakeSyncApi([event("ADDED", "a", "1")], [event("ADDED", "b", "2")])
    watch = SyncWatch()
    for name in ("a", "b"):
        found = list(watch.stream(api.list_namespace, timeout_seconds=5))
        assert [each["object"].metadata.name for each in found] == [name]
