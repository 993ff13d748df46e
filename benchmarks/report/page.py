"""`docs/benchmarks.md`: the template `page.md`, filled in from the records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.controllers import operators, reconciles
from benchmarks.harness.results import Record, of, transport
from benchmarks.harness.text import MIB
from benchmarks.peers.lifecycle import CPU_TIME, MEMORY
from benchmarks.report import tables
from benchmarks.report.headline import transports
from benchmarks.report.markdown import bullets, complete, fill, table
from benchmarks.report.runs import dates, machine, run_table
from benchmarks.report.targets import STATES, check_targets
from benchmarks.store.blobs import NOTHING

FOLDER = Path(__file__).parent
PLOTS = "benchmarks"


def page(records: list[Record]) -> str:
    """Returns the page.

    Leaves out each section, from a heading to the next, that has a value without records.
    """
    found = [each for each in records if each["benchmark"] != "soak"]  # which has a page of its own
    values = {name: value(found) for name, value in VALUES.items()}
    values |= {name: value(records) for name, value in TARGETS.items()}
    return complete((FOLDER / "page.md").read_text(), values)


def _peers(records: list[Record]) -> str:
    parts = []
    for about in sorted(of(records, "peers", record="collection"), key=lambda each: each["kind"], reverse=True):
        kind, count, ceiling = about["kind"], about["objects"], about["ceiling"]
        values = {
            "objects": f"{count:,}",
            "kind": kind,
            "raw_bytes": f"{about['raw_bytes'] / count:,.0f}",
            "pruned_bytes": f"{about['pruned_bytes'] / count:,.0f}",
            "list_rate": f"{ceiling['list']['objects_per_second']:,.0f}",
            "transport": transport(about),
            "stream_rate": f"{ceiling['stream']['objects_per_second']:,.0f}",
            "memory": tables.peers(records, kind, MEMORY),
            "cpu_time": tables.peers(records, kind, CPU_TIME),
            "notes": tables.notes(records, kind),
            "losses": tables.losses(records, kind),
        }
        parts.append(fill((FOLDER / "peers.md").read_text(), values).rstrip())
    return "\n\n".join(parts)


def _history_objects(records: list[Record]) -> str:
    return next((f"{each['objects']:,} {each['kind']}" for each in of(records, "memory")), "")


def _bounded_collections(records: list[Record]) -> str:
    return bullets(
        f"{each['objects']:,} {each['collection']} ({each['raw_bytes'] / MIB:.1f} MiB of JSON)"
        + (f", of which {each['needed']:,} matter" if each["needed"] < each["objects"] else "")
        for each in of(records, "bounded", record="collection")
    )


def _fleet_server(records: list[Record]) -> str:
    return next(
        (
            f"{each['agents']:,} agents start in the same second, one on each node, and each needs all"
            f" {each['objects']:,} namespaces. The server answers {each['slots']} requests at the same time, and sends"
            f" {each['bytes_per_second'] / 1e6:,.0f} MB per second; {each['queue']} requests wait."
            for each in of(records, "fleet")
        ),
        "",
    )


def _first(records: list[Record], part: str, name: str) -> str:
    return next((f"{each[name]:,}" for each in of(records, "controllers", record=part)), "")


def _threads_events(records: list[Record]) -> str:
    return next(
        (f"{each['events']:,} events of {each['objects']:,} {each['kind']}" for each in of(records, "threads")), ""
    )


def _real_setup(records: list[Record]) -> str:
    for each in of(records, "real", record="client"):
        servers = " and ".join(f"{name} {version}" for name, version in each["servers"].items())
        size = f"{each['objects']:,} pods, {each['raw_bytes'] / 1e6:,.0f} MB of JSON"
        return f"The clients follow {size}, of {servers}, over TLS. Then a label of {each['events']:,} pods changes"
    return ""


def _target_rows(records: list[Record]) -> str:
    rows = []
    for each in check_targets(records):
        state = f"**{each['state']}**" if each["state"] == "missed" else each["state"]
        rows.append([str(each["number"]), each["target"], each["bound"], each["found"], state])
    return table(["no.", "figure", "bound", "measured", "result"], rows, texts=5)


def _target_counts(records: list[Record]) -> str:
    states = [each["state"] for each in check_targets(records)]
    return "; ".join(f"{state}: {states.count(state)}" for state in STATES).capitalize() + "."


def _blobs(records: list[Record]) -> list[Record]:
    return of(records, "store", record="blobs", before=NOTHING)


VALUES: dict[str, Callable[[list[Record]], str]] = {
    "plots": lambda records: PLOTS,
    "dates": dates,
    "machine": machine,
    "runs": run_table,
    "peers": _peers,
    "metadata_memory": lambda records: tables.peers(records, "pods", MEMORY, metadata=True),
    "metadata_cpu_time": lambda records: tables.peers(records, "pods", CPU_TIME, metadata=True),
    "metadata_transport": lambda records: transports(records, "peers", kind="pods"),
    "variants": tables.variants,
    "real_setup": _real_setup,
    "real": tables.real,
    "delays_transport": lambda records: transports(records, "delays"),
    "delays": tables.delays,
    "threads_events": _threads_events,
    "threads_transport": lambda records: transports(records, "threads"),
    "threads": tables.threads,
    "bounded_transport": lambda records: transports(records, "bounded"),
    "bounded_collections": _bounded_collections,
    "bounded": tables.bounded,
    "fleet_server": _fleet_server,
    "fleet": tables.fleet,
    "dropin_transport": lambda records: transports(records, "dropin"),
    "dropin": tables.dropin,
    "controllers_transport": lambda records: transports(records, "controllers", record="reconciles"),
    "controllers_objects": lambda records: _first(records, "reconciles", "objects"),
    "reconciles": lambda records: tables.controllers(records, "reconciles", reconciles.COLUMNS),
    "widgets": lambda records: _first(records, "operators", "widgets"),
    "operators": lambda records: tables.controllers(records, "operators", operators.COLUMNS),
    "history_objects": _history_objects,
    "history_transport": lambda records: transports(records, "memory"),
    "history": tables.history,
    "holders": lambda records: tables.holders(records, "kinform"),
    "speed": tables.speed,
    "blobs": lambda records: tables.blobs(_blobs(records)),
    "blob_times": lambda records: tables.blob_times(_blobs(records)),
    "adversarial": tables.adversarial,
    "realism": tables.realism,
    "fixed": tables.fixed,
    "parts": tables.parts,
    "idle": tables.idle,
    "warm_transport": lambda records: transports(records, "store", record="warm"),
    "warm": tables.warm,
    "scope_transport": lambda records: transports(records, "scope"),
    "scope": tables.scope,
    "scale_transport": lambda records: transports(records, "scale", record="size"),
    "scale": tables.scale,
    "growth": tables.growth,
    "growth_faster": tables.growth_faster,
}
"""The value of each placeholder in `page.md`, but those of the targets."""
TARGETS: dict[str, Callable[[list[Record]], str]] = {"targets": _target_rows, "target_counts": _target_counts}
"""The values of the targets, which also judge the records of `soak`."""
