"""Alternatives that split response bodies into objects, and their comparison.

Decoders get a LIST as a whole, and a WATCH split into lines. The scanner and memcpy get both in chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import msgspec

from benchmarks.micro.conftest import Timed
from benchmarks.micro.pods import Decoded, Pods, chunks, scan
from kinform import Prune

Mode = Literal["list", "watch"]
Body = list[bytes]


class Rival(NamedTuple):
    """A way to process a body.

    Attributes:
        run: The timed function.
        answer: Returns its result as JSON, one object at a time.
        chunks: Whether it gets the body in chunks.
    """

    run: Callable[[Body], object]
    answer: Callable[[Body], Iterable[bytes]]
    chunks: bool = False


def compare(timed: Timed, pods: Pods, mode: Mode, rival: Rival, expected: Iterable[Decoded]) -> None:
    """Checks a rival's answer, then times it."""
    body = [pods.listed] if mode == "list" else pods.before.lines
    size = sum(map(len, body))
    if rival.chunks:
        body = chunks(b"".join(body))
    answer = [_without_kind(msgspec.json.decode(raw)) for raw in rival.answer(body)]
    assert answer == list(map(_without_kind, expected))
    timed(lambda: rival.run(body), objects=len(pods.keys), size=size)


def _without_kind(found: Decoded) -> Decoded:
    """The object without apiVersion and kind, which items of a LIST do not carry."""
    return {name: value for name, value in found.items() if name not in ("apiVersion", "kind")}


def scanner(mode: Mode, prune: Prune) -> Rival:
    """Returns kinform's scanner. It creates batches, but no Python object for a pod."""
    return Rival(
        lambda body: sum(map(len, scan(mode, body, prune))),
        lambda body: (batch.raw(i) for batch in scan(mode, body, prune) for i in range(len(batch))),
        chunks=True,
    )


def memcpy(mode: Mode) -> Rival:
    """Returns a plain copy, the lower bound."""

    def answer(body: Body) -> Iterable[bytes]:
        copied = b"".join(map(bytearray, body))
        lines = [copied] if mode == "list" else copied.splitlines()
        return map(msgspec.json.encode, decoded(mode, msgspec.json.decode, lines))

    return Rival(lambda body: sum(len(bytearray(chunk)) for chunk in body), answer, chunks=True)


def decoded(mode: Mode, loads: Callable[[bytes], Any], body: Body) -> list[Any]:
    """Returns the decoded objects of a body."""
    return loads(body[0])["items"] if mode == "list" else [loads(line)["object"] for line in body]


class RawEvent(msgspec.Struct, gc=False):
    """An event of a WATCH with its object as raw JSON."""

    type: str
    object: msgspec.Raw


class RawList(msgspec.Struct, gc=False):
    """A LIST with its objects as raw JSON."""

    kind: str
    apiVersion: str
    items: list[msgspec.Raw]


_decode_event = msgspec.json.Decoder(RawEvent).decode
_decode_list = msgspec.json.Decoder(RawList).decode


def raw_objects(mode: Mode, body: Body) -> list[msgspec.Raw]:
    """Returns the objects of a body as slices of it."""
    return _decode_list(body[0]).items if mode == "list" else [_decode_event(line).object for line in body]
