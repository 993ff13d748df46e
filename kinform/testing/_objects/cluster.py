"""A cluster: its workloads, by a long tail over namespaces and replicas, and the instances of them that are pods.

Everything follows from the seed, in one order: what the first thousand pods are does not depend on how many follow.
Templates are many among few pods, and come slowly thereafter: about 150 with 160 pods, 450 with 20,000, 800 with
300,000. Nodes are a fortieth of the pods, and each has a pod of every DaemonSet that is for it.
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
from kinform.testing._objects.containers import INJECTED, Sidecar
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.random_values import NOW, age, chance, pick, suffix, uid
from kinform.testing._objects.topology import Node, Place, node, place
from kinform.testing._objects.workloads import Workload

PODS_A_NODE = 40
FILLING = 12
"""Nodes that pods come to."""
CHARTS = 14
FIRST, NEW_AT_FIRST, NEW_LATER = 160, 0.84, 0.22
"""Of the first pods most have a template of their own; then templates grow with this power of the pods."""
EVERYWHERE = 8
"""DaemonSets for all nodes; the others are for some pools or kinds of machines."""
FLATTEST = 0.012
"""Where the long tail of replicas begins: the most frequent template has about a twentieth of the pods."""
KINDS = ("Deployment",) * 13 + ("StatefulSet",) * 3 + ("Job",) * 3 + ("",)
SHARES = {"Deployment": 1.0, "StatefulSet": 0.2, "Job": 0.25, "": 0.0}
"""How often there are replicas of a kind's workloads, against Deployments."""
# The generalised golden ratio in two dimensions: whatever prefix of workloads is taken, their shares and sizes are
# spread evenly, so that no seed has only large pods by chance.
STEP_OF_SHARES, STEP_OF_SIZES = 0.7548776662466927, 0.5698402909980532


class Instance(msgspec.Struct):
    """A pod, before anything is written of it.

    Attributes:
        turn: Which one it is of its workload.
        owner: Its controller as an ownerReference; none of bare pods.
        state: `"running"`, `"succeeded"`, `"failed"`, `"crashing"`, `"pulling"`, `"unscheduled"`.
    """

    load: Workload
    turn: int
    name: str
    uid: str
    node: Node
    address: str
    owner: Object | None
    begun: int
    state: str


