"""Sizes by path, changed paths, and the suggestion that follows from both."""

from __future__ import annotations

import json
from typing import Any

import pytest

import kinform
from kinform._paths.grammar import STAR, Path, format_path, parse
from kinform.cli.prune.path_sizes import MAX_NAMES, PathSizes, changed_paths
from kinform.cli.prune.suggestion import suggest
from kinform.cli.prune.survey import Changes
from kinform.testing import Server


def sizes_of(*objects: dict[str, Any]) -> PathSizes:
    sizes = PathSizes()
    for obj in objects:
        sizes.add(obj)
    return sizes


def size(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def by_path(sizes: PathSizes, least: float = 0.0) -> dict[str, tuple[int, int]]:
    return {format_path(each.path): (each.objects, each.bytes) for each in sizes.largest(least)}


class TestSizes:
    def test_a_path_has_the_bytes_of_its_name_and_values(self) -> None:
        objects = [{"a": {"b": "xy", "c": [1, 22]}}, {"a": {"b": "é"}, "d": None}]
        found = by_path(sizes_of(*objects))
        assert found["a"] == (2, sum(size("a") + 1 + size(each["a"]) for each in objects))
        assert found["a.b"] == (2, 2 * size("b") + 2 + size("xy") + size("é"))
        assert found["a.c"] == (1, size("c") + 1 + size([1, 22]))
        assert found["d"] == (1, size("d") + 1 + size(None))

    async def test_the_sum_is_the_size_of_the_objects(self) -> None:
        async with Server() as server:
            server.generate("v1/pods", 100)
            objects = [json.loads(server.raw("v1/pods", key) or b"") for key in server.keys("v1/pods")]
        sizes = sizes_of(*objects)
        assert sizes.objects == 100
        assert sizes.bytes == sum(map(size, objects))
        found = by_path(sizes)
        managed = [each["metadata"]["managedFields"] for each in objects]
        assert found["metadata.managedFields"] == (100, sum(size("managedFields") + 1 + size(each) for each in managed))
        assert not any(path.startswith("metadata.managedFields[") for path in found)

    def test_elements_of_lists_are_summed(self) -> None:
        found = by_path(sizes_of({"l": [{"a": 1}, {"a": 22}]}))
        assert found["l[*].a"] == (1, 2 * (size("a") + 1) + 3)
        assert "l[*]" not in found

    def test_small_paths_are_left_out(self) -> None:
        assert list(by_path(sizes_of({"large": "x" * 1000, "small": 1}), 0.05)) == ["large"]

    def test_names_of_a_large_map_are_counted_together(self) -> None:
        sizes = sizes_of(*({"m": {f"key-{number}": 1}} for number in range(10 * MAX_NAMES)))
        assert len(list(sizes.largest(0.0))) <= MAX_NAMES + 2
        assert sizes.bytes == sum(size({"m": {f"key-{number}": 1}}) for number in range(10 * MAX_NAMES))

    def test_each_path_can_be_parsed(self) -> None:
        sizes = sizes_of({"metadata": {"annotations": {"a.b/c": "x"}}, "spec": {"l": [{"odd name": 1}]}})
        for each in sizes.largest(0.0):
            assert parse(format_path(each.path), field="path") == each.path


class TestChanges:
    @pytest.mark.parametrize(
        ("old", "new", "paths"),
        [
            ({"a": 1}, {"a": 1}, set()),
            ({"a": 1}, {"a": 2}, {("a",)}),
            ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {("a", "c")}),
            ({"a": {"b": 1}}, {}, {("a",)}),
            ({}, {"a": 1}, {("a",)}),
            ({"l": [{"x": 1}, {"x": 2}]}, {"l": [{"x": 1}, {"x": 3}]}, {("l", STAR, "x")}),
            ({"l": [1]}, {"l": [1, 2]}, {("l",)}),
            ({"a": {"b": 1}}, {"a": "text"}, {("a",)}),
        ],
    )
    def test_the_deepest_paths_that_differ_are_found(self, old: object, new: object, paths: set[Path]) -> None:
        assert set(changed_paths(old, new)) == paths

    def test_updates_are_counted_for_each_path_above(self) -> None:
        changes = Changes()
        changes.add({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 1}})
        changes.add({"a": {"b": 1, "c": 1}}, {"a": {"b": 1, "c": 2}})
        assert changes.parts() == {("a",): 1.0, ("a", "b"): 0.5, ("a", "c"): 0.5}
        assert changes.only_in([("a", "b")]) == 1
        assert changes.only_in([("a",)]) == 2

    def test_the_resource_version_is_not_counted(self) -> None:
        changes = Changes()
        changes.add({"metadata": {"resourceVersion": "1"}}, {"metadata": {"resourceVersion": "2"}})
        assert (changes.updates, changes.parts(), changes.only_in([])) == (1, {}, 1)


class TestSuggestion:
    def suggested(self, obj: dict[str, Any], changes: dict[Path, float] | None = None) -> list[str]:
        sizes = sizes_of(obj)
        found = suggest(list(sizes.largest(0.01)), sizes.bytes, changes or {})
        return [format_path(each.path) for each in found]

    def test_a_large_path_is_suggested(self) -> None:
        assert self.suggested({"spec": {"large": "x" * 500, "a": 1}}) == ["spec.large"]

    def test_large_paths_below_replace_the_path_above(self) -> None:
        spec = {"big": {"one": "x" * 500, "two": "x" * 400, "three": "x"}}
        assert self.suggested({"spec": spec}) == ["spec.big.one", "spec.big.two"]

    def test_a_path_of_many_small_parts_is_suggested_whole(self) -> None:
        spec = {"big": {f"name-{number}": number for number in range(100)}, "other": "x"}
        assert self.suggested({"spec": spec}) == ["spec.big"]

    def test_a_small_path_that_changes_often_is_suggested(self) -> None:
        obj = {"spec": {"large": "x" * 400}, "status": {"beat": "x" * 10}}
        assert self.suggested(obj, {("status", "beat"): 0.9}) == ["spec.large", "status.beat"]

    def test_fields_that_prune_keeps_are_never_suggested(self) -> None:
        obj = {"apiVersion": "v1", "kind": "Pod" * 99, "metadata": {"name": "x" * 200, "uid": "u" * 200}}
        assert self.suggested(obj) == []

    def test_the_suggestion_is_a_valid_prune(self) -> None:
        assert kinform.Prune(drop=self.suggested({"spec": {"l": [{"a b": "x" * 99}], "m": {"a.b/c": "y" * 99}}}))
