"""Namespaces and nodes of a cluster. The same seed and number give the same one."""

from __future__ import annotations

import random

import msgspec

from kinform.testing._objects import words
from kinform.testing._objects.random_values import DAY, NOW, between, pick, suffix, uid

_PRODUCT_NAMESPACES = len(words.PRODUCTS) * len(words.STAGES)
_PERMUTATION_STEP = 157  # has no factor in common with _PRODUCT_NAMESPACES


class Namespace(msgspec.Struct, frozen=True):
    """A namespace.

    Attributes:
        stage: `"system"` for the platform's namespaces, `"tenant"` for those of tenants.
    """

    name: str
    product: str
    stage: str
    team: str


class ClusterNode(msgspec.Struct, frozen=True):
    """A node.

    Attributes:
        pod_prefix: The first three numbers of its pods' addresses, with a dot at the end.
        created: In seconds since 1970.
    """

    name: str
    uid: str
    address: str
    zone: str
    pool: str
    pod_prefix: str
    created: int


def namespace_at(seed: int, number: int) -> Namespace:
    """Returns a namespace: first those of the platform, last those of tenants."""
    rng = random.Random(f"{seed} place {number}")
    team = pick(rng, words.TEAMS)
    if number < len(words.SYSTEM_NAMESPACES):
        name = words.SYSTEM_NAMESPACES[number]
        return Namespace(name, name.partition("-")[0], "system", "platform")
    number -= len(words.SYSTEM_NAMESPACES)
    if number < _PRODUCT_NAMESPACES:
        product, stage = divmod((number * _PERMUTATION_STEP + seed) % _PRODUCT_NAMESPACES, len(words.STAGES))
        name = f"{words.PRODUCTS[product]}-{words.STAGES[stage]}"
        return Namespace(name, words.PRODUCTS[product], words.STAGES[stage], team)
    return Namespace(f"tenant-{number}-{rng.getrandbits(20):05x}", pick(rng, words.PRODUCTS), "tenant", team)


def node_at(seed: int, number: int) -> ClusterNode:
    """Returns a node. The first 16,384 have a pod network of their own."""
    rng = random.Random(f"{seed} node {number}")
    pool, zone = pick(rng, words.NODE_POOLS), pick(rng, words.ZONES)
    name = f"{pool}-{suffix(number, seed)}.{zone[:-1]}.internal"
    address = f"10.{number >> 14 & 7}.{number >> 6 & 255}.{4 * (number & 63) + between(rng, 0, 3)}"
    pod_prefix = f"10.{64 + (number >> 8) % 64}.{number & 255}."
    return ClusterNode(name, uid(rng), address, zone, pool, pod_prefix, NOW - between(rng, DAY, 90 * DAY))
