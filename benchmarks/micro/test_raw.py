"""Reading an object's bytes: in two orders, and by how kinform has encoded it.

The pods of a template follow each other in the order of the keys, so that their template is in the cache. In random
order, it often has to be built first.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

from benchmarks.micro.conftest import Timed
from benchmarks.micro.json_modules import MODULES
from benchmarks.micro.pods import Pods, State, read_each
from benchmarks.micro.stores import DictOfBytes, DictOfDicts, Kinform, through

RIVALS = ("kinform", "dict of bytes", *(f"dict of dicts, {name}" for name in MODULES))
FORMS = ("sibling", "template")
"""Forms of `Table.form_of`. Hardly a pod has another one: a frame of a collection with templates is one itself."""
MIN_PODS_OF_EACH_FORM = 2_000
"""With fewer pods, a form may be missing."""

Read = Callable[[str], bytes | None]


@pytest.fixture
def read(name: str, stored: Kinform, dict_of_bytes: DictOfBytes, dict_of_dicts: DictOfDicts) -> Read:
    """Returns the read of one object from the store that `name` names."""
    reads: dict[str, Read] = {
        "kinform": stored.store.raw,
        "dict of bytes": dict_of_bytes.items.__getitem__,
        **{f"dict of dicts, {each}": through(module.dumps, dict_of_dicts.items) for each, module in MODULES.items()},
    }
    return reads[name]


def _time(timed: Timed, pods: Pods, read: Read, keys: list[str], *, exact: bool) -> None:
    if exact:
        assert all(read(key) == raw for key, raw in pods.before.raw.items())
    else:
        assert all(msgspec.json.decode(read(key) or b"") == found for key, found in pods.before.objects.items())
    timed(lambda: read_each(keys, read), objects=len(keys), size=pods.before.raw_bytes)


@pytest.mark.benchmark(group="raw, key order")
@pytest.mark.parametrize("name", RIVALS)
def test_raw_in_key_order(timed: Timed, pods: Pods, read: Read, name: str) -> None:
    _time(timed, pods, read, pods.ordered, exact=name == "kinform")


@pytest.mark.benchmark(group="raw, random order")
@pytest.mark.parametrize("name", RIVALS)
def test_raw_in_random_order(timed: Timed, pods: Pods, read: Read, name: str) -> None:
    _time(timed, pods, read, pods.keys, exact=name == "kinform")


@pytest.mark.benchmark(group="raw, namespaces")
@pytest.mark.parametrize("name", ["kinform", "dict of bytes"])
def test_raw_of_namespaces(timed: Timed, namespaces: State, name: str) -> None:
    if name == "kinform":
        store = Kinform(indexed=False)
        store.relist(namespaces.batches)
        read: Read = store.store.raw
    else:
        read = dict(namespaces.raw).__getitem__
    assert all(read(key) == raw for key, raw in namespaces.raw.items())
    keys = random.Random(0).sample(list(namespaces.raw), len(namespaces.raw))
    timed(lambda: read_each(keys, read), objects=len(keys), size=namespaces.raw_bytes)


@pytest.mark.benchmark(group="decode")
@pytest.mark.parametrize("name", [f"kinform, {form}" for form in FORMS])
def test_raw_by_form(timed: Timed, pods: Pods, stored: Kinform, name: str) -> None:
    ids, read = stored.ids().get(name.removeprefix("kinform, "), []), stored.table.raw_of
    if not ids and len(pods.keys) < MIN_PODS_OF_EACH_FORM:
        pytest.skip("too few pods for this form")
    assert ids, "no pod has this form"
    expected = [pods.before.raw[stored.table.key_of(id)] for id in ids]
    assert list(map(read, ids)) == expected
    random.Random(0).shuffle(ids)

    def read_all() -> None:
        for id in ids:
            read(id)

    timed(read_all, objects=len(ids), size=sum(map(len, expected)))
