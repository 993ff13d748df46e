"""Own writes are readable at once, and until their stream has reached them."""

from __future__ import annotations

import os
import random
import threading
from typing import Any

import pytest

from kinform._events import Skipped
from kinform._store import expectations
from kinform._store.expectations import EXPECT_SECONDS, MAX_EXPECTED
from tests.core.kept_store import Kept
from tests.core.pods import Pod, pod
from tests.core.wire import batch, events, obj

INDEXES = {"node": "spec.nodeName", "image": "spec.containers[*].image", "app": 'metadata.labels["example.com/app"]'}


class Own(Kept):
    """A store, and own writes to it."""

    def expect(self, found: dict[str, Any], *, stream: str = "", excluded: bool = False) -> None:
        self.writer.expect(stream, batch(found), excluded=excluded)

    def stream(self, verb: str, *objects: dict[str, Any], stream: str = "") -> None:
        """Brings events as a stream does."""
        found = events((verb, each) for each in objects)
        self.writer.apply(stream, found, initial=False)
        self.writer.reached(stream, found.last_resource_version)

    def list(self, *objects: dict[str, Any], rv: int, stream: str = "") -> None:
        """Brings a complete state as a stream does."""
        self.writer.begin(stream)
        if objects:
            self.writer.apply(stream, batch(*objects), initial=True)
        self.writer.commit(stream)
        self.writer.reached(stream, str(rv))
        while self.writer.sweep(stream):
            pass

    @property
    def waiting(self) -> list[str]:
        return list(self.writer.contents.expectations.entries)


@pytest.fixture
def own():
    own = Own(indexes=INDEXES)
    own.list(pod("a", "n1", "nginx", app="web"), pod("b", "n1", "redis"), pod("c", "n2"), rv=5)
    own.notified()
    return own


def version(own: Own, key: str) -> str | None:
    """Returns the version that readers see, after all ways to read it agree."""
    store = own.store
    found = store.get(key)
    seen = None if found is None else found["metadata"]["resourceVersion"]
    meta, raw, state = store.meta(key), store.raw(key), store.snapshot()
    assert (meta and meta.resource_version) == seen
    assert (raw is None) == (seen is None)
    for mapping in (dict(store.items()), state):
        assert mapping.get(key) == found
    assert [each for each in store.values() if each["metadata"]["name"] == key[5:]] == ([found] if found else [])
    for keys in (store, store.keys(), store.keys("shop"), state, set(store), list(store)):
        assert (key in keys) == (found is not None)
    assert len(store) == len(store.keys()) == len(list(store)) == len(state) == len(list(state.values()))
    if found is None:
        with pytest.raises(KeyError):
            store[key]
    else:
        assert store[key] == found
    nodes = {value: store.index_keys("node", value) for value in store.index_values("node")}
    assert nodes == indexed(store, lambda each: [each["spec"]["nodeName"]])
    assert {value: store.index("node", value) for value in nodes} == {
        value: [store[key] for key in keys] for value, keys in nodes.items()
    }
    images = {value: store.index_keys("image", value) for value in store.index_values("image")}
    assert images == indexed(store, lambda each: [container["image"] for container in each["spec"]["containers"]])
    return seen


def indexed(store, values_of) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, each in sorted(store.items()):
        for value in set(values_of(each)):
            found.setdefault(value, []).append(key)
    return found


def test_a_created_object_is_readable_at_once(own):
    own.expect(pod("d", "n7", "nginx", rv=10))
    assert version(own, "shop/d") == "10"
    assert own.store.index_values("node") == ["n1", "n2", "n7"]
    assert own.store.index_keys("image", "nginx") == ["shop/a", "shop/d"]
    assert len(own.store) == 4


def test_an_updated_object_takes_the_place_of_the_older_version(own):
    own.expect(pod("a", "n7", "redis", rv=10))
    assert version(own, "shop/a") == "10"
    assert own.store.index_values("node") == ["n1", "n2", "n7"]
    assert own.store.index_values("image") == ["redis"]
    assert own.store.index_keys("node", "n1") == ["shop/b"]
    assert len(own.store) == 3


def test_an_older_event_does_not_bring_back_an_older_version(own):
    own.expect(pod("a", "n7", rv=10))
    own.stream("MODIFIED", pod("a", "n1", rv=8))
    assert version(own, "shop/a") == "10"
    own.stream("DELETED", pod("a", "n1", rv=9))
    assert version(own, "shop/a") == "10"
    assert own.waiting == ["shop/a"]
    own.stream("ADDED", pod("a", "n7", rv=10))
    assert version(own, "shop/a") == "10"
    assert own.waiting == []


