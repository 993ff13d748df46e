"""The documents that quote figures, as the results file has them: the page of its own, and blocks in others."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness.process import ROOT
from benchmarks.harness.results import Record, of
from benchmarks.report import tables
from benchmarks.report.page import machine, page

HEADLINE = (
    "kinform",
    "kube-rs, streaming, cleared",
    "client-go, WatchList, transform",
    "client-go, list, transform",
    "json into a dict, paged",
    "kubernetes_asyncio, paged",
    "kubernetes SharedInformer",
    "lightkube",
    "kopf",
    "kr8s",
)


def documents(records: list[Record]) -> dict[Path, str]:
    """What each document should say."""
    told = {ROOT / "docs/benchmarks.md": page(records)}
    for name in ("README.md", "docs/explanation/compression.md"):
        path = ROOT / name
        told[path] = BLOCK.sub(lambda found: _block(found[1], records, found[0]), path.read_text())
    return told


BLOCK = re.compile(r"<!-- benchmarks: ([\w-]+) -->\n.*?<!-- end -->", re.DOTALL)


def _block(name: str, records: list[Record], found: str) -> str:
    """What belongs in a block; what is found there, where nothing of it was measured."""
    if name not in BLOCKS:
        raise ValueError(f"a document asks for the figures {name!r}; there are {', '.join(BLOCKS)}")
    lines = BLOCKS[name](records)
    return "\n".join([f"<!-- benchmarks: {name} -->", *lines, "<!-- end -->"]) if lines else found


def _headline(records: list[Record]) -> list[str]:
    if not (found := of(records, "peers", record="collection", kind="pods")):
        return []
    about = found[0]
    mib = about["raw_bytes"] / (1 << 20)
    return [
        f"{about['objects']:,} pods, {mib:,.0f} MiB of JSON. MiB of the whole process; then CPU time of an object or",
        "an event, and with what is done in the background after it, as a multiple of kinform's.",
        "",
        *tables.headline(records, HEADLINE),
        "",
        "\\* with fewer objects: more take minutes.",
    ]


def _corpora(learnt_from: str) -> Callable[[list[Record]], list[str]]:
    def block(records: list[Record]) -> list[str]:
        found = of(records, "corpora", record="blobs", learnt_from=learnt_from)
        return tables.blobs(found) if found else []

    return block


BLOCKS: dict[str, Callable[[list[Record]], list[str]]] = {
    "headline": _headline,
    "machine": lambda records: [machine(records)],
    "corpora-half": _corpora("one half"),
    "corpora-other": _corpora("other files"),
}
