"""The store as a mapping: views and snapshots that show one state."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections.abc import ItemsView, KeysView, Mapping, ValuesView

import pytest

from kinform._errors import DecodeError, OptionError
from kinform._options import Prune
from kinform._store.reader import Store
from kinform._store.reader import store as make_store
from tests.core.kept_store import Kept
from tests.core.pods import Pod
from tests.core.wire import batch, obj
from tests.ext.resembling import take


@pytest.fixture
def kept():
    kept = Kept()
    kept.writer.listener = None
    kept.relist(obj("a"), obj("b"), obj("c"), obj("d", namespace="till"))
    return kept


def change_all(kept: Kept) -> None:
    kept.live("MODIFIED", obj("a", rv=2, changed=True))
    kept.live("DELETED", obj("b", rv=3))
    kept.live("ADDED", obj("z"))
    kept.relist(obj("c", rv=4, changed=True), obj("y"), obj("d", namespace="till"))


def limbo(kept: Kept) -> int:
    return kept.writer.memory_usage().limbo_bytes


BEFORE = ["shop/a", "shop/b", "shop/c", "till/d"]


class TestStore:
    @pytest.mark.parametrize("key", [("shop", "a"), ["shop", "a"], 7, None, b"shop/a"])
    @pytest.mark.parametrize("own_writes", [False, True])
    def test_a_key_that_is_no_string_raises(self, kept, key, own_writes):
        cached = Store(kept.writer.contents, dict, decoded_cache=10)
        if own_writes:
            kept.writer.expect("", batch(obj("b", rv=9)), excluded=False)
        for store in (kept.store, cached):
            for read in (store.__getitem__, store.get, store.raw, store.meta):
                with pytest.raises(OptionError, match=r'^key: .*"namespace/name"') as caught:
                    read(key)
                assert caught.value.value == key
            assert key not in store

    @pytest.mark.parametrize(
        ("prune", "selector", "dropped"),
        [
            (Prune(drop=["metadata.labels"]), "app=web", "metadata.labels.app"),
            (Prune(drop=["metadata.labels"]), "!app", "metadata.labels.app"),
            (Prune(keep=["spec"]), "tier,app in (web, db)", "metadata.labels.tier"),
            (Prune(keep=["metadata.labels.app"]), "app=web,rank>2", "metadata.labels.rank"),
            (Prune(drop=['metadata.labels["example.com/rank"]']), "example.com/rank<2", "example.com/rank"),
        ],
    )
    def test_a_selector_of_dropped_labels_raises(self, kept, prune, selector, dropped):
        store = Store(kept.writer.contents, dict, prune=prune)
        for read in (store.items, store.values):
            with pytest.raises(OptionError, match=re.escape(dropped)) as caught:
                read(label_selector=selector)
            assert (caught.value.field, caught.value.value) == ("label_selector", selector)

    def test_a_selector_of_labels_that_are_kept_selects(self, kept):
        labelled = obj("b", rv=2)
        labelled["metadata"]["labels"] = {"app": "web"}
        kept.live("MODIFIED", labelled)
        for prune in (Prune(drop=["status", "metadata.labels.tier"]), Prune(keep=["metadata.labels.app"])):
            store = Store(kept.writer.contents, dict, prune=prune)
            assert [key for key, _ in store.items(label_selector="app=web")] == ["shop/b"]

    def test_is_a_mapping(self, kept):
        assert isinstance(kept.store, Mapping)
        assert list(kept.store) == list(kept.store.keys()) == BEFORE
        assert len(kept.store) == 4
        assert "shop/a" in kept.store
        assert 7 not in kept.store
        assert dict(kept.store) == {**kept.store} == dict(kept.store.items())
        match kept.store:
            case {"shop/a": {"metadata": {"name": name}}}:
                assert name == "a"

    def test_get_returns_the_default_for_a_missing_key(self, kept):
        assert kept.store.get("shop/x") is None
        assert kept.store.get("shop/x", 7) == 7
        assert kept.store.get("shop/x", default={}) == {}
        assert kept.store.get("shop/a", 7)["metadata"]["name"] == "a"

    def test_is_equal_to_itself_only_and_has_a_hash(self, kept):
        other = Kept()
        assert kept.store == kept.store
        assert kept.store != other.store
        assert kept.store != dict(kept.store)
        assert len({kept.store, other.store, kept.store}) == 2


class TestViews:
    def test_have_the_types_and_lengths_of_dict_views(self, kept):
        keys, items, values = kept.store.keys(), kept.store.items(), kept.store.values()
        for view, kind in ((keys, KeysView), (items, ItemsView), (values, ValuesView)):
            assert isinstance(view, kind)
            assert len(view) == 4

    def test_show_the_state_of_the_call_at_each_use(self, kept):
        expected = dict(kept.store.items())
        keys, items, values = kept.store.keys(), kept.store.items(), kept.store.values()
        for _ in range(3):
            assert list(keys) == BEFORE
            assert list(items) == list(expected.items())
            assert list(values) == list(expected.values())
            assert len(keys) == len(items) == len(values) == 4
            change_all(kept)

    def test_two_iterations_of_a_view_are_independent(self, kept):
        keys = kept.store.keys()
        first, second = iter(keys), iter(keys)
        assert next(first) == next(second) == "shop/a"
        change_all(kept)
        assert list(zip(first, second, strict=True)) == [(key, key) for key in BEFORE[1:]]

    def test_keys_have_the_operations_of_sets(self, kept):
        keys = kept.store.keys()
        change_all(kept)
        assert keys & {"shop/a", "shop/z"} == {"shop/a"}
        assert keys | {"x"} == {*BEFORE, "x"}
        assert keys - {"shop/a"} == {*BEFORE[1:]}
        assert {"shop/a", "shop/z"} - keys == {"shop/z"}
        assert keys ^ {"shop/a"} == {*BEFORE[1:]}
        assert keys >= {"shop/a"}
        assert keys == set(BEFORE)
        assert keys != kept.store.keys()
        assert keys.isdisjoint({"shop/z"})

    def test_contain_what_they_iterate_over(self, kept):
        keys, items, values = kept.store.keys(), kept.store.items(), kept.store.values()
        expected = dict(items)
        change_all(kept)
        for key, found in expected.items():
            assert key in keys
            assert (key, found) in items
            assert found in values
        for key in ("shop/z", "shop/y", "a", "", "shop/", "/a", "no/a"):
            assert key not in keys
            assert (key, {}) not in items
        assert 7 not in keys
        assert (7, {}) not in items
        assert kept.store["shop/c"] not in values

    def test_of_a_namespace_have_only_its_keys(self, kept):
        keys, items, values = kept.store.keys("till"), kept.store.items(namespace="till"), kept.store.values("till")
        kept.live("DELETED", obj("d", namespace="till", rv=2))
        assert list(keys) == ["till/d"]
        assert [key for key, _ in items] == ["till/d"]
        assert len(values) == 1
        assert "shop/a" not in keys
        assert "till/d" in keys
        assert list(kept.store.keys("nowhere")) == []
        assert "till/d" not in kept.store.keys("nowhere")

    def test_of_selected_objects_repeat_their_state(self, kept):
        labelled = obj("b", rv=2)
        labelled["metadata"]["labels"] = {"app": "web"}
        kept.live("MODIFIED", labelled)
        items = kept.store.items(label_selector="!app")
        values = kept.store.values("shop", on_undecodable="skip")
        change_all(kept)
        for _ in range(2):
            assert sorted(key for key, _ in items) == ["shop/a", "shop/c", "till/d"]
            assert sorted(found["metadata"]["name"] for found in values) == ["a", "b", "c"]
        with pytest.raises(TypeError, match="len"):
            len(items)
        with pytest.raises(OptionError, match="on_undecodable"):
            kept.store.values(on_undecodable="ignore")

    def test_repr_shows_no_contents(self, kept):
        kept.live("MODIFIED", obj("a", rv=2, password="hunter2"))
        for each in (
            kept.store,
            kept.store.keys(),
            kept.store.items(),
            kept.store.values(),
            kept.store.items(label_selector="a"),
            kept.store.snapshot(),
        ):
            assert "hunter2" not in repr(each)

    def test_an_iteration_frees_what_it_has_passed(self):
        kept = Kept()
        kept.relist(*take("pods", 300))
        kept.writer.listener = None
        kept.changes.clear()
        for start in (
            lambda: iter(kept.store.items()),
            lambda: iter(kept.store.values()),
            lambda: iter(kept.store.keys()),
            lambda: iter(kept.store.snapshot()),
            lambda: iter(kept.store.snapshot().items()),
            lambda: iter(kept.store.items(label_selector="a!=b")),
        ):
            iteration = start()
            next(iteration)
            kept.relist(*take("pods", 300, seed=2))
            pinned = limbo(kept)
            assert pinned > 0
            for _ in range(200):
                next(iteration)
            assert limbo(kept) < pinned
            del iteration
            assert limbo(kept) - kept.writer.memory_usage().hidden_bytes == 0
            kept.relist(*take("pods", 300))


class TestSnapshot:
    def test_is_a_mapping_that_never_changes(self, kept):
        state, expected = kept.store.snapshot(), dict(kept.store.items())
        assert isinstance(state, Mapping)
        for _ in range(3):
            assert len(state) == 4
            assert list(state) == list(state.keys()) == BEFORE
            assert dict(state) == dict(state.items()) == expected
            assert list(state.values()) == list(expected.values())
            assert {key: state[key] for key in BEFORE} == expected
            assert state.get("shop/z") is None
            assert state.get("shop/z", 7) == 7
            assert state.get("shop/b") == expected["shop/b"]
            assert "shop/b" in state
            assert "shop/z" not in state
            with pytest.raises(KeyError, match="shop/z"):
                state["shop/z"]
            change_all(kept)
        assert not hasattr(state, "__setitem__")

    def test_compares_by_contents_and_has_no_hash(self, kept):
        state = kept.store.snapshot()
        change_all(kept)
        assert state == {key: obj(key[5:], namespace=key[:4]) for key in BEFORE}
        assert state != kept.store.snapshot()
        assert kept.store.snapshot() == kept.store.snapshot()
        with pytest.raises(TypeError, match="unhashable"):
            hash(state)

    @pytest.mark.parametrize("end", ["commit", "abort"])
    def test_finds_its_versions_in_each_phase_of_a_relist(self, kept, end):
        expected = dict(kept.store.items())
        states = [(kept.store.snapshot(), expected)]

        def check() -> None:
            states.append((kept.store.snapshot(), dict(kept.store.items())))
            for state, expected in states:
                assert {key: state[key] for key in expected} == expected
                assert len(state) == len(expected)
                for key in ("shop/y", "shop/z"):
                    assert (key in state) == (key in expected)

        kept.writer.begin("")
        kept.writer.apply("", batch(obj("a", rv=5, changed=1), obj("c"), obj("y")), initial=True)
        check()
        if end == "abort":
            kept.writer.abort("")
        else:
            kept.writer.commit("")
            check()
            while kept.writer.sweep(""):
                check()
        check()
        while kept.writer.drop(""):
            check()
        check()

    def test_pins_old_versions_until_it_is_released(self):
        kept = Kept()
        kept.relist(*take("pods", 200))
        kept.writer.listener = None
        kept.changes.clear()
        usage = kept.writer.memory_usage
        state = kept.store.snapshot()
        view, iteration = state.keys(), iter(state.items())
        kept.relist(*take("pods", 200, seed=2))
        assert usage().limbo_bytes - usage().hidden_bytes > 0
        del state
        assert usage().limbo_bytes - usage().hidden_bytes > 0
        del view
        assert usage().limbo_bytes - usage().hidden_bytes > 0
        del iteration
        assert usage().limbo_bytes - usage().hidden_bytes == 0

    def test_an_old_snapshot_finds_what_was_replaced(self):
        rng = random.Random(7)
        kept = Kept()
        kept.writer.listener = None
        kept.relist(*(obj(f"p{i}") for i in range(300)))
        state = kept.store.snapshot()
        for version in range(2, 1_500):
            name = f"p{rng.randrange(350)}"
            kept.live(rng.choice(["MODIFIED", "DELETED"]), obj(name, rv=version))
            key = f"shop/p{rng.randrange(350)}"
            found = state.get(key)
            assert (found is not None) == (int(key[6:]) < 300)
            assert found is None or found["metadata"]["resourceVersion"] == "1"

    def test_an_object_that_does_not_fit_raises_when_it_is_read(self):
        kept = Kept(type=Pod)
        kept.relist(obj("a"), obj("b", replicas="many"))
        state = kept.store.snapshot()
        assert state["shop/a"].metadata.name == "a"
        assert len(state) == len(state.items()) == 2
        with pytest.raises(DecodeError, match="shop/b"):
            state["shop/b"]
        with pytest.raises(DecodeError, match="shop/b"):
            list(state.items())

    async def test_survives_the_adoption_of_other_contents(self, kept):
        state, expected = kept.store.snapshot(), dict(kept.store.items())
        await kept.writer.adopt(kept.writer.contents.empty_copy(), {})
        assert len(kept.store) == 0
        assert state == expected


def test_threads_take_consistent_states_while_a_writer_writes():
    kept = Kept()
    kept.writer.listener = None
    generations = [[obj(f"p{i}", rv=number, number=number) for i in range(40)] for number in range(1, 4)]
    kept.relist(*generations[0])
    stop, wrong, reads = threading.Event(), [], [0]

    def read() -> None:
        while not stop.is_set():
            state = kept.store.snapshot()
            first = {found["metadata"]["resourceVersion"] for found in state.values()}
            again = {state[key]["metadata"]["resourceVersion"] for key in state}
            if len(first) != 1 or first != again or len(state) != 40 or len(kept.store.keys() & state.keys()) != 40:
                wrong.append((first, again))
            reads[0] += 1

    async def write() -> None:
        number = 0
        while reads[0] < 200 and not wrong:
            kept.relist(*generations[number := (number + 1) % 3])
            await asyncio.sleep(0.001)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        asyncio.run(write())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_arguments_of_the_wrong_type_are_refused(kept):
    for read in (kept.store.keys, kept.store.items, kept.store.values):
        with pytest.raises(OptionError, match=r"^namespace: \['shop'\] is not allowed; expected the name of one"):
            read(namespace=["shop"])
    _, indexed = make_store(indexes={"node": "spec.nodeName"})
    for read in (indexed.index, indexed.index_keys):
        with pytest.raises(OptionError, match=r"^value: 3 is not allowed; expected a string, also for numbers"):
            read("node", 3)
    for read in (kept.store.items, kept.store.values):
        for selector in (None, {"app": "web"}, []):
            with pytest.raises(OptionError, match=r"^label_selector: .* expected a string like"):
                read(label_selector=selector)
    with pytest.raises(OptionError, match=r"^index: .* expected 'node'"):
        indexed.index_values(["node"])
    for field, arguments in (("kind", (None, "shop/a")), ("owner", ("ReplicaSet.apps", None))):
        with pytest.raises(OptionError, match=f"^{field}: None is not allowed"):
            kept.store.owned_keys(*arguments)
    with pytest.raises(OptionError, match=r"^name: 3 is not allowed; expected a text"):
        make_store(name=3)


def test_the_repr_of_a_store_has_its_size_and_no_contents(kept):
    assert re.fullmatch(rf"<kinform\.Store of .+: {len(kept.store)} objects>", repr(kept.store))
