"""The paths that a type reads.

Source: `msgspec.inspect`, which lists the fields of a type as msgspec decodes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kinform._errors import OptionError
from kinform._paths.conflicts import accepts_object
from kinform._paths.grammar import STAR, Path, format_path

_TYPES = "dict, or a type that msgspec decodes a JSON object to: Struct, dataclass, TypedDict or attrs class"


def paths_of_type(type: Any, *, field: str) -> list[str] | None:
    """Returns the paths that a type reads; None if it reads whole objects.

    Args:
        type: The type that objects are decoded to.
        field: Name of the option, for the error message.

    Raises:
        OptionError: msgspec does not support the type, or decodes no JSON object to it.
    """
    try:
        msgspec.json.Decoder(type)
        info = msgspec.inspect.type_info(type)
    except (TypeError, NameError) as error:
        raise OptionError(field, type, f"{_TYPES} ({error})") from None
    if not accepts_object(info):
        raise OptionError(field, type, _TYPES)
    paths = set(_read(info, (), frozenset()))
    return None if () in paths else sorted(format_path(path) for path in paths if not _is_covered(path, paths))


def _read(info: msgspec.inspect.Type, at: Path, within: frozenset[type]) -> Iterator[Path]:
    """Iterates over the paths that a type reads.

    `at` itself stands for all that is there.

    Args:
        info: The type.
        at: The path of the value.
        within: The types that contain it. One that contains itself reads all, because its depth has no end.
    """
    match info:
        case msgspec.inspect.Metadata(type=inner):
            yield from _read(inner, at, within)
        case msgspec.inspect.UnionType(types=types) if parts := [each for each in types if not _is_none(each)]:
            for each in parts:
                yield from _read(each, at, within)
        case msgspec.inspect.ListType(item_type=item) | msgspec.inspect.VarTupleType(item_type=item):
            yield from _read_items(item, at, within)
        case msgspec.inspect.DictType(value_type=item):
            yield from _read_items(item, at, within)
        case (
            msgspec.inspect.StructType(cls=cls, fields=fields, array_like=False)
            | msgspec.inspect.DataclassType(cls=cls, fields=fields)
            | msgspec.inspect.TypedDictType(cls=cls, fields=fields)
        ) if fields and cls not in within:
            if isinstance(info, msgspec.inspect.StructType) and info.tag_field is not None:
                yield (*at, info.tag_field)
            for part in fields:
                yield from _read(part.type, (*at, part.encode_name), within | {cls})
        case _:
            yield at


def _read_items(item: msgspec.inspect.Type, at: Path, within: frozenset[type]) -> Iterator[Path]:
    each = (*at, STAR)
    paths = set(_read(item, each, within))
    yield from {at} if each in paths else paths


def _is_none(info: msgspec.inspect.Type) -> bool:
    return isinstance(info, msgspec.inspect.NoneType)


def _is_covered(path: Path, paths: set[Path]) -> bool:
    """Returns whether a shorter path reads all that a path reads."""
    return any(path[:length] in paths for length in range(len(path)))
