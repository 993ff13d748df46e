"""The indexes of a store: which objects a value finds, and when."""

from __future__ import annotations

import json
import os
import random

import pytest

from kinform._errors import OptionError
from kinform._store import writer
from tests.core.kept_store import Kept
from tests.core.pods import pod
from tests.core.wire import batch, events, obj
from tests.support.oracles.store import StoreOracle


class TestIndexes:
    @pytest.fixture
    def kept(self):
        kept = Kept(indexes={"node": "spec.nodeName", "image": "spec.containers[*].image"})
        kept.relist(pod("a", "n1", "nginx", "redis"), pod("b", "n1", "nginx"), pod("c", "n2"))
        return kept

    def test_find_objects_by_value(self, kept):
        assert kept.store.index_keys("node", "n1") == ["shop/a", "shop/b"]
        assert [pod["metadata"]["name"] for pod in kept.store.index("image", "redis")] == ["a"]
        assert kept.store.index_values("image") == ["nginx", "redis"]

    def test_remove_old_values(self, kept):
        kept.live("MODIFIED", pod("a", "n2", "redis", rv=2))
        assert kept.store.index_keys("image", "nginx") == ["shop/b"]
        kept.live("DELETED", pod("b", "n1", rv=3))
        assert kept.store.index_values("image") == ["redis"]
        assert kept.store.index_values("node") == ["n2"]

    def test_survive_a_relist(self, kept):
        kept.relist(pod("a", "n1", "nginx", "redis"), pod("d", "n3", "nginx"))
        assert kept.store.index_keys("image", "nginx") == ["shop/a", "shop/d"]
        assert kept.store.index_values("node") == ["n1", "n3"]

    def test_an_unknown_index_is_refused_by_name(self, kept):
        with pytest.raises(OptionError, match="'node' or 'image'"):
            kept.store.index_keys("nodes", "n1")


def test_100_000_random_operations_agree_with_the_oracle(monkeypatch):
    seed = int(os.environ.get("KINFORM_SEED", "20261122"))
    rng = random.Random(seed)
    monkeypatch.setattr(writer, "SWEEP_OBJECTS", 5)
    kept = Kept(indexes={"node": "spec.nodeName", "image": "spec.containers[*].image", "app": "metadata.labels.app"})
    oracle = StoreOracle()
    values = {
        "node": lambda found: iter([found["spec"]["nodeName"]]),
        "image": lambda found: (each["image"] for each in found["spec"]["containers"]),
    }
    opened = []
    version = 0

    def draw(stream):
        nonlocal version
        version += 1
        name = f"p{rng.randrange(60)}"
        uid = f"uid-{name}-{rng.randrange(2)}"
        images = [{"image": f"i{rng.randrange(4)}"} for _ in range(rng.randrange(4))]
        spec = {"nodeName": f"n{rng.randrange(5)}", "containers": images}
        found = obj(name, namespace=stream, uid=uid, rv=version, spec=spec)
        found["metadata"]["labels"] = {"app": f"a{rng.randrange(3)}"}
        return found

    def live(stream):
        pairs = [(rng.choice(["ADDED", "MODIFIED", "MODIFIED", "DELETED"]), draw(stream)) for _ in range(10)]
        kept.writer.apply(stream, events(pairs), initial=False)
        oracle.apply_events(stream, pairs)

    def look(name):
        expected = oracle.index(values[name])
        found = {value: kept.store.index_keys(name, value) for value in kept.store.index_values(name)}
        assert found == expected, f"KINFORM_SEED={seed}"
        for value, keys in expected.items():
            state = oracle.state()
            assert kept.store.index(name, value) == [state[key] for key in keys], f"KINFORM_SEED={seed}"

    def open_one(app):
        state = oracle.state().items()
        expected = {key: found for key, found in state if found["metadata"]["labels"]["app"] == app}
        opened.append((kept.store.items(label_selector=f"app={app}"), expected))

    for _ in range(100_000 // 10):
        stream = rng.choice(["shop", "till"])
        dice = rng.random()
        if dice < 0.9:
            live(stream)
        elif dice < 0.91:
            oracle.relist(stream, [])
            while kept.writer.drop(stream):
                if rng.random() < 0.1:
                    look(rng.choice(["node", "image"]))
        else:
            present = [found for _, found in oracle.objects(stream)]
            chosen = [found if rng.random() < 0.7 else draw(stream) for found in present if rng.random() < 0.9]
            kept.writer.begin(stream)
            for at in range(0, len(chosen), 7):
                kept.writer.apply(stream, batch(*chosen[at : at + 7]), initial=True)
            if rng.random() < 0.05:
                look(rng.choice(["node", "image"]))
            if rng.random() < 0.2:
                kept.writer.abort(stream)
            else:
                kept.writer.commit(stream)
                oracle.relist(stream, chosen)
                while kept.writer.sweep(stream):
                    if rng.random() < 0.02:
                        look(rng.choice(["node", "image"]))
                    if rng.random() < 0.1:
                        live(stream)
        if rng.random() < 0.01:
            open_one(f"a{rng.randrange(3)}")
        if opened and rng.random() < 0.02:
            items, expected = opened.pop(rng.randrange(len(opened)))
            assert dict(items) == expected, f"KINFORM_SEED={seed}"
        assert sorted(kept.notified(), key=str) == sorted(oracle.take_changes(), key=str), f"KINFORM_SEED={seed}"
        if rng.random() < 0.05:
            assert {key: json.loads(kept.store.raw(key)) for key in kept.store} == oracle.state(), (
                f"KINFORM_SEED={seed}"
            )
            look("node")
            look("image")
