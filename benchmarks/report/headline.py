"""The records that the report shows: over TLS if there are any, else plain HTTP.

Real clusters speak TLS. The results file can hold the same run over both transports.
"""

from __future__ import annotations

from benchmarks.harness.results import GENERATED, Record, of, transport


def headline(records: list[Record]) -> list[Record]:
    """Leaves out what was measured over plain HTTP and also over TLS."""
    chosen = {each["benchmark"] for each in records if each.get("record") == "about" and each.get("tls")}
    secure = {_run(each) for each in records if each["benchmark"] in chosen and each.get("tls")}
    return [each for each in records if each.get("tls") or _run(each) not in secure]


def _run(record: Record) -> tuple[str, str | None, str]:
    return record["benchmark"], record.get("kind"), record.get("data", GENERATED)


def transports(records: list[Record], benchmark: str, **values: str) -> str:
    """Names the transport of a command's records.

    Names the kinds too if they differ in it. The result is empty without records.
    """
    found = of(records, benchmark, **values)
    kinds = {each.get("kind"): transport(each) for each in found}
    names = list(dict.fromkeys(kinds.values()))
    if len(names) < 2:
        return "".join(names)
    return " and ".join(f"{name} ({', '.join(str(k) for k, at in kinds.items() if at == name)})" for name in names)
