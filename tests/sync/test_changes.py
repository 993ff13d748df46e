"""The blocking iterator of changes: its end, its timeout, and several threads."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress

import pytest

import kinform
import kinform.sync
from kinform.sync._changes import BATCH_CHANGES
from tests.net.informers import in_sync
from tests.support.server_behaviours import Answer, BadTransport
from tests.sync.conftest import InThread
from tests.sync.programs import until

PODS = "v1/pods"


async def test_changes_yield_the_present_then_synced_then_news(server, on_server):
    keys = server.generate(PODS, 2 * BATCH_CHANGES + 3)

    def program() -> None:
        with kinform.sync.connect(server.url) as api:
            pods = kinform.sync.Informer(api, PODS)
            early = pods.changes()
            with pods:
                pods.synced(timeout=10)
                late = pods.changes()
                assert pods.stats().changes_depth != []
                for changes in (early, late):
                    present = [changes.next(timeout=10) for _ in keys]
                    assert {type(event) for event in present} == {kinform.Added}
                    assert sorted(event.key for event in present) == sorted(keys)
                    assert changes.next(timeout=10) == kinform.Synced()
                on_server(server.touch, PODS, keys[0])
                for changes in (early, late):
                    event = next(changes)
                    assert isinstance(event, kinform.Updated)
                    assert event.key == keys[0]
            assert list(late) == []

    await asyncio.to_thread(program)


async def test_a_timeout_loses_no_change(server, on_server):
    keys = server.generate(PODS, 3)

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:
            pods.synced(timeout=10)
            changes = pods.changes()
            while not isinstance(changes.next(timeout=10), kinform.Synced):
                pass
            seen = []
            for number in range(60):
                on_server(server.touch, PODS, keys[number % 3])
                deadline = time.monotonic() + 10
                while len(seen) <= number and time.monotonic() < deadline:
                    with suppress(TimeoutError):
                        seen.append(changes.next(timeout=0.0005))
            versions = [event.object["metadata"]["resourceVersion"] for event in seen]
            assert len(versions) == len(set(versions)) == 60

    await asyncio.to_thread(program)


@pytest.mark.parametrize("end", ["close", "block"])
async def test_a_reader_that_waits_wakes_at_the_end(server, end):
    def program() -> float:
        with kinform.sync.connect(server.url) as api:
            with kinform.sync.Informer(api, PODS) as pods:
                changes = pods.changes()
                assert changes.next(timeout=10) == kinform.Synced()
                reader = InThread(lambda: (list(changes), time.monotonic())[1])
                time.sleep(0.1)
                assert reader.runs
                ended = time.monotonic()
                if end == "close":
                    changes.close()
            woke = reader.result()
            assert changes.next(timeout=0) is None
            return woke - ended

    assert await asyncio.to_thread(program) < 5


async def test_threads_that_share_an_iterator_get_each_change_once(server):
    keys = server.generate(PODS, 500)

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:
            changes = pods.changes()
            found: list[str] = []

            def read() -> None:
                for event in changes:
                    if event.key:
                        found.append(event.key)  # noqa: PERF401 (other threads append, too)

            threads = [InThread(read) for _ in range(4)]
            until(lambda: len(found) == len(keys))
            changes.close()
            for thread in threads:
                thread.result()
            assert sorted(found) == sorted(keys)

    await asyncio.to_thread(program)


async def test_a_second_reader_waits_no_longer_than_its_timeout(server):
    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:
            changes = pods.changes()
            assert changes.next(timeout=10) == kinform.Synced()
            reader = InThread(lambda: list(changes))
            time.sleep(0.1)
            with pytest.raises(TimeoutError, match=r"^no event after 0.05 s; v1/pods: live$"):
                changes.next(timeout=0.05)
            changes.close()
            assert reader.result() == []

    await asyncio.to_thread(program)


async def test_an_iterator_that_is_dropped_takes_no_more_changes(server):
    server.generate(PODS, 5)

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:
            pods.synced(timeout=10)
            for _ in pods.changes():
                break
            until(lambda: pods.stats().changes_depth == [])

    await asyncio.to_thread(program)


async def test_iterators_are_made_and_dropped_while_changes_arrive(server, on_server):
    keys = server.generate(PODS, 50)
    stop = threading.Event()

    def churn(pods: kinform.sync.Informer) -> int:
        made = 0
        while not stop.is_set():
            for _ in pods.changes():
                break
            made += 1
        return made

    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:
            pods.synced(timeout=10)
            threads = [InThread(lambda: churn(pods)) for _ in range(3)]
            for number in range(300):
                on_server(server.touch, PODS, keys[number % 50])
            stop.set()
            assert all(thread.result() > 3 for thread in threads)
            until(lambda: in_sync(pods.store, server, PODS))
            assert pods.state == "live"

    try:
        await asyncio.to_thread(program)
    finally:
        stop.set()


async def test_changes_that_cannot_be_read_raise(server):
    pods = kinform.sync.Informer(kinform.sync.connect(server.url), PODS)
    with pytest.raises(kinform.KinformError, match="v1/pods: not started: enter its `with` block first"):
        await asyncio.to_thread(pods.changes().next)


async def test_a_timeout_error_of_the_transport_is_raised_as_it_is():
    class Broken(BadTransport):
        async def refresh_credentials(self) -> bool:
            raise TimeoutError("of the transport")

    def program() -> None:
        pods = kinform.sync.Informer(Broken(lambda ask: Answer(401)), PODS)
        for seconds in (None, 10):
            for wait in (pods.synced, lambda timeout: pods.changes().next(timeout)):
                with pytest.raises(TimeoutError, match=r"^of the transport"), pods:
                    wait(seconds)
            with pytest.raises(TimeoutError, match=r"^of the transport"), pods:
                assert str(pods.failed(seconds)) == "of the transport"

    await asyncio.to_thread(program)


async def test_a_timeout_that_is_no_number_is_refused(server):
    def program() -> None:
        with kinform.sync.connect(server.url) as api, kinform.sync.Informer(api, PODS) as pods:
            for wrong in ("x", float("nan")):
                with pytest.raises(kinform.OptionError, match="timeout"):
                    pods.changes().next(timeout=wrong)

    await asyncio.to_thread(program)
