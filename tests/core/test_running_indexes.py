"""Indexes that are added to a running store, and dropped from it."""

from __future__ import annotations

import asyncio
import os
import random
import threading

import pytest

from kinform._errors import KinformError, MemoryLimitError, OptionError
from kinform._store import indexes as indexes_module
from kinform._store.contents import StoreContents
from kinform._store.reader import Store
from kinform._store.writer import Writer
from kinform_ext._table import Dump
from tests.core.kept_store import Kept
from tests.core.pods import pod
from tests.core.wire import batch, events
from tests.ext.tables import load

NODE, IMAGE = {"node": "spec.nodeName"}, {"image": "spec.containers[*].image"}
APP = {"app": 'metadata.labels["example.com/app"]'}


@pytest.fixture
def slices(monkeypatch):
    """Makes slices small."""
    monkeypatch.setattr(indexes_module, "BUILD_BYTES", 1)
    monkeypatch.setattr(indexes_module, "PURGE_IDS", 50)


@pytest.fixture
def kept():
    kept = Kept()
    kept.writer.listener = None
    kept.relist(*(pod(f"p{i}", f"n{i % 3}", "nginx", f"image-{i}", app=f"a{i % 2}") for i in range(30)))
    return kept


def handle(kept: Kept, indexes: dict[str, str]) -> Store:
    return Store(kept.writer.contents, dict, indexes)


def find(store: Store, name: str) -> dict[str, list[str]]:
    return {value: store.index_keys(name, value) for value in store.index_values(name)}


def expected(kept: Kept, value_of) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, each in sorted(kept.store.items()):
        for value in value_of(each):
            found.setdefault(value, []).append(key)
    return found


def node(found):
    return [found["spec"]["nodeName"]]


def image(found):
    return sorted({each["image"] for each in found["spec"]["containers"]})


def app_of(found):
    return [app] if (app := found["metadata"].get("labels", {}).get("example.com/app")) else []


async def test_an_added_index_has_the_objects_from_before(kept):
    await kept.writer.add_indexes(NODE | IMAGE)
    by_other_names = handle(kept, {"of node": NODE["node"], "of image": IMAGE["image"]})
    assert find(by_other_names, "of node") == expected(kept, node)
    assert find(by_other_names, "of image") == expected(kept, image)
    kept.live("MODIFIED", pod("p0", "n7", "redis", rv=2))
    kept.live("DELETED", pod("p1", "n1", rv=3))
    assert find(by_other_names, "of node") == expected(kept, node)
    assert find(by_other_names, "of image") == expected(kept, image)


async def test_writes_during_a_build_are_in_the_index(kept, slices):
    adding = asyncio.create_task(kept.writer.add_indexes(NODE | IMAGE))
    for i in range(10):
        await asyncio.sleep(0)
        assert not adding.done()
        kept.live("MODIFIED", pod(f"p{i}", "n9", f"new-{i}", rv=i + 2))
        kept.live("DELETED", pod(f"p{29 - i}", "n9", rv=i + 2))
        kept.live("ADDED", pod(f"q{i}", "n8", "late", rv=2))
    kept.writer.begin("")
    kept.writer.apply("", batch(pod("p5", "n5", "list", rv=50), pod("z", "n5")), initial=True)
    await asyncio.sleep(0)
    assert not adding.done()
    kept.commit("")
    await adding
    store = handle(kept, NODE | IMAGE)
    assert find(store, "node") == expected(kept, node) == {"n5": ["shop/p5", "shop/z"]}
    assert find(store, "image") == expected(kept, image) == {"list": ["shop/p5"]}


async def test_an_index_cannot_be_read_before_it_is_complete(kept, slices):
    store = handle(kept, NODE | APP)
    adding = asyncio.create_task(kept.writer.add_indexes(NODE | APP))
    while not adding.done():
        for read in (store.index_values, lambda name: store.index(name, "n1"), lambda name: store.index_keys(name, "")):
            with pytest.raises(KinformError, match=r"^store: index 'node' is not built yet"):
                read("node")
        assert len(list(store.items(label_selector="example.com/app=a1"))) == 15
        await asyncio.sleep(0)
    assert len(store.index("node", "n1")) == 10
    with pytest.raises(OptionError, match="'node' or 'app'"):
        store.index_keys("nodes", "n1")