@pytest.mark.parametrize("rv", [10, 11, 1000])
def test_a_stream_that_has_reached_it_ends_it(own, rv):
    own.expect(pod("a", "n7", rv=10))
    own.stream("MODIFIED", pod("a", "n8", rv=rv))
    assert version(own, "shop/a") == str(rv)
    assert own.waiting == []


def test_another_object_or_a_bookmark_ends_it_too(own):
    own.expect(pod("d", "n7", rv=10))
    own.expect(pod("e", "n7", rv=12))
    own.stream("MODIFIED", pod("b", "n1", rv=11))
    assert version(own, "shop/d") is None  # deleted, or out of the scope
    assert version(own, "shop/e") == "12"
    own.writer.reached("", "12")
    assert version(own, "shop/e") is None


def test_a_newer_deletion_removes_it(own):
    own.expect(pod("a", "n7", rv=10))
    own.stream("DELETED", pod("a", "n7", rv=12))
    assert version(own, "shop/a") is None


def test_a_relist_that_has_passed_it_decides(own):
    own.expect(pod("a", "n7", rv=10))
    own.expect(pod("b", "n7", rv=10))
    own.expect(pod("d", "n7", rv=11))
    own.list(pod("a", "n9", rv=12), pod("c", "n2"), rv=12)
    assert [version(own, f"shop/{name}") for name in "abcd"] == ["12", None, "1", None]


def test_an_older_relist_does_not_bring_back_an_older_version(own):
    own.expect(pod("a", "n7", rv=10))
    own.expect(pod("d", "n7", rv=11))
    own.list(pod("a", "n1", rv=8), pod("c", "n2"), rv=9)
    assert [version(own, f"shop/{name}") for name in "abcd"] == ["10", None, "1", "11"]
    assert own.waiting == ["shop/a", "shop/d"]


def test_a_sweep_does_not_show_what_the_relist_lacks(own, monkeypatch):
    monkeypatch.setattr("kinform._store.writer.SWEEP_OBJECTS", 1)
    own.expect(pod("b", "n7", rv=10))
    own.writer.begin("")
    own.writer.apply("", batch(pod("a", "n1", rv=12)), initial=True)
    assert version(own, "shop/b") == "10"
    own.writer.commit("")
    own.writer.reached("", "12")
    assert version(own, "shop/b") is None
    while own.writer.sweep(""):
        assert version(own, "shop/b") is None


def test_a_version_that_the_store_has_is_not_expected(own):
    own.expect(pod("a", "n1", "nginx", rv=1))
    assert own.waiting == []
    own.expect(pod("a", "n7", rv=10))
    own.expect(pod("a", "n6", rv=9))
    assert version(own, "shop/a") == "10"
    own.expect(pod("a", "n8", rv=11))
    assert version(own, "shop/a") == "11"


def test_a_skipped_event_does_not_end_it(own):
    own.expect(pod("a", "n7", rv=10))
    own.writer.skip("", Skipped("MODIFIED", "shop/a", initial=False))
    own.writer.reached("", "12")
    assert version(own, "shop/a") == "10"
    own.writer.heal("", "shop/a", batch(pod("a", "n9", rv=11)))
    assert version(own, "shop/a") == "11"
    own.writer.reached("", "13")
    assert own.waiting == []


def test_an_excluded_object_is_absent_until_the_stream_says_so(own):
    own.expect(pod("a", "n7", rv=10), excluded=True)
    assert version(own, "shop/a") is None
    assert own.store.index_values("image") == ["redis"]
    own.stream("MODIFIED", pod("a", "n1", "nginx", rv=8))
    assert version(own, "shop/a") is None
    own.stream("DELETED", pod("a", "n1", "nginx", rv=10))
    assert version(own, "shop/a") is None
    assert own.waiting == []


def test_listeners_get_the_events_of_the_stream_only(own):
    own.expect(pod("a", "n7", rv=10))
    own.expect(pod("d", "n7", rv=11))
    assert own.notified() == []
    own.stream("MODIFIED", pod("a", "n1", rv=8), pod("a", "n7", rv=10))
    own.stream("ADDED", pod("d", "n7", rv=11))
    assert own.notified() == [
        ("updated", "shop/a", "8", "1", False),
        ("updated", "shop/a", "10", "8", False),
        ("added", "shop/d", "11", None, False),
    ]


