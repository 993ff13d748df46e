"""Checks that objects keep the fields that types, indexes and selectors need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from kinform._errors import OptionError
from kinform._paths.grammar import STAR, Path, format_path
from kinform._paths.index_program import parse_indexes, paths_read
from kinform._paths.prune_program import DROP, KEEP, Program

_TYPES = (
    "dict, a model of a Kubernetes client, or a type that msgspec decodes a JSON object to: Struct, dataclass, "
    "TypedDict or attrs class"
)


def check_required_fields(type: Any, program: Program | None, cause: str = "pruning") -> None:
    """Checks that a program keeps every required field of the type.

    Args:
        type: The type that objects are decoded to.
        program: The program, or None if nothing is dropped.
        cause: The option that drops fields, for the message.

    Raises:
        OptionError: The type is not supported by msgspec, no JSON object decodes to it, or a required field is
            dropped. The message names the field.
    """
    try:
        msgspec.json.Decoder(type)
        info = msgspec.inspect.type_info(type)
    except (TypeError, NameError) as error:
        raise OptionError("type", type, f"{_TYPES} ({error})") from None
    if not accepts_object(info):
        raise OptionError("type", type, _TYPES)
    for path in _required(info, (), frozenset()):
        if program is not None and not keeps(program, path):
            raise OptionError(
                "type", type, f"a type that does not require {format_path(path)}, because {cause} drops it"
            )


def check_indexes(indexes: Mapping[str, str], program: Program | None, cause: str = "pruning") -> None:
    """Checks the paths of indexes, and that a program keeps them.

    Args:
        indexes: Maps the name of each index to its path.
        program: The program, or None if nothing is dropped.
        cause: The option that drops fields, for the message.

    Raises:
        OptionError: A name is empty, or a path is not valid or dropped. The message names the index and the path.
    """
    for name, path in parse_indexes(indexes).items():
        if program is not None and not all(keeps(program, each) for each in paths_read(path)):
            raise OptionError(f"indexes[{name!r}]", indexes[name], f"a path that {cause} does not drop")


def check_labels(selector: str, keys: Iterable[str], program: Program) -> None:
    """Checks that a program keeps every label that a label selector reads.

    Args:
        selector: The selector, for the message.
        keys: The keys of these labels.
        program: The program.

    Raises:
        OptionError: A label is dropped. The message names its path.
    """
    for key in keys:
        path = ("metadata", "labels", key)
        if not keeps(program, path):
            raise OptionError(
                "label_selector",
                selector,
                f"a selector that does not read {format_path(path)}, because pruning drops it",
            )


def keeps(program: Program, path: Path) -> bool:
    """Returns whether a program keeps a field, or a part of it."""
    return _target_of(program, path) != DROP


def keeps_whole(program: Program, path: Path) -> bool:
    """Returns whether a program keeps a field as it is."""
    return _target_of(program, path) == KEEP


def _target_of(program: Program, path: Path) -> int:
    """Returns the node at a path, or `KEEP` or `DROP` for all below it."""
    node = 0
    for step in path:
        children, other, _, _ = program[node]
        node = other if step is STAR else dict(children).get(str(step).encode(), other)
        if node in (KEEP, DROP):
            break
    return node


def accepts_object(info: msgspec.inspect.Type) -> bool:
    """Returns whether a type accepts an object that contains the object `metadata`."""
    match info:
        case msgspec.inspect.Metadata(type=inner):
            return accepts_object(inner)
        case msgspec.inspect.UnionType(types=types):
            return any(map(accepts_object, types))
        case msgspec.inspect.StructType(array_like=array_like):
            return not array_like
        case msgspec.inspect.DictType(value_type=value):
            return accepts_object(value)
        case msgspec.inspect.CustomType(cls=cls):  # msgspec only checks that the decoded value is an instance
            return issubclass(dict, cls)
    return isinstance(
        info,
        msgspec.inspect.AnyType
        | msgspec.inspect.RawType
        | msgspec.inspect.DataclassType
        | msgspec.inspect.TypedDictType,
    )


def _required(info: msgspec.inspect.Type, at: Path, within: frozenset[type]) -> Iterator[Path]:
    """Iterates over the paths of required fields, except inside the types `within`."""
    match info:
        case msgspec.inspect.StructType(cls=cls, fields=fields) if cls not in within:
            for field in fields:
                if field.required:
                    path = (*at, field.encode_name)
                    yield path
                    yield from _required(field.type, path, within | {cls})
        case msgspec.inspect.ListType(item_type=item):
            yield from _required(item, (*at, STAR), within)
        case msgspec.inspect.DictType(value_type=value):
            yield from _required(value, (*at, STAR), within)