async def test_a_path_that_is_indexed_already_is_not_built_again(kept, monkeypatch):
    await kept.writer.add_indexes(NODE)
    numbers = dict(kept.writer.contents.indexes.complete)
    monkeypatch.setattr(kept.writer.contents.indexes, "_load", None)
    await kept.writer.add_indexes({"the same": NODE["node"]})
    await kept.writer.drop_indexes(NODE)
    assert kept.writer.contents.indexes.complete == numbers
    assert find(handle(kept, NODE), "node") == expected(kept, node)


async def test_the_last_user_of_an_index_frees_it(kept, slices):
    assert kept.writer.memory_usage().index_bytes == 0
    await kept.writer.add_indexes(NODE)
    alone = kept.writer.memory_usage().index_bytes
    await kept.writer.add_indexes(IMAGE | APP)
    await kept.writer.add_indexes(IMAGE)
    await kept.writer.drop_indexes(IMAGE | APP)
    store = handle(kept, NODE | IMAGE | APP)
    assert find(store, "image") == expected(kept, image)
    assert "app" not in find(store, "node")
    with pytest.raises(KinformError, match="its informer has stopped"):
        store.index_keys("app", "a1")
    await kept.writer.drop_indexes(IMAGE)
    assert find(store, "node") == expected(kept, node)
    assert kept.writer.memory_usage().index_bytes <= alone + 1024
    await kept.writer.drop_indexes(NODE)
    assert kept.writer.memory_usage().index_bytes == 0
    kept.live("MODIFIED", pod("p1", "n9", rv=2))
    assert kept.store.meta("shop/p1").resource_version == "2"


async def test_a_thousand_handles_leave_nothing(kept):
    await kept.writer.add_indexes(NODE)
    before = kept.writer.memory_usage()
    for i in range(1_000):
        extra = {"extra": f"spec.containers[*].image{i}"} | APP
        await kept.writer.add_indexes(extra)
        await kept.writer.drop_indexes(extra)
    after = kept.writer.memory_usage()
    assert after.held_bytes <= before.held_bytes + 1024
    assert len(kept.writer.contents.indexes.complete) == 1


async def test_a_cancelled_add_adds_nothing(kept, slices):
    await kept.writer.add_indexes(NODE)
    before = kept.writer.memory_usage().index_bytes
    adding = asyncio.create_task(kept.writer.add_indexes(NODE | IMAGE))
    waiting = asyncio.create_task(kept.writer.add_indexes(APP))
    for _ in range(10):
        await asyncio.sleep(0)
    adding.cancel()
    waiting.cancel()
    await asyncio.wait([adding, waiting])
    assert adding.cancelled()
    assert waiting.cancelled()
    assert kept.writer.memory_usage().index_bytes <= before + 1024
    await kept.writer.drop_indexes(NODE)
    assert kept.writer.memory_usage().index_bytes == 0


async def test_a_cancelled_drop_is_finished_by_the_next_call(kept, slices):
    await kept.writer.add_indexes(NODE | IMAGE)
    dropping = asyncio.create_task(kept.writer.drop_indexes(IMAGE))
    await asyncio.sleep(0)
    dropping.cancel()
    await asyncio.wait([dropping])
    assert find(handle(kept, NODE), "node") == expected(kept, node)
    await kept.writer.add_indexes(IMAGE)
    assert find(handle(kept, IMAGE), "image") == expected(kept, image)
    await kept.writer.drop_indexes(NODE | IMAGE)
    assert kept.writer.memory_usage().index_bytes == 0


async def test_an_index_beyond_the_memory_limit_is_refused(kept):
    kept.writer.memory_limit = kept.writer.memory_usage().held_bytes + 100
    with pytest.raises(MemoryLimitError, match="held_bytes"):
        await kept.writer.add_indexes(IMAGE)
    assert kept.writer.memory_usage().index_bytes == 0
    kept.live("MODIFIED", pod("p1", "n1", "nginx", rv=2))


async def test_a_refused_index_changes_nothing(kept):
    await kept.writer.add_indexes(NODE)
    overlapping = {str(n): "[*]" * n + "." * (n > 0) + "a" + "[*]" * (12 - n) + f".z{n}" for n in range(13)}
    for bad in ({"": "spec.nodeName"}, {"x": "spec..x"}, {"x": "metadata.labels"}, overlapping):
        with pytest.raises(OptionError, match="indexes"):
            await kept.writer.add_indexes(bad)
    assert find(handle(kept, NODE), "node") == expected(kept, node)
    await kept.writer.drop_indexes(NODE)
    assert kept.writer.memory_usage().index_bytes == 0


