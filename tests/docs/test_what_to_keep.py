"""The types of the cheat sheet decode to equal objects with and without pruning."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import msgspec
import pytest

import kinform
from kinform._listwatch.frames import Frames
from kinform.testing import Server
from kinform_ext._scan import Batch
from tests.docs.markdown import DOCS, Block, blocks

RESOURCES = {
    "Pod": "v1/pods",
    "Node": "v1/nodes",
    "Namespace": "v1/namespaces",
    "Service": "v1/services",
    "EndpointSlice": "discovery.k8s.io/v1/endpointslices",
}
PAGE = DOCS / "howto" / "what-to-keep.md"
PROGRAMS = [block for block in blocks(PAGE) if block.language == "python" and "class " in block.text]


def types_of(block: Block) -> dict[str, Any]:
    """Returns the types of objects that a program defines."""
    definitions = block.text.partition("prune = ")[0].partition("\n\n\nprint(")[0]
    module = sys.modules[block.place] = ModuleType(block.place)
    vars(module).update(kinform=kinform, msgspec=msgspec)
    exec(compile(definitions, block.place, "exec"), vars(module))
    return {name: vars(module)[name] for name in RESOURCES if name in vars(module)}


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: block.place)
def test_what_a_type_reads_is_all_that_it_needs(block: Block) -> None:
    types = types_of(block)
    assert types
    for name, type_ in types.items():
        server = Server(seed=7)
        keys = server.generate(RESOURCES[name], 50)
        items = [server.get(RESOURCES[name], key) for key in keys]
        prune = kinform.Prune.from_type(type_)
        whole, pruned = (read(items, program) for program in (None, prune.program()))
        assert sum(map(len, pruned)) < sum(map(len, whole))
        decoder = msgspec.json.Decoder(type_)
        assert list(map(decoder.decode, pruned)) == list(map(decoder.decode, whole))
        for path in set(prune.keep) - ABSENT:
            fewer = kinform.Prune(keep=[*ALWAYS, *(other for other in prune.keep if other != path)])
            assert read(items, fewer.program()) != pruned, f"{path} matches nothing"


ALWAYS = ["metadata.uid"]
# Fields of Kubernetes that no generated object has, and one that is always kept.
ABSENT = {
    "metadata.name",
    "spec.overhead",
    "spec.topologySpreadConstraints",
    "spec.unschedulable",
}


def read(items: list[dict[str, Any]], program: Any) -> list[bytes]:
    """Returns the JSON of the items of a LIST, pruned."""
    body = msgspec.json.encode({"kind": "L", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
    frames = Frames("list", program, name="list", max_object_bytes=1 << 20).feed(body)
    return [batch.raw(i) for batch in frames if isinstance(batch, Batch) for i in range(len(batch))]
