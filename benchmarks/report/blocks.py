"""The documents with figures: two pages, the blocks of README.md, and the costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness.process import ROOT
from benchmarks.harness.results import Record, of, transport
from benchmarks.report import tables
from benchmarks.report.costs import PATH as COSTS
from benchmarks.report.costs import costs
from benchmarks.report.headline import headline
from benchmarks.report.markdown import bullets
from benchmarks.report.page import page
from benchmarks.report.reliability import reliability

README = (
    "kinform",
    "kube-rs, streaming, cleared",
    "kube-rs, streaming, cleared, jemalloc",
    "client-go, WatchList, transform",
    "client-go, list, transform",
    "json into a dict, paged",
    "kubernetes_asyncio, paged",
    "kubernetes SharedInformer",
    "lightkube",
    "kopf",
    "kr8s",
)
"""The peers in the table of README.md."""


def documents(records: list[Record]) -> dict[Path, str]:
    """Returns the text of each document."""
    records = headline(records)
    texts = {ROOT / "docs/benchmarks.md": page(records)}
    if text := reliability(records):
        texts[ROOT / "docs/reliability.md"] = text
    if text := costs(records):
        texts[COSTS] = text
    path = ROOT / "README.md"
    texts[path] = BLOCK.sub(lambda found: _block(found[1], records, found[0]), path.read_text())
    return texts


BLOCK = re.compile(r"<!-- benchmarks: ([\w-]+) -->\n.*?<!-- end -->", re.DOTALL)


def _block(name: str, records: list[Record], present: str) -> str:
    """The new text of a block; its present text if nothing of it was measured."""
    if name not in BLOCKS:
        raise ValueError(f"`{name}` is not a block: expected one of {', '.join(BLOCKS)}")
    text = BLOCKS[name](records)
    return f"<!-- benchmarks: {name} -->\n{text}\n<!-- end -->" if text else present


def _readme(records: list[Record]) -> str:
    about = next(iter(of(records, "peers", record="collection", kind="pods")), None)
    rows = tables.readme(records, README)
    if about is None or not rows:
        return ""
    found = [each for each in of(records, "peers", record="peer", kind="pods") if each["peer"] in README]
    fewer = min(each["objects"] for each in found)
    notes = tables.failures(found)
    if fewer < about["objects"]:
        star = f"\\* Measured with {fewer:,} pods only, because all phases with more pods take this client minutes."
        notes.insert(0, f"{star} So the memory columns are empty. Compare only the figures per pod.")
    mib = about["raw_bytes"] / (1 << 20)
    head = f"""\
{about["objects"]:,} pods, {mib:,.0f} MiB of JSON, over {transport(about)}. Memory is that of the whole process: at rest
after the first sync, and at the peak of a relist in which all pods have changed. "Bytes per pod" is the memory at rest
minus that of the idle process, divided by the number of pods. CPU time is that of the first sync, until the process is
at rest."""
    return "\n\n".join(filter(None, (head, rows, bullets(notes))))


def _real(records: list[Record]) -> str:
    rows = tables.readme_real(records)
    if not rows:
        return ""
    about = of(records, "real", record="client")[0]
    mib = about["raw_bytes"] / (1 << 20)
    return f"""\
From a real kube-apiserver, over TLS: {about["objects"]:,} pods, {mib:,.0f} MiB of JSON. Then a label of
{about["events"]:,} pods changes, each by its own request. CPU time is counted until the process is at rest. The client
with *protobuf* in its name receives protobuf, the others receive JSON. With *uvloop*, kinform runs on its event loop.

{rows}"""


BLOCKS: dict[str, Callable[[list[Record]], str]] = {"readme": _readme, "real": _real}
