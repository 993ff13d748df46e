"""Whether what a reader asks for survives the pruning, told before anything is watched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from kinform._errors import OptionError
from kinform._paths.grammar import STAR, Path, parse
from kinform._paths.prune_program import DROP, KEEP, Program


def check_type(type: Any, program: Program | None) -> None:
    """Refuses a type that requires a field which pruning drops.

    Raises:
        OptionError: Names the field.
    """
    try:
        msgspec.json.Decoder(type)
        info = msgspec.inspect.type_info(type)
    except (TypeError, NameError) as error:
        raise OptionError("type", type, f"dict, or a type that msgspec decodes to ({error})") from None
    for path in _required(info, (), frozenset()):
        if program is not None and not _survives(program, path):
            raise OptionError("type", type, f"a type that can do without {_text(path)}, which pruning drops")


def check_indexes(indexes: Mapping[str, str], program: Program | None) -> None:
    """Refuses an index on a path that cannot be parsed or that pruning drops.

    Raises:
        OptionError: Names the index and the path.
    """
    if not isinstance(indexes, Mapping):
        raise OptionError("indexes", indexes, 'a dict from name to path, like {"node": "spec.nodeName"}')
    for name, text in indexes.items():
        path = parse(text, field=f"indexes[{name!r}]")
        if program is not None and not _survives(program, path):
            raise OptionError(f"indexes[{name!r}]", text, "a path that pruning does not drop")


def _survives(program: Program, path: Path) -> bool:
    at = 0
    for step in path:
        children, other, _, _ = program[at]
        at = other if step is STAR else dict(children).get(str(step).encode(), other)
        if at == KEEP:
            return True
        if at == DROP:
            return False
    return True


def _required(info: msgspec.inspect.Type, at: Path, within: frozenset[type]) -> Iterator[Path]:
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


def _text(path: Path) -> str:
    return ".".join("[*]" if step is STAR else str(step) for step in path)
