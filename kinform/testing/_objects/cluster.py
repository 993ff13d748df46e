"""A cluster: its workloads and their pods.

Namespaces and replicas have a long tail. Everything follows from the seed, in one order: the first thousand pods do not
depend on how many follow. New templates are frequent among the first pods and rare later: about 150 with 160 pods, 450
with 20,000, 800 with 300,000. There is a node for 40 pods, and each node has a pod of every DaemonSet that selects it.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator

import msgspec

from kinform.testing._objects import words
from kinform.testing._objects.charts import Chart
from kinform.testing._objects.containers import SIDECARS, Sidecar
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.random_values import NOW, chance, past_time, pick, suffix, uid
from kinform.testing._objects.topology import ClusterNode, Namespace, namespace_at, node_at
from kinform.testing._objects.workloads import Workload

PODS_PER_NODE = 40
NODES_IN_USE = 12
"""The number of youngest nodes that the next pod may be bound to."""
CHARTS = 14
FIRST_PODS, FIRST_TEMPLATE_RATE, TEMPLATE_GROWTH = 160, 0.84, 0.22
"""This share of the first pods has a new template; then the number of templates grows with this power of the pods."""
GENERAL_DAEMON_SETS = 8
"""The number of DaemonSets that run on all nodes; the others select some nodes."""
MIN_RANK = 0.012
"""Limits the head of the long tail: the largest workload has about a twentieth of the pods."""
KINDS = ("Deployment",) * 13 + ("StatefulSet",) * 3 + ("Job",) * 3 + ("",)
REPLICA_WEIGHTS = {"Deployment": 1.0, "StatefulSet": 0.2, "Job": 0.25, "": 0.0}
# The generalised golden ratio in two dimensions. It spreads the ranks and sizes of the first workloads evenly, so that
# no seed has only large pods by chance.
RANK_STEP, SIZE_STEP = 0.7548776662466927, 0.5698402909980532


class Instance(msgspec.Struct):
    """A pod before it is written out.

    Attributes:
        index: Its number among the pods of its workload.
        owner: The ownerReference to its controller; None for a bare pod.
        created: In seconds since 1970.
        state: `"running"`, `"succeeded"`, `"failed"`, `"crashing"`, `"pulling"` or `"unscheduled"`.
    """

    workload: Workload
    index: int
    name: str
    uid: str
    node: ClusterNode
    address: str
    owner: Object | None
    created: int
    state: str


class Cluster:
    """The cluster of a seed. Creates workloads, namespaces and nodes on demand."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = random.Random(f"{seed} cluster")
        sidecars = [Sidecar(rng, name, "registry.example.com") for name in SIDECARS]
        self._charts = [Chart(rng, number, sidecars) for number in range(CHARTS)]
        self._first_rank, self._first_size = rng.random(), rng.random()
        self._workloads, self._names = list[Workload](), set[tuple[str, str]]()
        self._daemon_sets = self._node_workloads(rng, "DaemonSet")
        self._static_pods = self._node_workloads(rng, "Node")
        self._addresses = dict[str, int]()
        self._nodes, self._namespaces = list[ClusterNode](), list[Namespace]()

    def namespace(self, number: int) -> Namespace:
        """Returns a namespace."""
        while len(self._namespaces) <= number:
            self._namespaces.append(namespace_at(self.seed, len(self._namespaces)))
        return self._namespaces[number]

    def node(self, number: int) -> ClusterNode:
        """Returns a node."""
        while len(self._nodes) <= number:
            self._nodes.append(node_at(self.seed, len(self._nodes)))
        return self._nodes[number]

    def workload(self, number: int) -> Workload:
        """Returns a workload that is neither a DaemonSet nor a static pod."""
        while len(self._workloads) <= number:
            self._workloads.append(self._next_workload())
        return self._workloads[number]

    def replica_weight(self, number: int) -> float:
        """Returns the number of a workload's replicas relative to the others."""
        rank = (self._first_rank + number * RANK_STEP) % 1.0
        return REPLICA_WEIGHTS[self.workload(number).kind] / (rank + MIN_RANK)

    def _next_workload(self) -> Workload:
        number = len(self._workloads)
        rng = random.Random(f"{self.seed} workload {number}")
        drawn = rng.random()
        namespace = self.namespace(int(drawn * drawn * (16 + number * 0.35)))
        product = namespace.product if namespace.stage != "tenant" and chance(rng, 0.6) else pick(rng, words.PRODUCTS)
        name = f"{product}-{pick(rng, words.ROLES)}"
        if (namespace.name, name) in self._names:
            name = f"{product}-{pick(rng, words.NOUNS)}-{number}-{pick(rng, words.ROLES)}"
        self._names.add((namespace.name, name))
        return Workload(rng, pick(rng, KINDS), name, namespace, self._charts[(number * 5) % CHARTS], self._size(number))

    def _size(self, number: int) -> float:
        return (self._first_size + number * SIZE_STEP) % 1.0

    def _node_workloads(self, rng: random.Random, kind: str) -> list[Workload]:
        names, workloads = (words.DAEMON_SETS if kind == "DaemonSet" else words.STATIC_PODS), list[Workload]()
        for number, name in enumerate(names):
            in_namespace = int(rng.random() * len(words.SYSTEM_NAMESPACES)) if kind == "DaemonSet" else 0
            namespace, chart = namespace_at(self.seed, in_namespace), self._charts[number % CHARTS]
            workloads.append(Workload(rng, kind, name, namespace, chart, self._size(number)))
        return workloads

    def instances(self) -> Iterator[Instance]:
        """Yields pods without end."""
        rng, indexes = random.Random(f"{self.seed} instances"), dict[int, int]()
        cumulative_weights, templates_due, nodes = list[float](), 0.0, 0
        pending = deque[tuple[Workload, ClusterNode]]()

        def instance(workload: Workload, node: ClusterNode) -> Instance:
            index = indexes[id(workload)] = indexes.get(id(workload), -1) + 1
            return self._instance(rng, workload, index, node)

        for number in itertools.count():
            while nodes < max(3, number // PODS_PER_NODE + 1):
                pending.extend(self._node_pods(rng, nodes))
                nodes += 1
            templates_due += FIRST_TEMPLATE_RATE if number < FIRST_PODS else TEMPLATE_GROWTH * templates_due / number
            known = len(cumulative_weights)
            if templates_due >= known + 1 or not cumulative_weights or not cumulative_weights[-1]:
                weight = self.replica_weight(known)
                cumulative_weights.append((cumulative_weights[-1] if cumulative_weights else 0.0) + weight)
                workload = self.workload(known)
            elif pending and chance(rng, 0.45):
                yield instance(*pending.popleft())
                continue
            else:
                workload = self.workload(bisect_right(cumulative_weights, rng.random() * cumulative_weights[-1]))
            yield instance(workload, self.node(nodes - 1 - int(rng.random() * min(nodes, NODES_IN_USE))))

    def _node_pods(self, rng: random.Random, number: int) -> Iterator[tuple[Workload, ClusterNode]]:
        """Yields the static pods and the DaemonSets of a node."""
        node = self.node(number)
        for static in self._static_pods if number < 3 else []:
            yield static, node
        for rank, daemon_set in enumerate(self._daemon_sets):
            if rank < GENERAL_DAEMON_SETS or rng.random() < 1.2 / (rank - GENERAL_DAEMON_SETS + 3):
                yield daemon_set, node

    def _instance(self, rng: random.Random, workload: Workload, index: int, node: ClusterNode) -> Instance:
        owner: Object | None = workload.owner
        with_workload = rng.random() < 0.6
        within = 900 if with_workload else NOW - 600 - workload.created
        created = workload.created + int(rng.random() * within)
        match workload.kind:
            case "StatefulSet":
                name = f"{workload.name}-{index}"
            case "":
                name, owner = workload.name, None
            case "Node":
                name = f"{workload.name}-{node.name}"
                owner = {**workload.owner, "name": node.name, "uid": node.uid}
            case "Job":
                created = past_time(rng, 7)
                job = f"{workload.name}-{created // 60 - index % 7}{index}"
                owner = {**workload.owner, "name": job, "uid": uid(rng)}
                name = f"{job}-{suffix(index, len(workload.name))}"
            case "Deployment":
                name = f"{workload.revision_name}-{suffix(index, workload.created)}"
            case _:
                name = f"{workload.name}-{suffix(index, workload.created)}"
        address = node.address
        if not workload.host_network:
            offset = self._addresses[node.name] = self._addresses.get(node.name, node.created) + 97
            address = f"{node.pod_prefix}{2 + offset % 250}"
        return Instance(workload, index, name, uid(rng), node, address, owner, created, _state(rng, workload))


def _state(rng: random.Random, workload: Workload) -> str:
    drawn = rng.random()
    if workload.kind == "Job":
        return "succeeded" if drawn < 0.8 else "failed" if drawn < 0.88 else "running"
    if workload.kind in ("DaemonSet", "Node"):
        return "running"
    limits = ((0.004, "unscheduled"), (0.01, "pulling"), (0.018, "failed"), (0.035, "crashing"))
    return next((state for limit, state in limits if drawn < limit), "running")