def test_selected_objects_are_those_of_own_writes(own):
    own.expect(pod("a", "n7", app="db", rv=10))
    own.expect(pod("d", "n7", app="web", rv=11))
    web = own.store.items(label_selector="example.com/app=web")
    db = own.store.values("shop", label_selector="example.com/app in (db)")
    for _ in range(2):
        assert [key for key, _ in web] == ["shop/d"]
        assert [found["metadata"]["resourceVersion"] for found in db] == ["10"]
        own.stream("DELETED", pod("a", "n7", rv=12), pod("d", "n7", rv=13))
    assert list(own.store.items(label_selector="example.com/app=web")) == []


def test_views_and_snapshots_keep_what_they_show(own):
    own.expect(pod("a", "n7", rv=10))
    own.expect(pod("d", "n7", rv=11))
    own.expect(pod("b", "n7", rv=12), excluded=True)
    state, items, keys = own.store.snapshot(), own.store.items(), own.store.keys("shop")
    expected = {found["metadata"]["name"]: found["metadata"]["resourceVersion"] for found in own.store.values()}
    assert expected == {"a": "10", "c": "1", "d": "11"}
    for _ in range(2):
        assert {key[5:]: found["metadata"]["resourceVersion"] for key, found in items} == expected
        assert {key[5:]: state[key]["metadata"]["resourceVersion"] for key in state} == expected
        assert sorted(keys) == ["shop/a", "shop/c", "shop/d"]
        assert len(state) == len(items) == len(keys) == 3
        assert "shop/b" not in state
        assert state.get("shop/b") is None
        own.list(rv=20)


def test_own_writes_of_other_namespaces_are_not_shown():
    own = Own()
    own.list(obj("a"), rv=1, stream="shop")
    own.list(obj("a", namespace="till"), rv=1, stream="till")
    own.expect(obj("b", namespace="till", rv=10), stream="till")
    assert list(own.store.keys("shop")) == ["shop/a"]
    assert list(own.store.keys("till")) == ["till/a", "till/b"]
    own.writer.reached("shop", "20")
    assert own.waiting == ["till/b"]
    while own.writer.drop("till"):
        pass
    assert own.waiting == []
    assert list(own.store) == ["shop/a"]


def test_own_writes_are_decoded_to_the_type_and_transformed():
    own = Own(type=Pod, decoded_cache=10)
    own.writer.transform = lambda raw: None if b": 0}" in raw else raw.replace(b": 1}", b": 7}")
    own.list(obj("a", replicas=1), obj("b", replicas=1), obj("c", replicas="x"), rv=5)
    own.expect(obj("a", rv=10, replicas=1))
    own.expect(obj("b", rv=11, replicas=0))
    own.expect(obj("d", rv=12, replicas="many"))
    assert own.store["shop/a"].replicas == 7
    assert own.store.get("shop/b") is None
    assert [found.metadata.name for found in own.store.values(on_undecodable="skip")] == ["a"]
    assert own.store.undecodable_reads == 2


def test_a_resource_version_without_order_ends_it_by_time_only(own, caplog):
    own.expect(pod("a", "n7", rv=10))
    own.stream("MODIFIED", pod("b", "n1", rv="opaque"))
    own.list(pod("a", "n1"), rv="opaque")
    assert version(own, "shop/a") == "10"
    (expected,) = own.writer.contents.expectations.entries.values()
    own.writer.contents.expectations.expire(expected.deadline)
    assert version(own, "shop/a") == "10"
    own.writer.contents.expectations.expire(expected.deadline + 0.1)
    assert version(own, "shop/a") == "1"
    assert own.writer.contents.expectations.dropped == 1
    assert "store: expected object dropped: shop/a at resourceVersion 10" in caplog.text
    assert f"the stream did not reach it in {EXPECT_SECONDS:.0f} s" in caplog.text


def test_progress_of_a_stream_ends_what_is_too_old(own, monkeypatch):
    own.expect(pod("a", "n7", rv=10))
    now = expectations_time(own) + EXPECT_SECONDS
    monkeypatch.setattr("kinform._store.writer.time.monotonic", lambda: now + 1)
    own.writer.reached("", "6")
    assert version(own, "shop/a") == "1"


def expectations_time(own: Own) -> float:
    (expected,) = own.writer.contents.expectations.entries.values()
    return expected.deadline - EXPECT_SECONDS


def test_the_oldest_of_too_many_is_dropped(caplog):
    own = Own()
    own.list(rv=1)
    for number in range(MAX_EXPECTED + 5):
        own.expect(obj(f"p{number}", rv=10 + number, password="hunter2"))
    assert own.waiting == [f"shop/p{number}" for number in range(5, MAX_EXPECTED + 5)]
    assert own.writer.contents.expectations.dropped == 5
    assert "shop/p0 at resourceVersion 10: more than 1000 writes, or than 16 MiB, wait" in caplog.text
    assert "hunter2" not in caplog.text
    own.expect(obj("p5", rv=5_000))
    own.expect(obj("new", rv=5_001))
    assert own.waiting[-2:] == ["shop/p5", "shop/new"]
    assert own.waiting[0] == "shop/p7"


