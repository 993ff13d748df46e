"""Leader election with the simulator and a real kube-apiserver."""

from __future__ import annotations

from typing import Any

import kinform
from kinform.controllers import LeaderElection
from kinform.controllers._leases.lease_requests import LEASES
from tests.support.clusters import Cluster, RealCluster
from tests.support.waiting import until

QUICK: dict[str, Any] = {"lease_seconds": 8, "renew_deadline": 6, "retry_seconds": 0.2}


async def test_candidates_follow_one_another(cluster: Cluster):
    key = f"{cluster.namespace}/election"
    tokens = []
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        for identity in ("a", "b", "c"):
            async with LeaderElection(api, key, identity=identity, **QUICK).leading() as term:
                tokens.append(term.transitions)
                spec = (await api.get(LEASES, key))["spec"]
                assert (spec["holderIdentity"], spec["leaseTransitions"]) == (identity, term.transitions)
                assert spec["leaseDurationSeconds"] == 8
            spec = (await api.get(LEASES, key))["spec"]
            assert (spec.get("holderIdentity", ""), spec["leaseDurationSeconds"]) == ("", 1)
    assert tokens == [tokens[0], tokens[0] + 1, tokens[0] + 2]


async def test_a_deleted_lease_is_created_by_its_leader(cluster: Cluster):
    key = f"{cluster.namespace}/election"
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        election = LeaderElection(api, key, **QUICK)
        async with election.leading() as term:
            old = await api.get(LEASES, key)
            await api.delete(LEASES, key)

            async def is_new() -> bool:
                try:
                    new = await api.get(LEASES, key)
                except kinform.NotFoundError:
                    return False
                assert new["spec"]["leaseTransitions"] == term.transitions
                return new["metadata"]["uid"] != old["metadata"]["uid"]

            await until(is_new)
        await api.delete(LEASES, key)
        async with LeaderElection(api, key, **QUICK).leading() as later:
            assert later.transitions > term.transitions


async def test_a_changed_lease_keeps_the_changes_and_the_leader(cluster: Cluster):
    key = f"{cluster.namespace}/election"
    async with kinform.connect(cluster.url, **cluster.connect_options) as api:
        election = LeaderElection(api, key, **QUICK)
        async with election.leading() as term:
            await api.patch(LEASES, key, {"metadata": {"labels": {"team": "shop"}}, "spec": {"holderIdentity": None}})

            async def is_held() -> bool:
                lease = await api.get(LEASES, key)
                assert lease["metadata"]["labels"] == {"team": "shop"}
                return lease["spec"].get("holderIdentity") == election.identity

            await until(is_held)
            assert not term.lost.is_set()
            assert election.stats().slow_paths > 0


async def test_the_documented_rights_suffice(real: RealCluster):
    plane = real.control_plane
    await plane.grant("unprivileged", ["get", "create", "update"], groups=["coordination.k8s.io"], resources=["leases"])
    options = real.connect_options_of("unprivileged")
    async with kinform.connect(real.url, token=options["token"], ca=options["ca"]) as api:
        election = LeaderElection(api, f"{real.namespace}/election", **QUICK)
        async with election.leading():
            pass
    await plane.revoke("unprivileged")
    assert election.stats().lost == 0


async def test_events_name_the_leader(real: RealCluster):
    scope = kinform.Scope(namespaces=[real.namespace])
    async with kinform.connect(real.url, **real.connect_options_of("admin")) as api:

        async def notes() -> set[str]:
            events = [event async for event in api.list("events.k8s.io/v1/events", scope=scope)]
            assert all(event["regarding"]["name"] == "election" for event in events)
            return {event["note"] for event in events}

        async def is_reported() -> bool:
            return await notes() == {"a became leader"}

        async with LeaderElection(api, f"{real.namespace}/election", identity="a", **QUICK).leading():
            await until(is_reported)
        assert await notes() == {"a became leader", "a stopped leading"}
