"""The store of a running informer: snapshots, and the cache of decoded objects."""

from __future__ import annotations

import pytest

import kinform
from kinform.testing import Server
from tests.net.informers import expected_object, in_sync, quick
from tests.support.waiting import until

PODS = "v1/pods"


@pytest.fixture
async def server():
    async with Server() as server:
        server.generate(PODS, 30, namespace="shop")
        yield server


async def test_a_snapshot_keeps_its_state_through_a_relist(server):
    async with kinform.connect(server.url) as api, kinform.Informer(api, PODS, options=quick()) as pods:
        await pods.synced(timeout=10)
        state, keys = pods.store.snapshot(), set(pods.store)
        expected = {key: expected_object(server, PODS, key) for key in keys}
        for key in sorted(keys)[:10]:
            server.delete(PODS, key)
        server.generate(PODS, 10, namespace="till")
        server.compact()
        server.disconnect()
        await until(lambda: in_sync(pods.store, server, PODS))
        assert state == expected
        assert len(state.keys() - pods.store.keys()) == 10
        assert pods.stats().memory.limbo_bytes > 0


async def test_an_informer_counts_the_reads_of_its_cache(server):
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, PODS, options=quick(), decoded_cache=100) as pods,
        kinform.Informer(api, PODS, options=quick()) as plain,
    ):
        await pods.synced(timeout=10)
        await plain.synced(timeout=10)
        for _ in range(3):
            assert dict(pods.store.items()) == dict(plain.store.items())
        stats = pods.stats().decoded_cache
        assert stats is not None
        assert (stats.objects, stats.hits, stats.misses) == (30, 60, 30)
        assert plain.stats().decoded_cache is None
        with pytest.raises(kinform.OptionError, match="decoded_cache"):
            kinform.Informer(api, PODS, decoded_cache=0)


@pytest.mark.parametrize("start", ["eager", "lazy"])
async def test_a_selector_of_pruned_labels_raises(server, start):
    prune = kinform.Prune(drop=["metadata.labels"])
    async with (
        kinform.connect(server.url) as api,
        kinform.Informer(api, PODS, options=quick(), prune=prune, start=start) as pods,
        kinform.Informer(api, PODS, options=quick(), scope=kinform.Scope(metadata_only=True), start=start) as partial,
    ):
        for informer in (pods, partial):
            await informer.synced(timeout=10)
        with pytest.raises(kinform.OptionError, match=r"label_selector: '!app' .* metadata\.labels\.app"):
            pods.store.items(label_selector="!app")
        assert len(list(partial.store.items(label_selector="!none"))) == 30
