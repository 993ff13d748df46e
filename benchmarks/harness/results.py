"""The results file: one record a line, in JSON. The report reads nothing else.

A record is a dict. `benchmark` names the command that wrote it. The first record of a run, `"record": "about"`, has the
machine, the time and the options. `"data": "corpus"` marks figures of objects from dumps of real clusters; without it
the objects were generated. `"tls": true` marks figures over TLS; without it the transport is plain HTTP. A run replaces
the records of the previous run on the same data and over the same transport.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

Record = dict[str, Any]

DEFAULT = Path("build/benchmarks/results.jsonl")
GENERATED, CORPUS = "generated", "corpus"
"""The objects that were measured: generated, or read from dumps of real clusters."""


def read(path: Path) -> list[Record]:
    """Reads all records. A missing file has none.

    Raises:
        ValueError: A line is not a record.
    """
    if not path.exists():
        return []
    records = []
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        try:
            records.append(msgspec.json.decode(text, type=Record))
        except msgspec.DecodeError as error:
            raise ValueError(f"{path}, line {number}: expected a record in JSON: {error}") from None
    return records


def replace(path: Path, about: Record, found: Iterable[Record]) -> None:
    """Replaces the records of a command's previous run on the same data, atomically.

    A run on one kind of objects (`kind` in `about`) leaves the records of the other kinds. A run over one transport
    (`tls` in `about`) leaves those over the other.
    """
    kept = [each for each in read(path) if not _replaced(each, about)]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_bytes(b"".join(line(each) for each in [*kept, about, *found]))
    os.replace(temporary, path)


def _replaced(record: Record, about: Record) -> bool:
    same_run = record["benchmark"] == about["benchmark"] and _data(record) == _data(about)
    same_kind = "kind" not in about or record.get("kind") == about["kind"]
    return same_run and same_kind and ("tls" not in about or record.get("tls", False) == about["tls"])


def _data(record: Record) -> str:
    return str(record.get("data", GENERATED))


def transport(record: Record) -> str:
    """Names the transport of a record's figures."""
    return "TLS" if record.get("tls") else "plain HTTP"


def line(record: Record) -> bytes:
    """Encodes a record as a line of the file."""
    return msgspec.json.encode(record) + b"\n"


def of(records: Iterable[Record], benchmark: str, *, data: str = GENERATED, **values: Any) -> list[Record]:
    """Selects a command's records on this data whose members have these values.

    Never selects `about` records.
    """
    wanted = {"benchmark": benchmark, **values}
    found = (each for each in records if each.get("record") != "about" and _data(each) == data)
    return [each for each in found if all(each.get(name) == value for name, value in wanted.items())]
