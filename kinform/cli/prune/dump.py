"""Objects from a file: the output of kubectl, or one object per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from kinform.cli._exit_codes import USAGE, Failure


class _List(msgspec.Struct):
    items: list[msgspec.Raw]


def read_dump(path: Path) -> Iterator[bytes]:
    """Yields the JSON of each object.

    Raises:
        Failure: The file cannot be read, or is no dump. The message never has contents.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}", USAGE) from None
    try:
        objects = [bytes(each) for each in msgspec.json.decode(content, type=_List).items]
    except (msgspec.DecodeError, UnicodeDecodeError):
        objects = [line for line in content.splitlines() if line.strip()]
    for number, raw in enumerate(objects, 1):
        try:
            msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Failure(
                f"{path}: object {number} is not valid: expected the output of `kubectl get -o json`,"
                " or one JSON object per line",
                USAGE,
            ) from None
        yield raw
