"""The collections of the benchmarks: their redundancy, and dumps of users.

The generated objects themselves are in tests/simulator/test_objects.py.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
import zstandard

from benchmarks.corpus import MADE, dump, make, read_dump, stream
from benchmarks.corpus.realism import ratio, rows

# The digest of the first 200 objects with seed 0. With other objects, the published figures are no longer comparable.
DIGESTS = {
    "pods": "9b8cdec87f9e5c19",
    "namespaces": "88ffff5170e553fb",
    "events": "fca702afb4e3c1da",
    "endpointslices": "66b4bbebf17df67d",
    "services": "4bf9c71157dfcafa",
    "configmaps": "c3b38316a1bf887c",
    "leases": "b2b6b16123d6b422",
    "deployments": "9c02acf4061c0eab",
    "replicasets": "389613e385a9874a",
    "customs": "6d8cbfea02ee9a63",
}


@pytest.mark.parametrize("name", MADE)
def test_the_collections_are_those_of_the_published_figures(name: str) -> None:
    digest = hashlib.sha256()
    for obj in make(name, 200, 0)[1]:
        digest.update(dump(obj))
    assert digest.hexdigest()[:16] == DIGESTS[name]


def test_a_list_and_a_stream_have_the_same_objects() -> None:
    assert list(stream("pods", 50, 0)[1]) == make("pods", 50, 0)[1]


def test_generated_objects_compress_about_like_real_ones() -> None:
    for row in rows(0):
        for column in ("dictionary", "xz"):
            assert 1 / 1.15 < ratio(row, column) < 1.5, (row, column)


# Dumps


@pytest.fixture
def pods() -> list[dict[str, Any]]:
    return [{"apiVersion": "v1", "kind": "Pod", **pod} for pod in make("pods", 5, 0)[1]]


def _lines(objects: list[dict[str, Any]]) -> bytes:
    return b"\n".join(map(dump, objects)) + b"\n"


def _kubectl(objects: list[dict[str, Any]]) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=4).encode()


def _server_list(objects: list[dict[str, Any]]) -> bytes:
    items = [{name: value for name, value in obj.items() if name not in ("apiVersion", "kind")} for obj in objects]
    return dump({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})


def _xz(data: bytes) -> bytes:
    return lzma.compress(data)


def _zstd(data: bytes) -> bytes:
    half = len(data) // 2
    return b"".join(zstandard.ZstdCompressor().compress(part) for part in (data[:half], data[half:]))


@pytest.mark.parametrize("form", [_lines, _kubectl, _server_list])
@pytest.mark.parametrize("compressed", [bytes, _xz, _zstd])
def test_a_dump_is_read_in_each_form(tmp_path: Path, pods: list[dict[str, Any]], form: Any, compressed: Any) -> None:
    path = tmp_path / "dump"
    path.write_bytes(compressed(form(pods)))
    kind, objects = read_dump(path)
    assert (kind.resource, kind.kind, kind.custom) == ("v1/pods", "Pod", False)
    assert objects == pods


def test_a_mixed_dump_gives_the_most_frequent_kind_by_key(tmp_path: Path, pods: list[dict[str, Any]]) -> None:
    path = tmp_path / "dump"
    other = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}}
    path.write_bytes(_lines([other, *pods, pods[0], 7, {}, {"metadata": None}]))  # type: ignore[list-item]
    assert read_dump(path)[1] == pods
    path.write_bytes(dump(other))
    kind, objects = read_dump(path)
    assert (kind.resource, kind.custom, objects) == ("example.com/v1/widgets", True, [other])


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty; expected the output of `kubectl get -o json`"),
        (b"\n\n", "empty; expected"),
        (b'{"password": "hunter2"}', "no objects with apiVersion, kind and metadata.name; expected"),
        (b'["hunter2"]', "no objects with"),
        (b"password: hunter2\n", "not JSON as a whole"),
        (b'{"items": [\n{"a": "hunter2"}\n', "nor in line 1"),
        (b'{"a": 1}\n\n{"password": "hunter2"\n', "line 3 is not JSON"),
        (b'{"a": 1}\n"hunter2\xff"\n', "line 2 is not JSON"),
        (lzma.compress(b"hunter2" * 99)[:-9], "damaged"),
        (b"\x28\xb5\x2f\xfdhunter2", "damaged"),
    ],
)
def test_errors_of_dumps_name_the_line_and_show_no_contents(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "dump"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_dump(path)
    assert str(raised.value).startswith(f"{path}: ")
    error: BaseException | None = raised.value
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__


def test_a_folder_is_not_a_dump(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder"):
        read_dump(tmp_path)


def test_a_missing_dump_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_dump(tmp_path / "missing")
