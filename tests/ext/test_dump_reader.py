"""An oracle that knows only the described format reads dumps of a table."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest

from kinform.testing._objects.catalogue import CATALOGUE
from kinform.testing._objects.kinds import Object, dump
from kinform_ext._table import Dump, Table
from tests.support.oracles.blob_reader import Kind
from tests.support.oracles.dump_reader import DumpContents, Record, read_dump
from tests.support.oracles.template import MAX_SPECIALS, Type

PIECE_BYTES = 4096


def generated(kind: str, count: int) -> Iterator[Object]:
    return itertools.islice(CATALOGUE[kind][1](1), count)


def put(table: Table, obj: Object, raw: bytes | None = None) -> bytes:
    metadata = obj["metadata"]
    raw = raw or dump(obj)
    uid, version = metadata.get("uid", ""), metadata.get("resourceVersion", "")
    table.put(0, metadata.get("namespace", ""), metadata["name"], uid, version, raw, False, 0)
    return raw


def read(table: Table) -> DumpContents:
    made = Dump(table)
    return read_dump(b"".join(iter(lambda: made.read(PIECE_BYTES), b"")))


def key(record: Record) -> str:
    return b"/".join(filter(None, record.identity[:2])).decode()


def form(record: Record) -> str:
    return "template" if record.number else "frame" if record.is_frame else "sibling" if record.codec else "plain"


@cache
def generated_table(kind: str) -> tuple[Table, dict[str, bytes]]:
    """Returns a table of generated objects, and their JSON by key."""
    table = Table()
    raws = [(obj["metadata"], put(table, obj)) for obj in generated(kind, 120)]
    return table, {"/".join(filter(None, (each.get("namespace"), each["name"]))): raw for each, raw in raws}


@pytest.mark.parametrize("kind", ["pods", "events", "namespaces", "leases", "nodes", "configmaps", "customs"])
def test_oracle_reads_every_byte_of_a_table(kind: str):
    table, expected = generated_table(kind)
    contents = read(table)
    assert {key(record): contents.read(record) for record in contents.records} == expected
    assert Counter(map(form, contents.records)) == Counter(table.form_of(id) for id in table.ids())


def test_oracle_reads_the_identity_of_each_record():
    table = Table()
    identities = [
        ("shop", "a", "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "1"),
        ("shop", "b", "not-a-uuid", "18446744073709551615"),
        ("", "c", "", ""),
        ("shop", "d", "0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9", "007"),
        ("shop", "e", "x", "4294967296"),
    ]
    for number, identity in enumerate(identities):
        put(
            table,
            {"metadata": dict(zip(("namespace", "name", "uid", "resourceVersion"), identity, strict=True))},
            b"{}" * number,
        )
    contents = read(table)
    assert {tuple(text.decode() for text in record.identity) for record in contents.records} == set(identities)


def test_every_kind_of_operation_and_type_is_read():
    steps: set[Kind] = set()
    types: set[Type] = set()
    for kind in ("pods", "events", "nodes", "leases", "customs"):
        contents = read(generated_table(kind)[0])
        for record in contents.records:
            if record.codec and not record.is_frame:
                words = contents.templates[record.codec - 1].words
                for step in contents.reading(record).steps:
                    steps.add(step.kind)
                    if step.kind is Kind.NATIVE:
                        types.add(words[step.word].type)
    assert steps == set(Kind)
    assert types == {Type.DECIMAL, Type.HEX, Type.UUID, Type.IP, Type.TIME, Type.MICRO}


def test_a_deleted_template_is_hidden_in_the_dump():
    table = Table()
    objects = list(generated("namespaces", 100))
    expected = {obj["metadata"]["name"]: put(table, obj) for obj in objects}
    template = next(key(record) for record in read(table).records if record.number)
    table.delete(0, template, 0)
    contents = read(table)
    assert [key(record) for record in contents.records if record.is_hidden] == [template]
    assert {key(record): contents.read(record) for record in contents.records} == expected


def test_affixes_longer_than_a_nibble_are_read():
    table = Table()
    for number in range(3):
        obj = {"metadata": {"name": f"job-{number}"}, "a": "b" * 2000, "text": f"{'x' * 300}{number}{'y' * 300}"}
        put(table, obj)
    contents = read(table)
    siblings = [record for record in contents.records if record.codec and not record.is_frame]
    head = bytes([1 << 3 | 4, 255])  # one byte between affixes, whose lengths follow as numbers
    assert any(
        record.blob[step.payload.start :].startswith(head)
        for record in siblings
        for step in contents.reading(record).steps
    )
    assert all(contents.read(record) == table.raw(key(record)) for record in contents.records)


def test_only_the_first_words_of_a_template_are_linked():
    table, recurring = Table(), 700
    for number in range(2):
        words = [f"value{n:03}" for n in range(recurring)]
        words[7], words[recurring - 7] = f"early{number}", f"late{number}"
        put(table, {"metadata": {"name": f"job-{number}"}, "words": words * 2})
    contents = read(table)
    (sibling,) = (record for record in contents.records if record.codec and not record.is_frame)
    assert recurring < MAX_SPECIALS < 2 * recurring - 7
    assert Counter(step.text for step in contents.reading(sibling).steps if step.kind is Kind.GENERIC) == {
        b"early1": 1,
        b"late1": 2,
    }
    assert contents.read(sibling) == table.raw(key(sibling))