def test_the_bytes_of_own_writes_are_bounded(monkeypatch):
    monkeypatch.setattr(expectations, "MAX_EXPECTED_BYTES", 1000)
    own = Own()
    own.list(rv=1)
    for number in range(5):
        own.expect(obj(f"p{number}", rv=10 + number, filler="x" * 250))
    assert own.waiting == ["shop/p3", "shop/p4"]
    own.expect(obj("large", rv=20, filler="x" * 5_000))
    assert own.waiting == ["shop/large"]


def test_threads_never_see_an_older_version_again():
    own = Own(indexes={"number": "number"})
    own.writer.listener = None
    own.list(*(obj(f"p{i}", rv=1, number=1) for i in range(10)), rv=1)
    stop, wrong, reads = threading.Event(), [], [0]

    def read() -> None:
        newest = dict.fromkeys((f"shop/p{i}" for i in range(10)), 1)

        def see(key: str, found: dict[str, Any] | None) -> None:
            rv = 0 if found is None else int(found["metadata"]["resourceVersion"])
            if rv < newest[key]:
                wrong.append((key, rv, newest[key]))
            newest[key] = rv

        while not stop.is_set():
            for key in newest:
                see(key, own.store.get(key))
            for key, found in own.store.items():
                see(key, found)
            state = own.store.snapshot()
            for key in newest:
                see(key, state.get(key))
            if len(state) != 10 or len(own.store.keys()) != 10:
                wrong.append(len(state))
            reads[0] += 1

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        rv = 2
        while reads[0] < 300 and not wrong:
            found = obj(f"p{rv % 10}", rv=rv, number=rv)
            own.expect(found)
            own.stream("MODIFIED", found)
            rv += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_random_own_writes_agree_with_the_history():
    seed = int(os.environ.get("KINFORM_SEED", "20261129"))
    rng = random.Random(seed)
    own = Own(indexes=INDEXES)
    own.writer.listener = None
    own.list(rv=1)
    history: list[tuple[int, str, str, dict[str, Any]]] = []  # of the server
    at = 0  # the events that the stream has brought
    mine: dict[int, bool] = {}  # own writes by resourceVersion: excluded or not
    rv = 1

    def state(until: int) -> dict[str, dict[str, Any]]:
        found = {}
        for _, verb, key, each in history[:until]:
            found.pop(key, None)
            if verb != "DELETED":
                found[key] = each
        return found

    def write() -> None:
        nonlocal rv
        rv += rng.randrange(1, 3)
        key = f"shop/p{rng.randrange(6)}"
        present = state(len(history))
        verb = "ADDED" if key not in present else rng.choice(["MODIFIED", "MODIFIED", "DELETED"])
        images = [f"i{rng.randrange(3)}" for _ in range(rng.randrange(3))]
        found = pod(key[5:], f"n{rng.randrange(3)}", *images, rv=rv, app=rng.choice([None, "web", "db"]))
        history.append((rv, verb, key, found))
        if verb != "DELETED" and rng.random() < 0.5:
            mine[rv] = False
            own.expect(found)
        elif verb == "DELETED" and rng.random() < 0.5:  # as an update that leaves the scope
            mine[rv] = True
            own.expect(found, excluded=True)

    for _ in range(1_500):
        dice = rng.random()
        if dice < 0.45:
            write()
        elif dice < 0.9 and at < len(history):
            count = rng.randrange(1, 4)
            for _, verb, _, found in history[at : at + count]:
                own.stream(verb, found)
            at = min(len(history), at + count)
        elif dice < 0.93 and history:
            at = rng.randrange(at, len(history) + 1)
            own.list(*state(at).values(), rv=history[at - 1][0] if at else 1)
        expected = state(at)
        for number, _, key, found in history[at:]:
            if number in mine:
                expected.pop(key, None)
                if not mine[number]:
                    expected[key] = found
        assert dict(own.store.items()) == expected, f"KINFORM_SEED={seed}"
        key = f"shop/p{rng.randrange(6)}"
        found = expected.get(key)
        assert version(own, key) == (found and found["metadata"]["resourceVersion"]), f"KINFORM_SEED={seed}"
        web = {key for key, each in expected.items() if "web" in each["metadata"].get("labels", {}).values()}
        assert {key for key, _ in own.store.items(label_selector="example.com/app=web")} == web, f"KINFORM_SEED={seed}"
    assert own.writer.contents.expectations.dropped == 0
