"""Where things are in a cluster: its namespaces and its nodes, each the same for the same number."""

from __future__ import annotations

import random

import msgspec

from kinform.testing._objects import words
from kinform.testing._objects.random_values import NOW, between, pick, suffix, uid

OFFERED = len(words.PRODUCTS) * len(words.STAGES)


class Place(msgspec.Struct, frozen=True):
    """A namespace. `stage` is `"system"` where the platform is, `"tenant"` where somebody else's work is."""

    name: str
    product: str
    stage: str
    team: str


class Node(msgspec.Struct, frozen=True):
    """A node. `pods` is what its pods' addresses begin with."""

    name: str
    uid: str
    address: str
    zone: str
    pool: str
    pods: str
    begun: int


def place(seed: int, number: int) -> Place:
    """The namespaces of the platform come first, then those of products and stages, then those of tenants."""
    rng = random.Random(f"{seed} place {number}")
    team = pick(rng, words.TEAMS)
    if number < len(words.SYSTEM):
        return Place(words.SYSTEM[number], words.SYSTEM[number].partition("-")[0], "system", "platform")
    number -= len(words.SYSTEM)
    if number < OFFERED:
        # A permutation: 157 has no factor in common with the number of combinations.
        product, stage = divmod((number * 157 + seed) % OFFERED, len(words.STAGES))
        return Place(
            f"{words.PRODUCTS[product]}-{words.STAGES[stage]}", words.PRODUCTS[product], words.STAGES[stage], team
        )
    return Place(f"tenant-{number}-{rng.getrandbits(20):05x}", pick(rng, words.PRODUCTS), "tenant", team)


def node(seed: int, number: int) -> Node:
    """Up to 16,384 nodes have networks of their own."""
    rng = random.Random(f"{seed} node {number}")
    pool, zone = pick(rng, words.POOLS), pick(rng, words.ZONES)
    name = f"{pool}-{suffix(number, seed)}.{zone[:-1]}.internal"
    address = f"10.{number >> 14 & 7}.{number >> 6 & 255}.{4 * (number & 63) + between(rng, 0, 3)}"
    pods = f"10.{64 + (number >> 8) % 64}.{number & 255}."
    return Node(name, uid(rng), address, zone, pool, pods, NOW - between(rng, 86_400, 90 * 86_400))
