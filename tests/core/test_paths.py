"""The grammar of paths, positions in its errors, and compiled programs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinform import OptionError
from kinform._paths.grammar import STAR, Path, format_path, parse
from kinform._paths.index_program import parse_indexes
from kinform._paths.prune_program import DROP, KEEP, Program, compile_prune
from kinform._paths.trie import MAX_NODES


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("metadata.managedFields", ("metadata", "managedFields")),
        ('metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]',
         ("metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")),
        ("spec.containers[*].env", ("spec", "containers", STAR, "env")),
        ("[*]", (STAR,)),
        ('["a.b"]', ("a.b",)),
        ('["a.b"].c[*][*]["d"]', ("a.b", "c", STAR, STAR, "d")),
        ('[""]', ("",)),
        (r'["\"\\\u0061\ud83d\ude00"]', ('"\\a\U0001f600',)),
        ("f:spec.é-_", ("f:spec", "é-_")),
        ('f:spec["k8s/*{}$\\\\"]', ("f:spec", "k8s/*{}$\\")),
        ('a["$ref"]', ("a", "$ref")),
    ],
)  # fmt: skip
def test_a_path_parses_to_its_steps(text: str, path: Path) -> None:
    assert parse(text, field="drop") == path
    assert parse(format_path(path), field="drop") == path


@pytest.mark.parametrize(
    ("text", "character", "allowed"),
    [
        ("", 1, "a name"),
        (".a", 1, "a name"),
        ("a.", 3, "a name"),
        ("a..b", 3, "a name"),
        ("a.[*]", 3, "a name"),
        (" a", 1, "a name"),
        ("a b", 2, "a dot or a bracket"),
        ("a]", 2, "a dot or a bracket"),
        ("a[*]b", 5, "a dot or a bracket"),
        ('a"b"', 2, "a dot or a bracket"),
        ("a[", 3, "a string in quotes"),
        ("a[0]", 3, "a string in quotes"),
        ("a[*", 3, "a string in quotes"),
        ("a['b']", 3, "a string in quotes"),
        ('a["b"', 6, "a closing bracket"),
        ('a["b]', 3, "a JSON string"),
        ('a["b\\q"]', 5, "a JSON string"),
        ('a["\\ud800"]', 4, "surrogate"),
        ("$", 1, "a name"),
        ("$a", 1, "a name"),
        ("a.$b", 3, "a name"),
        ("a/b", 2, "a dot or a bracket"),
        ("a.*", 3, "a name"),
        ("a*", 2, "a dot or a bracket"),
        ("{a}", 1, "a name"),
        ("a\\.b", 2, "a dot or a bracket"),
    ],
)
def test_an_error_points_at_the_character(text: str, character: int, allowed: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(text, field="Prune.drop")
    assert str(caught.value).endswith(f"(^ at character {character})")
    assert allowed in str(caught.value)
    assert f"{text[: character - 1]}^{text[character - 1 :]}" in str(caught.value)
    assert (caught.value.field, caught.value.value) == ("Prune.drop", text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("metadata.labels.app.kubernetes.io/name", 'metadata.labels["app.kubernetes.io/name"]'),
        ("metadata.labels.team/name", 'metadata.labels["team/name"]'),
        ("metadata.labels.app.kubernetes.io", 'metadata.labels["app.kubernetes.io"]'),
        (r"metadata.labels.app\.kubernetes\.io/name", 'metadata.labels["app.kubernetes.io/name"]'),
        ("metadata.labels['app.kubernetes.io/name']", 'metadata.labels["app.kubernetes.io/name"]'),
        ("metadata.labels[app.kubernetes.io/name]", 'metadata.labels["app.kubernetes.io/name"]'),
        ("spec.selector.matchLabels.app.kubernetes.io/name", 'spec.selector.matchLabels["app.kubernetes.io/name"]'),
        ("status.capacity.nvidia.com/gpu", 'status.capacity["nvidia.com/gpu"]'),
        ("$.spec", "spec"),
        ("$.spec.containers[*].image", "spec.containers[*].image"),
        ("$['spec']['nodeName']", "spec.nodeName"),
        ("{.spec.nodeName}", "spec.nodeName"),
        (".spec.nodeName", "spec.nodeName"),
        ("spec/nodeName", "spec.nodeName"),
        ("/spec/nodeName", "spec.nodeName"),
        ("/metadata/labels/app", "metadata.labels.app"),
        ("containers.*.image", "containers[*].image"),
        ("*.image", "[*].image"),
        ("spec.containers[0].image", "spec.containers[*].image"),
        (".spec.containers[].image", "spec.containers[*].image"),
        ("metadata.ownerReferences.kind", "metadata.ownerReferences[*].kind"),
    ],
)
def test_another_notation_gets_a_hint(text: str, meant: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(text, field="Prune.drop")
    assert f"(did you mean {meant}?)" in str(caught.value)
    assert parse(meant, field="Prune.drop")


@pytest.mark.parametrize("text", ["", "..", "$", "a b", "a[", "metadata.name.first", "kind.x", "metadata.uid[*]"])
def test_no_hint_without_a_valid_guess(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(text, field="Prune.drop")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("metadata.labels.a.b", "metadata.labels.a is a scalar"),
        ("metadata.annotations[*].a", "metadata.annotations[*] is a scalar"),
        ("metadata.name.first", "metadata.name is a scalar"),
        ("apiVersion.group", "apiVersion is a scalar"),
        ("metadata.finalizers.first", "metadata.finalizers is a list"),
        ("metadata.finalizers[*].name", "metadata.finalizers[*] is a scalar"),
    ],
)
def test_a_path_through_a_known_field_must_fit_it(text: str, why: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(text, field="Prune.keep")
    assert str(caught.value).endswith(why)


@pytest.mark.parametrize(
    "text",
    ["metadata.labels", "metadata.labels[*]", "metadata.later.x", "metadata[*].x", "metadata.ownerReferences[*].kind",
     "metadata.managedFields[*].fieldsV1[*]", "spec.template.metadata.labels.a.b", "x.y.z"],
)  # fmt: skip
def test_a_path_that_may_match_is_accepted(text: str) -> None:
    assert parse(text, field="Prune.keep")


@pytest.mark.parametrize("path", ["metadata.name", "metadata.labels", "metadata", "metadata.labels.app"])
def test_keep_last_of_a_field_that_is_no_list_is_refused(path: str) -> None:
    with pytest.raises(OptionError, match=r"Prune\.keep_last: .*the path of a list: .* is "):
        compile_prune((), (), {path: 3})


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("metadata", "metadata is an object"),
        ("metadata.labels", r"\(did you mean metadata\.labels\[\*\]\?\): metadata\.labels is an object"),
        ("metadata.finalizers", r"\(did you mean metadata\.finalizers\[\*\]\?\): metadata\.finalizers is a list"),
        ("metadata.ownerReferences", "metadata.ownerReferences is a list"),
    ],
)
def test_an_index_on_an_object_or_a_list_is_refused(path: str, why: str) -> None:
    with pytest.raises(OptionError, match=rf"^indexes\['x'\]: .*{why}$"):
        parse_indexes({"x": path})


@pytest.mark.parametrize("name", ["", None, 7])
def test_an_index_without_a_name_is_refused(name: Any) -> None:
    with pytest.raises(OptionError, match=r"^indexes: .*a name that is not empty"):
        parse_indexes({name: "spec.nodeName"})


def test_indexes_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(OptionError, match=r"^indexes: .*a dict from name to path"):
        parse_indexes(["spec.nodeName"])  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, 7, ("a", "b"), b"a"])
def test_a_path_must_be_a_string(wrong: Any) -> None:
    with pytest.raises(OptionError):
        parse(wrong, field="Prune.drop")


@given(st.text(max_size=30))
def test_any_text_is_a_path_or_an_option_error(text: str) -> None:
    try:
        assert parse(text, field="x")
    except OptionError as error:
        assert error.value == text  # noqa: PT017


def test_no_paths_compile_to_no_program() -> None:
    assert compile_prune((), (), {}) is None


def test_the_default_drop_compiles_to_two_nodes() -> None:
    assert compile_prune(["metadata.managedFields"], (), {}) == (
        (((b"metadata", 1),), KEEP, True, 0),
        (((b"managedFields", DROP),), KEEP, True, 0),
    )


def test_every_program_has_a_node_for_the_metadata() -> None:
    for program in (
        compile_prune(["a"], (), {}),
        compile_prune((), ["a"], {}),
        compile_prune((), ["metadata"], {"a": 1}),
    ):
        assert program is not None
        assert dict(program[0][0])[b"metadata"] > 0


@pytest.mark.parametrize(
    "path",
    ["kind", "apiVersion", "metadata", "metadata.name", "metadata.namespace", "metadata.uid",
     "metadata.resourceVersion", "metadata[*]", "[*]", "[*].name", "[*][*]", '["metadata"]["uid"]'],
)  # fmt: skip
def test_a_drop_of_a_mandatory_field_is_refused(path: str) -> None:
    with pytest.raises(OptionError, match=r"Prune\.drop.*does not cover"):
        compile_prune([path], (), {})


@pytest.mark.parametrize("path", ["metadata.labels", "metadata.labels.name", "spec.kind", "spec[*]", "[*].labels"])
def test_a_drop_next_to_mandatory_fields_is_accepted(path: str) -> None:
    assert compile_prune([path], (), {}) is not None


@pytest.mark.parametrize("n", [0, -1, True, 1.0, "1", None])
def test_keep_last_below_one_is_refused(n: Any) -> None:
    with pytest.raises(OptionError, match=r"Prune\.keep_last"):
        compile_prune((), (), {"status.conditions": n})


@pytest.mark.parametrize("options", [{"drop": ["a..b"]}, {"keep": ["a..b"]}, {"keep_last": {"a..b": 1}}])
def test_an_invalid_path_is_reported_with_its_option(options: dict[str, Any]) -> None:
    (field,) = options
    with pytest.raises(OptionError, match=rf"^Prune\.{field}: .*character 3"):
        compile_prune(**{"drop": (), "keep": (), "keep_last": {}} | options)


def test_overlapping_paths_merge_into_one_branch() -> None:
    program = compile_prune(["a.x", "[*].y", "a.b.z", "[*].b.w"], (), {})
    assert program is not None
    assert leads(program, "a", "x") == leads(program, "a", "y") == DROP
    assert leads(program, "a", "b", "z") == leads(program, "a", "b", "w") == DROP
    assert leads(program, "other", "x") == leads(program, "other", "b", "z") == KEEP
    assert leads(program, "other", "y") == leads(program, "other", "b", "w") == DROP


def test_keep_applies_before_drop() -> None:
    program = compile_prune(["spec.a.x"], ["spec.a", "status[*].b"], {})
    assert program is not None
    assert leads(program, "spec", "a", "y") == KEEP
    assert leads(program, "spec", "a", "x") == leads(program, "spec", "b") == leads(program, "other") == DROP
    assert leads(program, "metadata", "uid") == leads(program, "kind") == KEEP


def test_the_smaller_of_two_keep_last_numbers_applies() -> None:
    program = compile_prune((), (), {"status.conditions": 3, "status[*]": 2})
    assert program is not None
    assert program[leads(program, "status", "conditions")][3] == 2


def test_paths_with_too_many_combinations_are_refused() -> None:
    paths = ["[*]" * n + "." * (n > 0) + "a" + "[*]" * (14 - n) + f".z{n}" for n in range(15)]
    with pytest.raises(OptionError, match="overlap less"):
        compile_prune(paths, (), {})
    assert MAX_NODES == 10_000


def leads(program: Program, *names: str) -> int:
    at = 0
    for name in names:
        children, other, _, _ = program[at]
        at = dict(children).get(name.encode(), other)
        if at < 0:
            break
    return at
