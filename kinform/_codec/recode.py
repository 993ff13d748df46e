"""Decides how an object is recompressed.

It becomes a delta, an exemplar or a blob against the base, or stays uncompressed. The smallest result is taken, unless
a slightly smaller one would be slower to read, or would leave an exemplar that is not worth its memory. The codec
applies the result to the table.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kinform._codec.exemplars import MIN_BLOB_BYTES, Candidate, Groups, Member, hint, sketch
from kinform._codec.zstd import Base, Encode, Exemplar, compress

UNCOMPRESSED = 0  # codec number of an object that compression does not shrink
MAX_OPEN_WRITERS = 4
MAX_DELTA_RATIO = 0.85  # of a delta to the blob against the base
SAMPLE_EVERY = 4  # objects: one is also compressed plainly, to measure the gain of the base


class Seen(msgspec.Struct):
    """Bytes of sampled objects: compressed against the base, and plainly."""

    objects: int = 0
    coded: int = 0
    plain: int = 0


class Outcome(msgspec.Struct):
    """The decision for an object, and its blob."""

    codec: int
    blob: bytes
    exemplar: Exemplar | None = None  # new: register it before the blob
    members: tuple[Member, ...] = ()  # earlier objects that become deltas too


class Outcomes:
    """Decides for the objects of one pass. For one thread at a time.

    Args:
        groups: The groups of the collection.
        base: The base of objects that are not deltas.
        compress: Compresses against the base.
        done: Codec number of that.
        number: Returns an unused codec number.
        read: Returns an object by its id; None if it does not exist any more.
        seen: Counts sampled objects.
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

    def delta(self, exemplar: Exemplar, source: bytes) -> bytes:
        """Returns a delta. Keeps a few contexts open, because replicas follow each other."""
        writer = self._writers.get(exemplar.codec)
        if writer is None:
            if len(self._writers) >= MAX_OPEN_WRITERS:
                del self._writers[next(iter(self._writers))]
            writer = self._writers[exemplar.codec] = exemplar.encoder()
        return writer(source)

    def of(self, source: bytes, key: str, member: Member, written: int) -> Outcome:
        """Decides for an object.

        Args:
            source: Bytes of the object, without the parts that the table stores separately.
            key: Its key.
            member: Its id and codec number.
            written: Bytes of its blob if it was compressed with a dictionary, else 0.
        """
        groups = self._groups
        own_group = hint(source, key)
        hints = (own_group,) if own_group else ()
        neighbours = groups.find(hints)
        if neighbours and written:
            # Usually a replica: compressing against the base is not needed.
            blob = self.delta(neighbours[0], source)
            if 2 * len(blob) < written:
                return Outcome(neighbours[0].codec, blob)
        coded = self._compress_to_base(source)
        best = Outcome(self._done, coded) if len(coded) < len(source) else Outcome(UNCOMPRESSED, source)
        if len(coded) < MIN_BLOB_BYTES:
            return best
        best = self._smaller(best, neighbours, source, coded)
        features = () if neighbours else hints
        if best.codec == self._done and (candidate := groups.candidate(features, len(coded))):
            outcome = self._make_exemplar(source, (*hints, *sketch(source)), candidate, coded)
            if outcome is not None:
                return outcome
        if best.codec == self._done and groups.sketching:
            sketched = sketch(source)
            best = self._smaller(best, groups.find(sketched), source, coded)
            candidate = groups.candidate(sketched, len(coded)) if best.codec == self._done else None
            outcome = (
                self._make_exemplar(source, (*hints, *sketched), candidate, coded) if candidate is not None else None
            )
            groups.sketched(matched=best.codec != self._done or outcome is not None)
            if outcome is not None:
                return outcome
            if best.codec == self._done:
                features = (*features, *sketched)
        groups.add_member(features, (member[0], best.codec))
        return best

    def _compress_to_base(self, source: bytes) -> bytes:
        coded = self._compress(source)
        seen = self._seen
        seen.objects += 1
        if not seen.objects % SAMPLE_EVERY:
            seen.coded += len(coded)
            seen.plain += len(compress(source))
        return coded

    def _smaller(self, best: Outcome, exemplars: list[Exemplar], source: bytes, coded: bytes) -> Outcome:
        """Returns the best delta against these exemplars, if it is smaller than `best`."""
        for exemplar in exemplars:
            blob = self.delta(exemplar, source)
            if len(blob) < min(len(best.blob), MAX_DELTA_RATIO * len(coded)):
                best = Outcome(exemplar.codec, blob)
        return best

    def _make_exemplar(
        self, source: bytes, features: tuple[int, ...], candidate: Candidate, coded: bytes
    ) -> Outcome | None:
        """Makes the object an exemplar if its group saves more memory than that costs."""
        count, members = candidate
        if (other := self._read(members[-1][0])) is None:
            return None
        exemplar = Exemplar(coded, self._base, self._number(), features)
        against = exemplar.encoder()
        # The factor 4/3 is for members that will follow.
        if count * (len(coded) - len(against(other))) * 4 < exemplar.held_bytes * 3:
            return None
        return Outcome(exemplar.codec, against(source), exemplar, members)
