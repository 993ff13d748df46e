"""Who cuts bodies, and how they are compared.

A LIST comes whole to decoders, a WATCH cut into its lines; to the scanner and the plain copy both come in chunks.
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
    """One way to go through a body.

    Attributes:
        run: What is timed.
        answer: What comes of it: JSON, an object at a time.
        chunks: Whether bodies come to it in chunks.
    """

    run: Callable[[Body], object]
    answer: Callable[[Body], Iterable[bytes]]
    chunks: bool = False


def compare(timed: Timed, pods: Pods, mode: Mode, rival: Rival, expected: Iterable[Decoded]) -> None:
    """Checks a rival's answer, and times it."""
    body = [pods.listed] if mode == "list" else pods.before.lines
    size = sum(map(len, body))
    if rival.chunks:
        body = chunks(b"".join(body))
    assert [_nameless(msgspec.json.decode(raw)) for raw in rival.answer(body)] == list(map(_nameless, expected))
    timed(lambda: rival.run(body), objects=len(pods.keys), size=size)


def _nameless(found: Decoded) -> Decoded:
    """Without what the items of a LIST do not tell."""
    return {name: value for name, value in found.items() if name not in ("apiVersion", "kind")}


def scanner(mode: Mode, prune: Prune) -> Rival:
    """kinform's, as far as batches: no object of Python is made of any pod."""
    return Rival(
        lambda body: sum(map(len, scan(mode, body, prune))),
        lambda body: (batch.raw(i) for batch in scan(mode, body, prune) for i in range(len(batch))),
        chunks=True,
    )


def memcpy(mode: Mode) -> Rival:
    """The least that anybody could do with a body."""

    def answer(body: Body) -> Iterable[bytes]:
        copied = b"".join(map(bytearray, body))
        lines = [copied] if mode == "list" else copied.splitlines()
        return map(msgspec.json.encode, decoded(mode, msgspec.json.decode, lines))

    return Rival(lambda body: sum(len(bytearray(chunk)) for chunk in body), answer, chunks=True)


def decoded(mode: Mode, loads: Callable[[bytes], Any], body: Body) -> list[Any]:
    """The objects of a body."""
    return loads(body[0])["items"] if mode == "list" else [loads(line)["object"] for line in body]


class Frame(msgspec.Struct, gc=False):
    """An event of a WATCH, its object uncut."""

    type: str
    object: msgspec.Raw


class Listed(msgspec.Struct, gc=False):
    """A LIST, its objects uncut."""

    kind: str
    apiVersion: str
    items: list[msgspec.Raw]


_read_frame = msgspec.json.Decoder(Frame).decode
_read_list = msgspec.json.Decoder(Listed).decode


def uncut(mode: Mode, body: Body) -> list[msgspec.Raw]:
    """The objects of a body, as slices of it."""
    return _read_list(body[0]).items if mode == "list" else [_read_frame(line).object for line in body]
