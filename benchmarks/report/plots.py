"""The plots of the page, drawn from the records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.harness.results import Record, of, transport
from benchmarks.harness.text import MIB
from benchmarks.memory.draw import draw as draw_history
from benchmarks.peers.lifecycle import PHASES
from benchmarks.report.headline import headline
from benchmarks.scale import GROWTH

COLOURS = {"kinform": "#c0392b", "Rust": "#b7791f", "Go": "#2b6cb0", "Python": "#6b7280"}
FLEET_FAMILIES = (("kinform", "kinform"), ("client-go", "Go"), ("kube-rs", "Rust"))
"""The first words of simulated clients, and their families."""
UNSEEN = ("tenth", "fresh")
"""The phases that are not in the plot over time."""
NUMBERS = {phase: str(number) for number, phase in enumerate((each for each in PHASES if each not in UNSEEN), 1)}
"""The numbers of the phases in the plot over time."""
DPI = 110


def draw(records: list[Record], folder: Path) -> Iterator[Path]:
    """Writes each plot that has records, and yields its file."""
    records = headline(records)
    folder.mkdir(parents=True, exist_ok=True)
    full_size = _full_size(records)
    if full_size:
        yield _save(_memory(full_size), folder / "memory.png")
        yield _save(_sawtooth(full_size), folder / "sawtooth.png")
    if found := of(records, "memory"):
        draw_history(found, folder / "history.png")
        yield folder / "history.png"
    if found := of(records, "fleet", record="client"):
        yield _save(_fleet(found), folder / "fleet.png")
    if of(records, "scale", record="size"):
        yield _save(_scale(records), folder / "scale.png")


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    return path


def _full_size(records: list[Record]) -> list[Record]:
    """The peers that hold all of the pods, whole, and completed a relist."""
    found = [each for each in of(records, "peers", record="peer", kind="pods", metadata=False) if each["figures"]]
    most = max((each["objects"] for each in found), default=0)
    return [each for each in found if each["objects"] == most and "changed.peak" in each["figures"]]


def _memory(found: list[Record]) -> Figure:
    """Bars of the memory at rest, and of the peak of a relist, all changed."""
    found = sorted(found, key=lambda each: -each["figures"]["sync.rss_at_rest"]["median"])
    figure = Figure(figsize=(10, 0.62 * len(found) + 1.4), layout="constrained")
    axes = figure.subplots()
    for place, each in enumerate(found):
        at_rest, peak = (each["figures"][name]["median"] / MIB for name in ("sync.rss_at_rest", "changed.peak"))
        colour = COLOURS[each["family"]]
        axes.barh(place, peak, color=colour, alpha=0.3, height=0.7)
        axes.barh(place, at_rest, color=colour, height=0.7)
        axes.text(peak, place, f"  {at_rest:,.0f} at rest, {peak:,.0f} peak", va="center", fontsize=9)
    axes.set_yticks(range(len(found)), [each["peer"] for each in found])
    for label, each in zip(axes.get_yticklabels(), found, strict=True):
        label.set_fontweight("bold" if each["family"] == "kinform" else "normal")
    axes.set_xlabel(
        "resident memory of the process, MiB\n"
        "dark: at rest after the first sync; light: at the peak of a relist in which all objects changed"
    )
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(0, 1.4 * max(each["figures"]["changed.peak"]["median"] for each in found) / MIB)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{found[0]['objects']:,} pods over {transport(found[0])}: memory of each client", loc="left")
    return figure


def _sawtooth(found: list[Record]) -> Figure:
    """Resident memory over time: a panel for each peer, all on one scale."""
    columns = 3
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(12, 2.1 * rows + 0.6), layout="constrained")
    panels: list[Axes] = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    top = max(size for each in found for _, size in each["timeline"]["points"]) / MIB
    for panel, each in zip(panels, found, strict=False):
        _timeline(panel, each, top)
    for panel in panels[len(found) :]:
        panel.set_visible(False)
    figure.supylabel("resident memory of the process, MiB", fontsize=9)
    phases = (f"{number}: {PHASES[phase]}" for phase, number in NUMBERS.items())
    figure.supxlabel(f"seconds, with the start of each phase\n{';  '.join(phases)}", fontsize=9)
    return figure


def _timeline(panel: Axes, each: Record, top: float) -> None:
    points, phases = each["timeline"]["points"], each["timeline"]["phases"]
    seconds, sizes = [at for at, _ in points], [size / MIB for _, size in points]
    panel.plot(seconds, sizes, color=COLOURS[each["family"]], lw=1.3)
    panel.fill_between(seconds, sizes, color=COLOURS[each["family"]], alpha=0.15)
    for phase, at in phases:
        panel.axvline(at, color="#999", lw=0.6, ls=":")
        panel.text(at, top * 1.02, f" {NUMBERS.get(phase, phase)}", fontsize=7.5, color="#555", va="bottom")
    panel.yaxis.set_major_formatter("{x:,.0f}")
    panel.set_ylim(0, top * 1.12)
    weight = "bold" if each["family"] == "kinform" else "normal"
    panel.set_title(each["peer"], fontsize=9, loc="left", fontweight=weight, pad=4)
    panel.tick_params(labelsize=7)
    panel.spines[["top", "right"]].set_visible(False)


def _fleet(found: list[Record]) -> Figure:
    """The requests in each second, a panel for each client, with a logarithmic scale."""
    figure = Figure(figsize=(10, 1.6 * len(found) + 0.6), layout="constrained")
    panels: list[Axes] = list(figure.subplots(len(found), 1, sharex=True, sharey=True, squeeze=False).flat)
    for panel, each in zip(panels, found, strict=True):
        colour = next(
            (COLOURS[family] for name, family in FLEET_FAMILIES if each["client"].startswith(name)), "#6b7280"
        )
        panel.bar(range(len(each["timeline"])), each["timeline"], width=1.0, align="edge", color=colour)
        panel.set_yscale("log")
        panel.set_title(each["client"], loc="left", fontsize=9)
        panel.yaxis.set_major_formatter("{x:,.0f}")
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("seconds after the start of all agents")
    figure.supylabel("requests in a second", fontsize=9)
    return figure


def _scale(records: list[Record]) -> Figure:
    """Cost against size, both logarithmic, with the slope of proportional growth."""
    kinds = sorted({each["kind"] for each in of(records, "scale", record="size")}, reverse=True)
    figure = Figure(figsize=(6 * len(kinds), 4.6), layout="constrained")
    for panel, kind in zip(figure.subplots(1, len(kinds), squeeze=False).flat, kinds, strict=True):
        found = sorted(of(records, "scale", record="size", kind=kind), key=lambda each: int(each["objects"]))
        sizes = [each["objects"] for each in found]
        for title, name, unit in GROWTH:
            values = [each["figures"][name]["median"] / (MIB if unit == "MiB" else 1.0) for each in found]
            label = f"{title}, {'MiB' if unit == 'MiB' else 'CPU s'}"
            panel.loglog(sizes, [max(value, 0.01) for value in values], "o-", ms=3, lw=1.2, label=label)
        panel.loglog(
            sizes, [size / sizes[-1] for size in sizes], color="#999", ls=":", label="slope of proportional growth"
        )
        panel.set(title=kind, xlabel=f"number of {kind}", ylabel="MiB or CPU seconds (at least 0.01)")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter("{x:,g}")
        panel.grid(alpha=0.25, which="both", lw=0.4)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    return figure
