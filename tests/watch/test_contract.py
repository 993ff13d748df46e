"""The contract of the clients' Watch: the same tests on theirs and on kinform's.

Source: `watch.py` of kubernetes_asyncio and of kubernetes.aio.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.watch.clients import FakeApi, Response, collect, error, event, exhaust

ARGUMENTS = {"watch": True, "_preload_content": False}


# Make and state


async def test_a_new_watch_has_no_version_and_no_response(Watch):
    async with Watch() as watch:
        assert watch.resource_version is None
        assert watch.resp is None


async def test_stream_is_not_a_coroutine_and_sends_no_request(Watch, client):
    api = FakeApi(client)
    async with Watch() as watch:
        assert watch.stream(api.list_namespace) is watch
        assert api.calls == []


async def test_a_watch_streams_again_after_its_end(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", "1")], [event("ADDED", "b", "2")])
    async with Watch() as watch:
        for name in ("a", "b"):
            events = await exhaust(watch.stream(api.list_namespace, timeout_seconds=5))
            assert [each["raw_object"]["metadata"]["name"] for each in events] == [name]


async def test_a_stopped_watch_streams_again(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", "1")], [event("ADDED", "b", "2")])
    async with Watch() as watch:
        async for _ in watch.stream(api.list_namespace):
            watch.stop()
        assert (await anext(watch.stream(api.list_namespace)))["type"] == "ADDED"


async def test_the_stream_is_a_context_manager_that_releases(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", "1")])
    async with Watch().stream(api.list_namespace) as stream:
        async for each in stream:
            assert each["type"] == "ADDED"
            break
        assert api.opened[0].released == 0
    assert api.opened[0].released == 1


async def test_next_and_close_can_be_called(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", "1")])
    watch = Watch()
    watch.stream(api.list_namespace)
    assert (await watch.next())["type"] == "ADDED"
    assert watch.resp is api.opened[0]
    await watch.close()
    assert watch.resp is None
    assert api.opened[0].released == 1


async def test_the_return_type_is_that_of_the_docstring(Watch, client):
    api = FakeApi(client)
    async with Watch() as watch:
        assert watch.get_return_type(api.list_namespace) == "V1Namespace"
        assert watch.get_return_type(api.list_custom) == "object"
        assert watch.get_return_type(api.list_untyped) == ""
        assert watch.get_return_type(api.read_namespaced_pod_log) == "str"
    async with Watch("V1Pod") as watch:
        assert watch.get_return_type(api.list_namespace) == "V1Pod"


async def test_logs_are_followed_and_all_else_is_watched(Watch, client):
    api = FakeApi(client)
    async with Watch() as watch:
        assert watch.get_watch_argument_name(api.list_namespace) == "watch"
        assert watch.get_watch_argument_name(api.read_namespaced_pod_log) == "follow"


# Requests


async def test_the_function_gets_watch_and_all_arguments(Watch, client):
    api = FakeApi(client, [])
    arguments = {
        "namespace": "shop",
        "label_selector": "app=web",
        "timeout_seconds": 5,
        "_request_timeout": 7,
        "allow_watch_bookmarks": True,
    }
    async with Watch() as watch:
        await exhaust(watch.stream(api.list_namespace, **arguments))
    assert api.calls == [{**ARGUMENTS, **arguments}]


async def test_watch_and_preload_of_the_caller_are_overwritten(Watch, client):
    api = FakeApi(client, [])
    async with Watch() as watch:
        await exhaust(watch.stream(api.list_namespace, watch=False, _preload_content=True, timeout_seconds=5))
    assert api.calls == [{**ARGUMENTS, "timeout_seconds": 5}]


@pytest.mark.parametrize("version", ["1555", "", None])
async def test_a_resource_version_of_the_caller_is_taken_over(Watch, client, version):
    api = FakeApi(client, [])
    async with Watch() as watch:
        watch.stream(api.list_namespace, resource_version=version, timeout_seconds=5)
        assert watch.resource_version == version
        await exhaust(watch)
    assert api.calls == [{**ARGUMENTS, "resource_version": version, "timeout_seconds": 5}]


async def test_the_first_request_is_sent_after_an_early_stop(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", "1")])
    async with Watch() as watch:
        watch.stream(api.list_namespace)
        watch.stop()
        assert await exhaust(watch) == []
    assert len(api.calls) == 1
    assert api.opened[0].reads == 0


# Events


async def test_an_event_has_type_object_and_raw_object(Watch, client):
    api = FakeApi(client, [{**event("ADDED", "a", "1"), "extra": 7}])
    async with Watch() as watch:
        found = await anext(watch.stream(api.list_namespace))
        assert set(found) == {"type", "object", "raw_object", "extra"}
        assert found["type"] == "ADDED"
        assert found["extra"] == 7
        assert found["raw_object"] == {"metadata": {"name": "a", "resourceVersion": "1"}}
        assert type(found["object"]).__name__ == "V1Namespace"
        assert found["object"].metadata.name == "a"


async def test_the_type_object_gives_a_dict(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", "1")])
    async with Watch() as watch:
        found = await anext(watch.stream(api.list_custom))
        assert found["object"] == found["raw_object"] == {"metadata": {"name": "a", "resourceVersion": "1"}}


@pytest.mark.parametrize("return_type", ["", None])
async def test_without_a_type_the_object_is_the_raw_object(Watch, client, return_type):
    api = FakeApi(client, [event("ADDED", "a", "1")])
    async with Watch(return_type) as watch:
        found = await anext(watch.stream(api.list_untyped))
        assert found["object"] is found["raw_object"]
        assert watch.resource_version == "1"


async def test_a_scalar_can_be_an_object(Watch):
    async with Watch() as watch:
        found = watch.unmarshal_event('{"type": "ADDED", "object": 1}', "float")
        assert (found["type"], found["object"], found["raw_object"]) == ("ADDED", 1.0, 1)
        assert isinstance(found["object"], float)


async def test_unmarshal_event_remembers_the_version(Watch):
    async with Watch() as watch:
        watch.unmarshal_event('{"type": "ADDED", "object": {"metadata": {"resourceVersion": "7"}}}', "object")
        assert watch.resource_version == "7"


@pytest.mark.parametrize("type", ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"])
async def test_the_version_of_each_event_is_remembered(Watch, client, type):
    api = FakeApi(client, [event("ADDED", "a", "1"), event(type, "a", "2")])
    async with Watch() as watch:
        watch.stream(api.list_namespace)
        await collect(watch, 1)
        assert watch.resource_version == "1"
        await collect(watch, 1)
        assert watch.resource_version == "2"


async def test_an_object_without_metadata_leaves_the_version(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", "1"), {"type": "ADDED", "object": {"spec": {}}}])
    async with Watch() as watch:
        await collect(watch.stream(api.list_custom), 2)
        assert watch.resource_version == "1"


@pytest.mark.parametrize("type", ["BOOKMARK", "bookmark"])
async def test_a_bookmark_is_yielded_as_a_dict(Watch, client, type):
    incomplete = {"spec": {"template": {"spec": {"containers": None}}}}
    api = FakeApi(client, [event(type, "", "9", **incomplete)])
    async with Watch("V1Job") as watch:
        found = await anext(watch.stream(api.list_namespace))
        assert found["object"]["spec"] == incomplete["spec"]
        assert watch.resource_version == "9"


@pytest.mark.parametrize("metadata", [None, {}, {"metadata": {}}])
async def test_a_bookmark_without_version_is_malformed(Watch, client, metadata):
    api = FakeApi(client, [{"type": "BOOKMARK", "object": metadata}])
    async with Watch() as watch:
        with pytest.raises(Exception, match="Malformed JSON response for bookmark"):
            await anext(watch.stream(api.list_namespace, timeout_seconds=5))


@pytest.mark.parametrize("type", ["ERROR", "error"])
async def test_an_error_event_raises_the_exception_of_the_client(Watch, client, type):
    api = FakeApi(client, [{**error(500, "InternalError", "broken"), "type": type}])
    async with Watch() as watch:
        with pytest.raises(client.api_exception, match=r"\(500\)\nReason: InternalError: broken") as caught:
            await anext(watch.stream(api.list_namespace))
    assert caught.value.status == 500


async def test_a_status_instead_of_an_event_raises(Watch, client):
    refused = {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"}
    api = FakeApi(client, [refused])
    async with Watch() as watch:
        with pytest.raises(client.api_exception, match=r"\(401\)\nReason: Unauthorized: Unauthorized"):
            await anext(watch.stream(api.list_namespace))


async def test_json_that_is_no_event_is_malformed(Watch, client):
    api = FakeApi(client, [{"kind": "Something"}])
    async with Watch() as watch:
        with pytest.raises(Exception, match="Malformed JSON response, the 'object' and/or 'type' field is missing"):
            await anext(watch.stream(api.list_namespace, timeout_seconds=5))


# Logs


async def test_a_log_gives_lines_with_their_ends_until_it_ends(Watch, client):
    api = FakeApi(client, [b"one\n", b"\n", b'{"type": 1}\n', b"last"])
    async with Watch() as watch:
        assert await exhaust(watch.stream(api.read_namespaced_pod_log, "web", "shop")) == [
            "one\n",
            "\n",
            '{"type": 1}\n',
            "last",
        ]
    assert api.calls == [{"follow": True, "_preload_content": False}]


async def test_a_timeout_of_a_log_replays_it_from_the_start(Watch, client):
    api = FakeApi(client, [b"one\n", TimeoutError()], [b"one\n", b"two\n"])
    async with Watch() as watch:
        assert await exhaust(watch.stream(api.read_namespaced_pod_log)) == ["one\n", "one\n", "two\n"]


# Ends and retries


@pytest.mark.parametrize("timeout", [5, 0, None])
async def test_with_timeout_seconds_the_end_of_the_body_is_the_end(Watch, client, timeout):
    api = FakeApi(client, [event("ADDED", "a", "1")])
    async with Watch() as watch:
        assert len(await exhaust(watch.stream(api.list_namespace, timeout_seconds=timeout))) == 1
    assert len(api.calls) == 1


async def test_the_end_of_the_body_continues_from_the_last_version(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", "1"), event("MODIFIED", "a", "2")], [event("MODIFIED", "a", "3")])
    async with Watch() as watch:
        await collect(watch.stream(api.list_namespace), 3)
    assert api.calls == [ARGUMENTS, {**ARGUMENTS, "resource_version": "2"}]
    assert (api.opened[0].closed, api.opened[0].released) == (1, 0)


async def test_without_a_version_everything_comes_again(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", None)], [event("ADDED", "a", None)])
    async with Watch() as watch:
        await collect(watch.stream(api.list_namespace), 2)
    assert api.calls == [ARGUMENTS, ARGUMENTS]


async def test_a_timeout_continues_from_the_last_version(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", "1555"), TimeoutError()], [event("MODIFIED", "a", "1556")])
    async with Watch() as watch:
        await collect(watch.stream(api.list_namespace), 2)
    assert api.calls == [ARGUMENTS, {**ARGUMENTS, "resource_version": "1555"}]


async def test_a_timeout_is_raised_with_timeout_seconds(Watch, client):
    api = FakeApi(client, [TimeoutError()])
    async with Watch() as watch:
        with pytest.raises(TimeoutError):
            await anext(watch.stream(api.list_namespace, timeout_seconds=5))


async def test_a_410_is_retried_once_with_the_same_version(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", "7"), error(410)], [error(410)])
    async with Watch() as watch:
        watch.stream(api.list_namespace)
        await collect(watch, 1)
        with pytest.raises(client.api_exception, match=r"\(410\)\nReason: Gone: too old"):
            await anext(watch)
    assert api.calls == [ARGUMENTS, {**ARGUMENTS, "resource_version": "7"}]


async def test_an_event_allows_another_retry_of_a_410(Watch, client):
    api = FakeApi(
        client,
        [error(410)],
        [event("ADDED", "a", "7"), error(410)],
        [event("ADDED", "b", "8"), error(410)],
        [error(410)],
    )
    async with Watch() as watch:
        watch.stream(api.list_namespace)
        await collect(watch, 2)
        with pytest.raises(client.api_exception):
            await anext(watch)
    assert len(api.calls) == 4


async def test_a_410_is_not_retried_with_timeout_seconds(Watch, client):
    api = FakeApi(client, [error(410)])
    async with Watch() as watch:
        with pytest.raises(client.api_exception):
            await anext(watch.stream(api.list_namespace, timeout_seconds=5))
    assert len(api.calls) == 1


@pytest.mark.parametrize("problem", [ConnectionResetError(), RuntimeError("broken"), KeyError("x")])
async def test_an_error_of_the_function_is_raised(Watch, client, problem):
    api = FakeApi(client, problem)
    async with Watch() as watch:
        with pytest.raises(type(problem)):
            await anext(watch.stream(api.list_namespace, timeout_seconds=5))


async def test_bytes_that_are_not_utf8_are_raised(Watch, client):
    api = FakeApi(client, [b'{"type": "ADDED", "object": {"a": "\xff"}}\n'])
    async with Watch() as watch:
        with pytest.raises(UnicodeDecodeError):
            await anext(watch.stream(api.list_namespace))


async def test_an_exception_releases_the_response(Watch, client):
    api = FakeApi(client, [RuntimeError("broken")])
    watch = Watch()
    with pytest.raises(RuntimeError):
        await anext(watch.stream(api.list_namespace, timeout_seconds=5))
    assert watch.resp is None
    assert api.opened[0].released == 1


async def test_a_cancelled_step_releases_the_response(Watch, client):
    api = FakeApi(client, [asyncio.CancelledError()])
    watch = Watch()
    with pytest.raises(asyncio.CancelledError):
        await anext(watch.stream(api.list_namespace))
    assert api.opened[0].released == 1


async def test_break_does_not_release_the_response(Watch, client):
    api = FakeApi(client, [event("ADDED", "a", "1")])
    async with Watch() as watch:
        async for _ in watch.stream(api.list_namespace):
            break
        assert api.opened[0].released == 0


async def test_stop_is_seen_before_the_next_read(Watch, client):
    response = Response([event("ADDED", str(number), str(number)) for number in range(1, 9)])
    api = FakeApi(client, response)
    async with Watch() as watch:
        async for each in watch.stream(api.list_namespace):
            if each["raw_object"]["metadata"]["name"] == "3":
                watch.stop()
    assert response.reads == 3
    assert watch.resource_version == "3"