class Cluster:
    """One of a seed. Remembers its workloads and nodes."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = random.Random(f"{seed} cluster")
        sidecars = [Sidecar(rng, name, "registry.example.com") for name in INJECTED]
        self._charts = [Chart(rng, number, sidecars) for number in range(CHARTS)]
        self._phases = rng.random(), rng.random()
        self._loads, self._taken = list[Workload](), set[tuple[str, str]]()
        self._daemons, self._statics = self._everywhere(rng, "DaemonSet"), self._everywhere(rng, "Node")
        self._addresses = dict[str, int]()
        self._nodes, self._places = list[Node](), list[Place]()

    def place(self, number: int) -> Place:
        """A namespace."""
        while len(self._places) <= number:
            self._places.append(place(self.seed, len(self._places)))
        return self._places[number]

    def node(self, number: int) -> Node:
        """A node."""
        while len(self._nodes) <= number:
            self._nodes.append(node(self.seed, len(self._nodes)))
        return self._nodes[number]

    def load(self, number: int) -> Workload:
        """A workload that is not for each node."""
        while len(self._loads) <= number:
            self._loads.append(self._next())
        return self._loads[number]

    def share(self, number: int) -> float:
        """How often a workload is replicated, against others."""
        drawn = (self._phases[0] + number * STEP_OF_SHARES) % 1.0
        return SHARES[self.load(number).kind] / (drawn + FLATTEST)

    def _next(self) -> Workload:
        number = len(self._loads)
        rng = random.Random(f"{self.seed} workload {number}")
        drawn = rng.random()
        where = self.place(int(drawn * drawn * (16 + number * 0.35)))
        first = where.product if where.stage != "tenant" and chance(rng, 0.6) else pick(rng, words.PRODUCTS)
        name = f"{first}-{pick(rng, words.ROLES)}"
        if (where.name, name) in self._taken:
            name = f"{first}-{pick(rng, words.NOUNS)}-{number}-{pick(rng, words.ROLES)}"
        self._taken.add((where.name, name))
        size = (self._phases[1] + number * STEP_OF_SIZES) % 1.0
        return Workload(rng, pick(rng, KINDS), name, where, self._charts[(number * 5) % CHARTS], size)

    def _everywhere(self, rng: random.Random, kind: str) -> list[Workload]:
        names, found = (words.DAEMONS if kind == "DaemonSet" else words.STATIC), list[Workload]()
        for number, name in enumerate(names):
            where = place(self.seed, int(rng.random() * len(words.SYSTEM)) if kind == "DaemonSet" else 0)
            size = (self._phases[1] + number * STEP_OF_SIZES) % 1.0
            found.append(Workload(rng, kind, name, where, self._charts[number % CHARTS], size))
        return found

    def instances(self) -> Iterator[Instance]:
        """Pods without end."""
        rng, turns = random.Random(f"{self.seed} instances"), dict[int, int]()
        known, cumulative, due, nodes = 0, list[float](), 0.0, 0
        for_nodes = deque[tuple[Workload, Node]]()

        def one(load: Workload, on: Node) -> Instance:
            turn = turns[id(load)] = turns.get(id(load), -1) + 1
            return self._instance(rng, load, turn, on)

        for number in itertools.count():
            while nodes < max(3, number // PODS_A_NODE + 1):
                for_nodes.extend(self._for(rng, nodes))
                nodes += 1
            due += NEW_AT_FIRST if number < FIRST else NEW_LATER * due / number
            if due >= known + 1 or not cumulative or not cumulative[-1]:
                cumulative.append((cumulative[-1] if cumulative else 0.0) + self.share(known))
                load, known = self.load(known), known + 1
            elif for_nodes and chance(rng, 0.45):
                yield one(*for_nodes.popleft())
                continue
            else:
                load = self.load(bisect_right(cumulative, rng.random() * cumulative[-1]))
            # On one of the younger nodes: the older ones are full.
            yield one(load, self.node(nodes - 1 - int(rng.random() * min(nodes, FILLING))))

    def _for(self, rng: random.Random, number: int) -> Iterator[tuple[Workload, Node]]:
        """The pods that are on a node because it is there."""
        on = self.node(number)
        for static in self._statics if number < 3 else []:
            yield static, on
        for each, daemon in enumerate(self._daemons):
            if each < EVERYWHERE or rng.random() < 1.2 / (each - EVERYWHERE + 3):
                yield daemon, on

    def _instance(self, rng: random.Random, load: Workload, turn: int, on: Node) -> Instance:
        owner: Object | None = load.owner
        at_once = rng.random() < 0.6
        begun = (
            load.begun + int(rng.random() * 900)
            if at_once
            else load.begun + int(rng.random() * (NOW - 600 - load.begun))
        )
        match load.kind:
            case "StatefulSet":
                name = f"{load.name}-{turn}"
            case "":
                name, owner = load.name, None
            case "Node":
                name = f"{load.name}-{on.name}"
                owner = {**load.owner, "name": on.name, "uid": on.uid}
            case "Job":
                begun = age(rng, 7)
                run = f"{load.name}-{begun // 60 - turn % 7}{turn}"
                owner = {**load.owner, "name": run, "uid": uid(rng)}
                name = f"{run}-{suffix(turn, len(load.name))}"
            case "Deployment":
                name = f"{load.revision}-{suffix(turn, load.begun)}"
            case _:
                name = f"{load.name}-{suffix(turn, load.begun)}"
        address = on.address
        if not load.host_network:
            taken = self._addresses[on.name] = self._addresses.get(on.name, on.begun) + 97
            address = f"{on.pods}{2 + taken % 250}"
        return Instance(load, turn, name, uid(rng), on, address, owner, begun, _state(rng, load))


def _state(rng: random.Random, load: Workload) -> str:
    drawn = rng.random()
    if load.kind == "Job":
        return "succeeded" if drawn < 0.8 else "failed" if drawn < 0.88 else "running"
    if load.kind in ("DaemonSet", "Node"):
        return "running"
    limits = ((0.004, "unscheduled"), (0.01, "pulling"), (0.018, "failed"), (0.035, "crashing"))
    return next((state for limit, state in limits if drawn < limit), "running")
