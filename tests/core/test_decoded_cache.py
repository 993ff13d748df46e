"""The cache of decoded objects: bounded, valid for one version, shared."""

from __future__ import annotations

import threading

import msgspec
import pytest

from kinform._errors import DecodeError, OptionError
from kinform._stats import DecodedCacheStats
from kinform._store.reader import Store
from tests.core.kept_store import Kept
from tests.core.pods import Pod, pod
from tests.core.wire import batch, obj


def filled(size: int, count: int = 4, **options) -> Kept:
    kept = Kept(decoded_cache=size, **options)
    kept.writer.listener = None
    kept.relist(*(pod(f"p{i}", "n1", app="web") for i in range(count)))
    return kept


def counts(kept: Kept) -> tuple[int, int, int]:
    """Returns hits, misses and objects."""
    stats = kept.store.decoded_cache
    assert stats is not None
    return stats.hits, stats.misses, stats.objects


def test_a_store_has_no_cache_by_default():
    kept = Kept()
    kept.relist(obj("a"))
    assert kept.store.decoded_cache is None
    assert kept.store["shop/a"] is not kept.store["shop/a"]


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "1000"])
def test_a_size_that_is_not_a_positive_number_is_refused(size):
    with pytest.raises(OptionError, match=r"decoded_cache.*a positive number of objects, or None"):
        Kept(decoded_cache=size)


def test_all_reads_share_the_objects_of_the_cache():
    kept = filled(10, indexes={"node": "spec.nodeName", "app": 'metadata.labels["example.com/app"]'})
    store = kept.store
    first = store["shop/p0"]
    assert counts(kept) == (0, 1, 1)
    found = [
        store.get("shop/p0"),
        dict(store.items())["shop/p0"],
        next(iter(store.values())),
        dict(store.items(label_selector="example.com/app=web"))["shop/p0"],
        next(iter(store.values(on_undecodable="skip"))),
        store.index("node", "n1")[0],
        store.snapshot()["shop/p0"],
        next(iter(store.snapshot().values())),
    ]
    assert all(each is first for each in found)
    hits, misses, objects = counts(kept)
    assert (misses, objects) == (4, 4)
    assert hits > len(found)


def test_a_new_version_is_decoded_again():
    kept = filled(10)
    old = kept.store["shop/p0"]
    kept.live("MODIFIED", pod("p0", "n2", rv=2))
    assert kept.store["shop/p0"]["spec"]["nodeName"] == "n2"
    kept.live("MODIFIED", pod("p0", "n3", uid="new", rv=2))
    assert kept.store["shop/p0"]["spec"]["nodeName"] == "n3"
    kept.live("DELETED", pod("p0", "n3", uid="new", rv=3))
    assert kept.store.get("shop/p0") is None
    assert "shop/p0" not in dict(kept.store.items())
    kept.live("ADDED", pod("p0", "n1", app="web"))
    assert kept.store["shop/p0"] == old
    assert counts(kept)[1] == 4 + 3  # and three others by `items`


def test_a_snapshot_reads_its_own_versions():
    kept = filled(10)
    state, old = kept.store.snapshot(), kept.store["shop/p0"]
    kept.live("MODIFIED", pod("p0", "n2", rv=2))
    for _ in range(2):
        assert kept.store["shop/p0"]["spec"]["nodeName"] == "n2"
        assert state["shop/p0"] == dict(state.items())["shop/p0"] == old


def test_the_least_recently_read_object_is_dropped():
    kept = filled(3, count=5)
    for name in ("p0", "p1", "p2", "p0", "p3"):
        assert kept.store[f"shop/{name}"]["metadata"]["name"] == name
    assert counts(kept) == (1, 4, 3)
    for name in ("p0", "p2", "p3"):
        assert kept.store[f"shop/{name}"]["metadata"]["name"] == name
    assert counts(kept) == (4, 4, 3)
    assert kept.store["shop/p1"]["metadata"]["name"] == "p1"
    assert counts(kept) == (4, 5, 3)
    assert len(list(kept.store.values())) == 5
    assert counts(kept)[2] == 3


def test_each_reader_has_its_own_cache():
    kept = filled(10)
    pods = Store(kept.writer.contents, Pod, decoded_cache=10)
    assert kept.store["shop/p0"]["kind"] == "Pod"
    assert isinstance(pods["shop/p0"], Pod)
    assert pods.decoded_cache == DecodedCacheStats(objects=1, hits=0, misses=1)


@pytest.mark.parametrize("missing", [{"uid": ""}, {"rv": ""}])
def test_objects_without_uid_or_resource_version_are_not_kept(missing):
    kept = filled(10)
    kept.relist(obj("a", cpu=1, **missing))
    assert kept.store["shop/a"]["cpu"] == 1
    kept.live("MODIFIED", obj("a", cpu=2, **missing))
    assert kept.store["shop/a"]["cpu"] == 2
    assert dict(kept.store.items())["shop/a"]["cpu"] == 2
    assert counts(kept) == (0, 3, 0)


def test_an_object_that_does_not_fit_is_not_kept():
    kept = Kept(type=Pod, decoded_cache=10)
    kept.relist(obj("a"), obj("b", replicas="many"))
    for _ in range(2):
        with pytest.raises(DecodeError, match="shop/b"):
            kept.store["shop/b"]
        assert [found.metadata.name for found in kept.store.values(on_undecodable="skip")] == ["a"]
    assert kept.store.undecodable_reads == 2
    assert counts(kept)[2] == 1


def test_threads_get_right_objects_of_a_small_cache():
    class Versioned(msgspec.Struct):
        metadata: dict[str, str]
        number: int

    kept = Kept(type=Versioned, decoded_cache=5)
    kept.writer.listener = None
    kept.relist(*(obj(f"p{i}", number=1) for i in range(12)))
    stop, wrong, reads, number = threading.Event(), [], [0], [1]

    def read() -> None:
        while not stop.is_set():
            at_least = number[0]
            for key, found in [(key, kept.store[key]) for key in kept.store] + list(kept.store.items()):
                if key != f"shop/{found.metadata['name']}" or found.number < at_least:
                    wrong.append((key, found, at_least))
                if found.number != int(found.metadata["resourceVersion"]):
                    wrong.append((key, found))
            reads[0] += 1

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        while reads[0] < 300 and not wrong and number[0] < 100_000:
            new = number[0] + 1
            kept.writer.apply("", batch(*(obj(f"p{i}", rv=new, number=new) for i in range(12))), initial=False)
            number[0] = new
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert reads[0] >= 100
    assert counts(kept)[2] == 5
