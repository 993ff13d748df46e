"""Splitting a body into objects, compared with decoders and a plain copy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.micro.bodies import Mode, Rival, compare, decoded, memcpy, raw_objects, scanner
from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES, Module
from benchmarks.micro.pods import Pods
from kinform import Prune


def _to_dicts(module: Module) -> Callable[[Mode], Rival]:
    def rival(mode: Mode) -> Rival:
        return Rival(
            lambda body: decoded(mode, module.loads, body),
            lambda body: map(module.dumps, decoded(mode, module.loads, body)),
        )

    return rival


RIVALS: dict[str, Callable[[Mode], Rival]] = {
    "kinform": lambda mode: scanner(mode, Prune()),
    "memcpy": memcpy,
    "msgspec, Raw objects": lambda mode: Rival(
        lambda body: raw_objects(mode, body), lambda body: map(bytes, raw_objects(mode, body))
    ),
    **{f"{name}, to dicts": _to_dicts(module) for name, module in MODULES.items()},
}


@pytest.mark.benchmark(group="scan, LIST")
@pytest.mark.parametrize("name", RIVALS)
def test_list(timed: Timed, pods: Pods, name: str) -> None:
    compare(timed, pods, "list", RIVALS[name]("list"), pods.before.whole.values())


@pytest.mark.benchmark(group="scan, WATCH")
@pytest.mark.parametrize("name", RIVALS)
def test_watch(timed: Timed, pods: Pods, name: str) -> None:
    compare(timed, pods, "watch", RIVALS[name]("watch"), pods.before.whole.values())