async def test_adopted_contents_get_indexes_added_meanwhile(kept):
    await kept.writer.add_indexes(NODE)
    taken = Kept()
    await taken.writer.add_indexes(NODE)
    loaded = taken.writer.contents.empty_copy()
    load(Dump(kept.writer.contents.table), loaded.table)
    await taken.writer.add_indexes(IMAGE | {"by node": NODE["node"]})
    await taken.writer.adopt(loaded, {"": 0})
    store = handle(taken, NODE | IMAGE)
    assert find(store, "node") == expected(kept, node)
    assert find(store, "image") == expected(kept, image)
    await taken.writer.drop_indexes(IMAGE)
    await taken.writer.drop_indexes(NODE)
    assert find(store, "node") == expected(kept, node)
    await taken.writer.drop_indexes(NODE)
    assert taken.writer.memory_usage().index_bytes == 0


async def test_threads_read_right_values_while_indexes_come_and_go(kept, slices):
    stop, wrong, reads = threading.Event(), [], [0]
    store = handle(kept, NODE | APP)
    want = {"n0": [f"shop/p{i}" for i in sorted(range(0, 30, 3), key=str)]}

    def read():
        while not stop.is_set():
            try:
                found = store.index_keys("node", "n0")
                reads[0] += 1
            except KinformError:
                found = want["n0"]
            labelled = sum(1 for _ in store.items(label_selector="example.com/app=a1"))
            if found != want["n0"] or labelled != 15:
                wrong.append((found, labelled))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    while reads[0] < 300 and not wrong:
        await kept.writer.add_indexes(NODE | APP)
        await asyncio.sleep(0.001)
        await kept.writer.drop_indexes(NODE | APP)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


async def test_random_adds_drops_and_writes_agree_with_a_scan(kept, slices):
    seed = int(os.environ.get("KINFORM_SEED", "20261128"))
    rng = random.Random(seed)
    every = NODE | IMAGE | APP
    value_of = {"node": node, "image": image, "app": app_of}
    users: dict[str, int] = dict.fromkeys(every, 0)
    store = handle(kept, every)
    version = 1

    async def change(name: str) -> None:
        if users[name] and rng.random() < 0.6:
            users[name] -= 1
            await kept.writer.drop_indexes({name: every[name]})
        else:
            await kept.writer.add_indexes({"x": every[name]})
            users[name] += 1

    for _ in range(100):
        tasks = [asyncio.create_task(change(rng.choice(list(every)))) for _ in range(rng.randrange(3))]
        while not all(task.done() for task in tasks):
            version += 1
            app = rng.choice([None, "a1", "a2"])
            found = pod(f"p{rng.randrange(40)}", f"n{rng.randrange(4)}", f"i{rng.randrange(5)}", rv=version, app=app)
            verb = rng.choice(["MODIFIED", "MODIFIED", "DELETED"])
            kept.writer.apply("", events([(verb, found)]), initial=False)
            await asyncio.sleep(0)
        for task in tasks:
            task.result()
        for name, count in users.items():
            if count:
                assert find(store, name) == expected(kept, value_of[name]), f"KINFORM_SEED={seed}"
        complete = kept.writer.contents.indexes.complete
        assert len(complete) == sum(count > 0 for count in users.values()), f"KINFORM_SEED={seed}"


async def test_indexes_belong_to_the_thread_that_writes(kept):
    def add() -> None:
        asyncio.run(kept.writer.add_indexes(NODE))

    await kept.writer.add_indexes(IMAGE)
    with pytest.raises(KinformError, match="thread"):
        await asyncio.to_thread(add)


async def test_indexes_of_an_empty_store_are_there_at_once():
    writer = Writer(StoreContents("v1/pods", {}))
    store = Store(writer.contents, dict, NODE)
    await writer.add_indexes(NODE)
    writer.apply("", batch(pod("a", "n1"), verb="ADDED"), initial=False)
    assert store.index_keys("node", "n1") == ["shop/a"]
