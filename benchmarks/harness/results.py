"""What measurements found, in one file: a record a line, JSON. Who reports reads nothing else.

A record is a dict whose `benchmark` names the command that made it. What a command found replaces what it found
before; the first record of each, `"record": "about"`, says where, when and with which options.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

Record = dict[str, Any]

DEFAULT = Path("build/benchmarks/results.jsonl")


def read(path: Path) -> list[Record]:
    """All records; none where there is no file.

    Raises:
        ValueError: A line is no record.
    """
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            records.append(msgspec.json.decode(line, type=Record))
        except msgspec.DecodeError as error:
            raise ValueError(f"{path}, line {number}: expected a record in JSON: {error}") from None
    return records


def replace(path: Path, about: Record, found: Iterable[Record]) -> None:
    """Writes what a command found in place of what it found before; the rest stays. The file is never half written.

    A command that measures one kind of objects at a time (`about` says which) leaves what it found of others.
    """
    benchmark, kind = about["benchmark"], about.get("kind")
    kept = [
        each for each in read(path) if each["benchmark"] != benchmark or each.get("kind") != (kind or each.get("kind"))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_bytes(b"".join(line(each) for each in [*kept, about, *found]))
    os.replace(beside, path)


def line(record: Record) -> bytes:
    """The record as it stands in the file."""
    return msgspec.json.encode(record) + b"\n"


def of(records: Iterable[Record], benchmark: str, **values: Any) -> list[Record]:
    """The records of a command whose members have these values, without the one about the run."""
    found = [each for each in records if each["benchmark"] == benchmark and each.get("record") != "about"]
    return [each for each in found if all(each.get(name) == value for name, value in values.items())]
