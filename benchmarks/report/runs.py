"""The machine and the runs of a page."""

from __future__ import annotations

from benchmarks.harness.results import Record, of
from benchmarks.report.markdown import table


def runs(records: list[Record]) -> list[Record]:
    """Returns the records about runs."""
    return [each for each in records if each.get("record") == "about"]


def machine(records: list[Record]) -> str:
    """Lists the machine and the versions."""
    about = runs(records)[0]["machine"]
    gib = about["memory_bytes"] / (1 << 30)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    peers = {
        name: version
        for each in of(records, "peers", record="peer")
        for name, version in each["versions"].items()
        if name not in ("python", *about["versions"])
    }
    others = ", ".join(f"{name} {version}" for name, version in sorted(peers.items()))
    text = f"{about['cpu']}, {about['cores']} cores, {gib:.0f} GiB, {about['kernel']}, huge pages "
    text += f"{about['transparent_huge_pages']}, {about['libc']}, {about['python']}, {versions}"
    return text + (f"; other clients: {others}." if others else ".")


def dates(records: list[Record]) -> str:
    """Returns the days of the runs."""
    days = sorted(each["machine"]["at"][:10] for each in runs(records))
    return days[0] if days[0] == days[-1] else f"from {days[0]} to {days[-1]}"


def run_table(records: list[Record]) -> str:
    """Formats a row for each run."""
    rows = [
        [
            f"`{' '.join([each['benchmark'], *each['arguments']])}`",
            f"{each['seconds']:,.0f}",
            f"{each['machine']['load']}",
            each["machine"]["commit"],
        ]
        for each in runs(records)
    ]
    return table(["command", "duration, s", "load", "commit"], rows)
