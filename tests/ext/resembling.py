"""Draws objects that resemble each other, as those of a cluster do.

Some resemble nothing.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

from kinform.testing._objects.catalogue import CATALOGUE
from tests.core.wire import obj

KINDS = ("pods", "events", "namespaces", "namespaces")
WIDTH = 12
SIBLINGS_OF_ONE = 5


class Resembling:
    """Draws objects from a few patterns.

    A rollout replaces each pattern by another one.

    Args:
        seed: Chooses the patterns.
        rng: Draws.
    """

    def __init__(self, seed: int, rng: random.Random) -> None:
        self._rng = rng
        self._sources = [CATALOGUE[kind][1](seed + place) for place, kind in enumerate(KINDS)]
        self._patterns = [pattern for _ in range(WIDTH) for pattern in self._next_of_each_kind()]

    def rollout(self) -> None:
        """Replaces one pattern of each kind."""
        for pattern in self._next_of_each_kind():
            self._patterns[self._rng.randrange(len(self._patterns))] = pattern

    def draw(self, name: str, *, namespace: str, uid: str, rv: int | str) -> dict[str, Any]:
        """Draws an object: one of a pattern with a small edit.

        Some are tiny, or random.
        """
        rng, dice = self._rng, self._rng.random()
        if dice < 0.1:
            return obj(name, namespace=namespace, uid=uid, rv=rv, spec={"nodeName": f"n{rng.randrange(4)}"})
        if dice < 0.13:
            noise = rng.randbytes(rng.choice([10, 1000])).hex()
            return obj(name, namespace=namespace, uid=uid, rv=rv, data={noise[:9]: noise}, more=list(noise[:50]))
        found: dict[str, Any] = json.loads(rng.choice(self._patterns))
        identity = obj(name, namespace=namespace, uid=uid, rv=rv)["metadata"]
        found["metadata"] = {**identity, **found["metadata"]}
        spec = found.setdefault("spec", {})
        spec["nodeName"] = f"n{rng.randrange(4)}"
        annotations = found["metadata"].setdefault("annotations", {})
        for _ in range(rng.randrange(3)):
            time = f"2026-11-{rng.randrange(10, 29)}T08:{rng.randrange(10, 59)}:07Z"
            values = (f"{rng.getrandbits(32)}", time, "", "na\u00efve")
            annotations[f"example.com/{rng.randrange(3)}"] = rng.choice(values)
        return found

    def _next_of_each_kind(self) -> Iterator[str]:
        for source in self._sources:
            found = next(source)
            for field in ("managedFields", "name", "namespace", "uid", "resourceVersion"):
                found["metadata"].pop(field, None)
            yield json.dumps(found)


def replicas(count: int, seed: int = 0) -> list[bytes]:
    """Returns the JSON of pods of one workload."""
    pattern = next(found for found in CATALOGUE["pods"][1](seed) if len(found["spec"]["containers"]) > 1)
    pattern["metadata"].pop("managedFields", None)
    made = []
    for number in range(count):
        identity = obj(f"web-{number}", uid=uid(number))["metadata"]
        pattern["metadata"] |= identity
        made.append(json.dumps(pattern, separators=(",", ":")).encode())
    return made


def uid(number: int) -> str:
    """Returns a UUID, another one for each number."""
    return f"0a1b2c3d-4e5f-6071-8293-{number:012x}"


def take(kind: str, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Returns generated objects without managedFields."""
    found = list(itertools.islice(CATALOGUE[kind][1](seed), count))
    for each in found:
        each["metadata"].pop("managedFields", None)
    return found
