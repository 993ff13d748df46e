"""`docs/reliability.md`: the template `reliability.md`, filled in from records."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from benchmarks.harness.results import Record, of, transport
from benchmarks.harness.text import shown
from benchmarks.report.markdown import complete, table
from benchmarks.report.runs import machine, run_table
from benchmarks.soak import RUN
from benchmarks.soak.matrix import MAX_MORE_REQUESTS, NO_FAULT, STARTS

FOLDER = Path(__file__).parent
EVENTS = {"add": "additions", "update": "updates", "delete": "deletions"}
START_TITLES = {"list": "paged LIST", "stream": "streaming list", "snapshot": "snapshot", "relist": "relist"}


def reliability(records: list[Record]) -> str:
    """Returns the page, or an empty text without records.

    Leaves out each section that has a value without records.
    """
    found = [each for each in records if each["benchmark"] == "soak"]
    if not found:
        return ""
    return complete((FOLDER / "reliability.md").read_text(), {name: value(found) for name, value in VALUES.items()})


def _runs(records: list[Record], kind: str) -> list[Record]:
    return of(records, "soak", record="run", kind=kind)


def _figures(kind: str) -> Callable[[list[Record]], str]:
    def rows(records: list[Record]) -> str:
        for each in _runs(records, kind):
            found = [(title, each["figures"][name], unit) for title, name, unit in RUN if name in each["figures"]]
            shown_rows = [[title, f"{shown(value, unit)} {unit}".rstrip()] for title, value, unit in found]
            shown_rows.insert(0, ["faults after which kinform did not recover", f"{len(each['stuck'])}"])
            return table(["figure", "value"], shown_rows)
        return ""

    return rows


def _faults(kind: str) -> Callable[[list[Record]], str]:
    def rows(records: list[Record]) -> str:
        found = sorted(of(records, "soak", record="fault", kind=kind), key=itemgetter("fault"))
        if not found:
            return ""
        head = ["fault", "number", "seconds to recover: median", "largest"]
        return table(head, ([each["fault"], str(each["count"]), *_seconds(each)] for each in found))

    return rows


def _seconds(record: Record) -> list[str]:
    return [f"{record['figures']['recovery'][end]:.2f}" for end in ("median", "max")]


def _setup(kind: str, server: str) -> Callable[[list[Record]], str]:
    def text(records: list[Record]) -> str:
        for each in _runs(records, kind):
            servers = " and ".join(f"{name} {version}" for name, version in each.get("servers", {}).items())
            calls = [f"{each['calls'].get(kind, 0):,} {title}" for kind, title in EVENTS.items()]
            return _paragraph(
                f"kinform follows {each['objects']:,} {server.format(servers)} over {transport(each)}.",
                "The same objects change, disappear and come back, and keep their sizes, so the memory of the process",
                f"should not grow. In {each['seconds'] / 60:.0f} minutes, there were {each['events']:,} changes,",
                f"{each['faults']:,} faults of {each['kinds']} kinds, and {each['checkpoints']} checkpoints.",
                f"The handlers got {', '.join(calls[:-1])} and {calls[-1]}.",
            )
        return ""

    return text


def _options(records: list[Record]) -> str:
    for each in of(records, "soak", record="run"):
        rows = [[f"`{_option(name)}`", f"{value:,}"] for name, value in each["options"].items()]
        return table(["option", "value"], rows)
    return ""


def _option(name: str) -> str:
    return name if name.endswith(("timeout", "bytes")) else f"Backoff.{name}"


def _paragraph(*parts: str) -> str:
    return textwrap.fill(" ".join(parts), 120, break_on_hyphens=False)


def _matrix(records: list[Record]) -> str:
    cells = of(records, "soak", record="cell")
    if not cells:
        return ""
    rows = []
    for fault, group in groupby(cells, itemgetter("fault")):
        by_start = {each["start"]: each for each in group}
        rows.append([fault, *(_cell(by_start[start]) for start in STARTS)])
    return table(["fault", *(f"{START_TITLES[start]}: s / requests" for start in STARTS)], rows)


def _cell(record: Record) -> str:
    if not record["applied"]:
        return "-"
    text = f"{record['figures']['seconds']:.2f} / {record['figures']['requests']:,}"
    return text if record["equal"] and record["bounded"] else f"**{text}**"


def _matrix_summary(records: list[Record]) -> str:
    cells = [each for each in of(records, "soak", record="cell") if each["applied"]]
    if not cells:
        return ""
    snapshots = [each for each in cells if each["start"] == "snapshot"]
    equal, few = sum(each["equal"] for each in cells), sum(each["bounded"] for each in cells)
    return _paragraph(
        "Then both copies are compared with the server.",
        f"They were equal in {equal:,} of {len(cells):,} starts.",
        f"In {few:,} of {len(cells):,} starts, kinform sent at most",
        f"{MAX_MORE_REQUESTS} requests more than without a fault. {sum(each['loaded'] for each in snapshots)} of",
        f"{len(snapshots)} starts from a snapshot read it. A start that fails one of the first two checks is bold.",
    )


def _matrix_faults(records: list[Record]) -> str:
    return str(len({each["fault"] for each in of(records, "soak", record="cell")} - {NO_FAULT}) or "")


def _matrix_objects(records: list[Record]) -> str:
    return next((f"{each['objects']:,}" for each in of(records, "soak", record="cell")), "")


VALUES: dict[str, Callable[[list[Record]], str]] = {
    "machine": machine,
    "runs": run_table,
    "options": _options,
    "simulator_setup": _setup("simulator", "pods of a simulator"),
    "simulator": _figures("simulator"),
    "simulator_faults": _faults("simulator"),
    "control_plane_setup": _setup("control-plane", "ConfigMaps of {}"),
    "control_plane": _figures("control-plane"),
    "control_plane_faults": _faults("control-plane"),
    "matrix": _matrix,
    "matrix_summary": _matrix_summary,
    "matrix_faults": _matrix_faults,
    "matrix_objects": _matrix_objects,
}
"""The value of each placeholder in `reliability.md`."""
