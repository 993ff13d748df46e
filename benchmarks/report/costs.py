"""The costs of a copy in each client, for `kinform audit`.

They come from the comparison with other clients. The collections of pods and of namespaces have large and small
objects. Their two costs give a line: a fixed size for each object, and a multiple of the JSON.
"""

from __future__ import annotations

import msgspec

from benchmarks.harness.process import ROOT
from benchmarks.harness.results import Record, of

PATH = ROOT / "kinform/cli/audit/costs.json"
CLIENTS = {
    "client-go, WatchList, transform": "client-go",
    "kube-rs, streaming, cleared": "kube-rs",
    "json into a dict, paged": "dicts in Python",
}
"""The peers that are in the table, with the names that the audit shows."""


def costs(records: list[Record]) -> str:
    """Returns the content of the file; `""` if a collection was not measured."""
    sizes, held = dict[str, float](), dict[tuple[str, str], float]()
    versions: dict[str, str] = {}
    for each in of(records, "peers", record="collection"):
        sizes[each["kind"]] = each["pruned_bytes"] / each["objects"]
    for each in of(records, "peers", record="peer", metadata=False):
        if each["peer"] in CLIENTS and "bytes_per_object" in each["figures"]:
            held[each["peer"], each["kind"]] = each["figures"]["bytes_per_object"]["median"]
            versions |= each["versions"]
    lines = [
        {"client": name, **_line(sizes, held[peer, "pods"], held[peer, "namespaces"])}
        for peer, name in CLIENTS.items()
        if {(peer, "pods"), (peer, "namespaces")} <= held.keys() and len(sizes) == 2
    ]
    if not lines:
        return ""
    days = [
        each["machine"]["at"][:10] for each in records if each.get("record") == "about" and each["benchmark"] == "peers"
    ]
    source = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    content = {"version": max(days), "source": source, "clients": lines}
    return msgspec.json.format(msgspec.json.encode(content)).decode() + "\n"


def _line(sizes: dict[str, float], pods: float, namespaces: float) -> dict[str, float]:
    """The line through two points: bytes of JSON, bytes of memory."""
    slope = (pods - namespaces) / (sizes["pods"] - sizes["namespaces"])
    return {
        "bytes_per_object": round(max(0.0, namespaces - slope * sizes["namespaces"]), 1),
        "bytes_per_byte": round(slope, 3),
    }
