"""Splitting a body into pruned objects, compared with decoding and encoding them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from benchmarks.micro.bodies import Body, Mode, Rival, compare, decoded, raw_objects, scanner
from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES, Module
from benchmarks.micro.pods import DROP_MANAGED_FIELDS, Decoded, Pods
from kinform import Prune

KEEP_THREE_FIELDS = Prune(keep=["metadata.labels", "spec.nodeName", "status.phase"])
IDENTITY = ("name", "namespace", "uid", "resourceVersion")


def _drop(found: Decoded) -> Decoded:
    found["metadata"].pop("managedFields", None)
    return found


def _keep(found: Decoded) -> Decoded:
    kept = {"metadata": _part(found["metadata"], (*IDENTITY, "labels"))}
    for name, field in (("spec", "nodeName"), ("status", "phase")):
        if name in found:
            kept[name] = _part(found[name], (field,))
    return kept


def _part(found: Decoded, names: tuple[str, ...]) -> Decoded:
    return {name: found[name] for name in names if name in found}


def _through_dicts(module: Module, change: Callable[[Decoded], Decoded]) -> Callable[[Mode], Rival]:
    def rival(mode: Mode) -> Rival:
        def run(body: Body) -> list[bytes]:
            return [module.dumps(change(found)) for found in decoded(mode, module.loads, body)]

        return Rival(run, run)

    return rival


def _through_raw(mode: Mode) -> Rival:
    """Decodes only the members that contain managedFields."""
    loads, dumps = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode, msgspec.json.Encoder().encode

    def without_managed_fields(raw: msgspec.Raw) -> bytes:
        found = loads(raw)
        metadata = loads(found["metadata"])
        metadata.pop("managedFields", None)
        return dumps(found | {"metadata": metadata})

    def run(body: Body) -> list[bytes]:
        return list(map(without_managed_fields, raw_objects(mode, body)))

    return Rival(run, run)


class Metadata(msgspec.Struct, omit_defaults=True, gc=False):
    """The metadata of `Kept`."""

    name: str
    uid: str
    resourceVersion: str
    namespace: str = ""
    labels: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class Spec(msgspec.Struct, omit_defaults=True, gc=False):
    """The spec of `Kept`."""

    nodeName: str | msgspec.UnsetType = msgspec.UNSET


class Status(msgspec.Struct, omit_defaults=True, gc=False):
    """The status of `Kept`."""

    phase: str | msgspec.UnsetType = msgspec.UNSET


class Kept(msgspec.Struct, omit_defaults=True, gc=False):
    """The fields of a pod that are kept."""

    metadata: Metadata
    spec: Spec | msgspec.UnsetType = msgspec.UNSET
    status: Status | msgspec.UnsetType = msgspec.UNSET


def _through_structs(mode: Mode) -> Rival:
    loads, dumps = msgspec.json.Decoder(Kept).decode, msgspec.json.Encoder().encode

    def run(body: Body) -> list[bytes]:
        return [dumps(loads(raw)) for raw in raw_objects(mode, body)]

    return Rival(run, run)


DROP: dict[str, Callable[[Mode], Rival]] = {
    "kinform": lambda mode: scanner(mode, DROP_MANAGED_FIELDS),
    "msgspec, Raw members": _through_raw,
    **{f"{name}, through dicts": _through_dicts(module, _drop) for name, module in MODULES.items()},
}
KEEP: dict[str, Callable[[Mode], Rival]] = {
    "kinform": lambda mode: scanner(mode, KEEP_THREE_FIELDS),
    "msgspec, through structs": _through_structs,
    **{f"{name}, through dicts": _through_dicts(module, _keep) for name, module in MODULES.items()},
}


@pytest.mark.benchmark(group="drop managedFields, LIST")
@pytest.mark.parametrize("name", DROP)
def test_drop_list(timed: Timed, pods: Pods, name: str) -> None:
    compare(timed, pods, "list", DROP[name]("list"), pods.before.objects.values())


@pytest.mark.benchmark(group="drop managedFields, WATCH")
@pytest.mark.parametrize("name", DROP)
def test_drop_watch(timed: Timed, pods: Pods, name: str) -> None:
    compare(timed, pods, "watch", DROP[name]("watch"), pods.before.objects.values())


@pytest.mark.benchmark(group="keep three fields, LIST")
@pytest.mark.parametrize("name", KEEP)
def test_keep_list(timed: Timed, pods: Pods, name: str) -> None:
    compare(timed, pods, "list", KEEP[name]("list"), map(_keep, pods.before.objects.values()))


@pytest.mark.benchmark(group="keep three fields, WATCH")
@pytest.mark.parametrize("name", KEEP)
def test_keep_watch(timed: Timed, pods: Pods, name: str) -> None:
    compare(timed, pods, "watch", KEEP[name]("watch"), map(_keep, pods.before.objects.values()))
