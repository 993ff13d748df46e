"""What becomes of one object in the background: a delta, an exemplar, what the base makes of it, or itself.

Takes what is smallest, unless what is little smaller would be slower to read or leave an exemplar that does not pay
for itself. Never changes a table or makes a codec known; `_codec` does, with the outcome.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kinform._codec.exemplars import WORTH_BYTES, Groups, Member, Ripe, hint, sketch
from kinform._codec.zstd import Base, Encode, Exemplar, encode

AS_IT_IS = 0  # the codec of what nothing makes smaller
OPEN_WRITERS = 4
WORTH = 0.85  # of the blob that the base makes: a delta must be smaller than that
PLAINLY = 4  # one in so many objects is coded plainly as well, to know what the base is worth


class Seen(msgspec.Struct):
    """What the base made of objects, beside what plain coding makes of some of them."""

    objects: int = 0
    coded: int = 0
    plain: int = 0


class Outcome(msgspec.Struct):
    """What an object should become."""

    codec: int
    blob: bytes
    exemplar: Exemplar | None = None  # new, to be known before the blob is
    members: tuple[Member, ...] = ()  # which go to it as well


class Outcomes:
    """Decides, during one pass; for one thread at a time.

    Args:
        groups: The collection's.
        base: What is coded against where there is no exemplar.
        compress: What does that.
        done: The codec of it.
        number: Makes up codecs.
        read: Gives an object of a group, None where it is gone.
        seen: Takes the figures.
    """

    def __init__(
        self,
        groups: Groups,
        base: Base | None,
        compress: Encode,
        done: int,
        number: Callable[[], int],
        read: Callable[[int], bytes | None],
        seen: Seen,
    ) -> None:
        self._groups = groups
        self._base = base
        self._compress = compress
        self._done = done
        self._number = number
        self._read = read
        self._seen = seen
        self._writers: dict[int, Encode] = {}

    def delta(self, exemplar: Exemplar, cut: bytes) -> bytes:
        """A delta. Keeps a few contexts for the length of the pass, as replicas follow one another."""
        writer = self._writers.get(exemplar.codec)
        if writer is None:
            if len(self._writers) >= OPEN_WRITERS:
                del self._writers[next(iter(self._writers))]
            writer = self._writers[exemplar.codec] = exemplar.encoder()
        return writer(cut)

    def of(self, cut: bytes, key: str, member: Member, written: int) -> Outcome:
        """What should become of an object.

        Args:
            cut: Its bytes.
            key: Its key.
            member: Its id and codec.
            written: Bytes of its blob if a dictionary made it, 0 if none did.
        """
        groups = self._groups
        own = hint(cut, key)
        hints = (own,) if own else ()
        near = groups.find(hints)
        if near and written:
            # Most often a replica: spares it the base.
            blob = self.delta(near[0], cut)
            if 2 * len(blob) < written:
                return Outcome(near[0].codec, blob)
        coded = self._coded(cut)
        best = Outcome(self._done, coded) if len(coded) < len(cut) else Outcome(AS_IT_IS, cut)
        if len(coded) < WORTH_BYTES:
            return best
        best = self._best(best, near, cut, coded)
        features = () if near else hints
        if best.codec == self._done and (ripe := groups.ripe(features, len(coded))):
            made = self._exemplify(cut, (*hints, *sketch(cut)), ripe, coded)
            if made is not None:
                return made
        if best.codec == self._done and groups.sketching:
            sketched = sketch(cut)
            best = self._best(best, groups.find(sketched), cut, coded)
            ripe = groups.ripe(sketched, len(coded)) if best.codec == self._done else None
            made = self._exemplify(cut, (*hints, *sketched), ripe, coded) if ripe is not None else None
            groups.sketched(matched=best.codec != self._done or made is not None)
            if made is not None:
                return made
            if best.codec == self._done:
                features = (*features, *sketched)
        groups.wait(features, (member[0], best.codec))
        return best

    def _coded(self, cut: bytes) -> bytes:
        coded = self._compress(cut)
        seen = self._seen
        seen.objects += 1
        if not seen.objects % PLAINLY:
            seen.coded += len(coded)
            seen.plain += len(encode(cut))
        return coded

    def _best(self, best: Outcome, exemplars: list[Exemplar], cut: bytes, coded: bytes) -> Outcome:
        for exemplar in exemplars:
            blob = self.delta(exemplar, cut)
            if len(blob) < min(len(best.blob), WORTH * len(coded)):
                best = Outcome(exemplar.codec, blob)
        return best

    def _exemplify(self, cut: bytes, features: tuple[int, ...], ripe: Ripe, coded: bytes) -> Outcome | None:
        """Makes an object an exemplar, if what its group saves by that is more than what it costs."""
        count, members = ripe
        if (other := self._read(members[-1][0])) is None:
            return None
        exemplar = Exemplar(coded, self._base, self._number(), features)
        against = exemplar.encoder()
        # Where so many are, more will come.
        if count * (len(coded) - len(against(other))) * 4 < exemplar.held_bytes * 3:
            return None
        return Outcome(exemplar.codec, against(cut), exemplar, members)
