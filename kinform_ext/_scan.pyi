from typing import Final, Literal, TypeAlias, final

from kinform_ext._batch import Batch

_Node: TypeAlias = tuple[tuple[tuple[bytes, int], ...], int, bool, int]
# type, offset, the object of the frame as sent
_Control: TypeAlias = tuple[Literal["BOOKMARK", "ERROR"], int, bytes]
# offset, kind, apiVersion, resourceVersion, continue, remainingItemCount, shardInfo.selector
_ListEnd: TypeAlias = tuple[Literal["LIST_END"], int, str, str, str, str, int | None, str]
# offset, verb, namespace (None: unknown), name (None: unknown), uid, resourceVersion, reason, size
_Skip: TypeAlias = tuple[Literal["SKIP"], int, str, str | None, str | None, str, str, _Reason, int]
_Reason: TypeAlias = Literal["oversized", "malformed", "too deep", "unknown event type"]

__all__ = ["MAX_DEPTH", "Batch", "Scanner"]

MAX_DEPTH: Final[int]

@final
class Scanner:
    def __init__(
        self,
        mode: Literal["list", "watch"],
        program: tuple[_Node, ...] | None = None,
        *,
        max_object_bytes: int = ...,
    ) -> None: ...
    @property
    def offset(self) -> int: ...
    def feed(self, chunk: bytes | bytearray | memoryview) -> list[Batch | _Control | _ListEnd | _Skip]: ...
    def finish(self) -> None: ...
