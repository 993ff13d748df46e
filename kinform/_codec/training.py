"""What a collection's objects are best coded against, found by trying it on objects that were held out.

Candidates are made from three quarters of the samples and judged by the fourth: by all the memory that the collection
would take, what is coded against included. Training on few samples goes wrong in silence otherwise: a dictionary
about as large as its samples is worse than none. Works in any thread and keeps nothing.
Source: zstandard's COVER and its dictionary format (RFC 8878, 5); facility location for choosing whole objects.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from random import Random

import msgspec
import zstandard

from kinform._codec.zstd import (
    DIGESTED_BYTES,
    READING_BYTES,
    REPEATED,
    Base,
    Dictionary,
    Encode,
    Prefix,
    encode,
    plain_encoder,
)

SAMPLE_BYTES = 1 << 20  # in all
LARGEST_SAMPLE = 32 << 10  # of one object: a few large ones must not crowd out the rest
GAP_BYTES = 256 << 10  # between samples, from which on they are moved together
SIZES = tuple(kib << 10 for kib in (4, 8, 16, 32, 64, 112))
SEGMENTS = (1_000, 300, 2_000)  # bytes that COVER takes at a time; the first is best most often
PREFIX_BYTES = 64 << 10  # a longer one is copied too often
EXPECTED = 256  # objects, where there are fewer yet: a few KB more may be kept for them
COMPARED = 40  # objects that are compared with one another, at most
JUDGED = 64  # objects that are held out, at most
FEWEST = 12  # samples
TABLES_PAY = 1 << 20  # bytes of plain blobs: above, a dictionary's tables may be worth what they take,
PREFIX_PAYS = 4 << 20  # and above, a prefix is not, as objects are not written with it as they come
WRITING_PAYS = 1 << 20  # bytes saved: above, objects are written with a dictionary as they come


class Choice(msgspec.Struct, frozen=True):
    """What to code against, None for nothing; and the bytes of an object that came of it on the held-out quarter."""

    base: Base | None
    object_bytes: float
    write: bool = False  # it is worth a context to write objects with as they come


class Recipe(msgspec.Struct, frozen=True):
    """How to make one."""

    bytes: int
    segment: int  # COVER's; 0: whole objects
    tables: bool  # a dictionary with tables of statistics, else a prefix


def begin(samples: Sequence[bytes]) -> Base | None:
    """A dictionary for what follows samples that came first: of the construction that is best most often, untried."""
    maker = _Maker(samples)
    size = max((size for size in SIZES if size <= min(64 << 10, maker.bytes // 6)), default=SIZES[0])
    made = maker.make(Recipe(size, SEGMENTS[0], True))
    return made if made is not None and _works(made, samples) else None


def choose(samples: Sequence[bytes], population: int, current: Base | None = None) -> Choice:
    """Finds what makes a collection smallest.

    Args:
        samples: Objects in no particular order.
        population: How many objects will be coded.
        current: What is in use. It is kept unless something is better by a twentieth, or nothing at all.
    """
    held = samples[: min(len(samples) // 4, JUDGED)]
    if len(samples) < FEWEST:
        return Choice(None, 0.0)
    population = max(population, EXPECTED)
    plain = population * _mean(plain_encoder(), held)
    best, cost = Choice(None, plain / population), plain
    if current is not None:
        best, total = _weigh(current, held, population, plain)
        cost = total / 1.05
        if plain < cost:
            best, cost = Choice(None, plain / population), plain
    chosen: Recipe | None = None
    maker = _Maker(samples[len(held) :])
    for recipe in _candidates(maker, plain):
        if recipe.bytes < cost and (made := maker.make(recipe)) is not None and _works(made, held):
            choice, total = _weigh(made, held, population, plain)
            if total < cost:
                best, cost, chosen = choice, total, recipe
    if chosen is None:
        return best
    # Made again from all samples: what was held out is as good to have in it.
    whole = _Maker(samples).make(chosen)
    return best if whole is None or not _works(whole, held) else Choice(whole, best.object_bytes, best.write)


def _weigh(base: Base, held: Sequence[bytes], population: int, plain: float) -> tuple[Choice, float]:
    """What a base gives, and all the memory that the collection takes with it."""
    object_bytes = _mean(base.encoder(), held)
    blobs = population * object_bytes
    if not isinstance(base, Dictionary):
        return Choice(base, object_bytes), blobs + base.held_bytes
    write = plain - blobs > WRITING_PAYS
    fixed = len(base.content()) + DIGESTED_BYTES + READING_BYTES + (base.writing_bytes if write else 0)
    return Choice(base, object_bytes, write), blobs + fixed


def _candidates(made_of: _Maker, plain: float) -> Iterator[Recipe]:
    sizes = [size for size in SIZES if size * 6 <= made_of.bytes]
    segments: tuple[int, ...] = SEGMENTS
    if len(made_of.samples) <= 2 * COMPARED:
        segments = (*SEGMENTS, 0)
        sizes = [size for size in SIZES if size * 2 <= made_of.bytes]
    if plain > PREFIX_PAYS:
        sizes = sizes[-3:]
    for size in sizes:
        for segment in segments:
            if segment and size * 6 > made_of.bytes:
                continue
            if plain <= PREFIX_PAYS and size <= PREFIX_BYTES:
                yield Recipe(size, segment, False)
            if plain > TABLES_PAY:
                yield Recipe(size, segment, True)


class _Maker:
    """Makes bases of some samples."""

    def __init__(self, samples: Sequence[bytes]) -> None:
        self.samples = samples
        self.bytes = sum(map(len, samples))
        self._learnt: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def make(self, recipe: Recipe) -> Base | None:
        """None where zstandard finds nothing to learn."""
        content, header = self._content(recipe)
        if recipe.tables and header and content:
            return Dictionary(header + content)
        return Prefix(content) if content and not recipe.tables else None

    def _content(self, recipe: Recipe) -> tuple[bytes, bytes]:
        """Content, and a header of statistics to go with it."""
        if recipe.segment:
            return self._trained(recipe.bytes, recipe.segment)
        chosen, room = [], recipe.bytes
        for sample in self._representatives:
            if len(sample) <= room:
                chosen.append(sample)
                room -= len(sample)
        # The statistics of another content of the same samples are within a hundredth of its own.
        _, header = self._trained(min(recipe.bytes, self.bytes // 8), SEGMENTS[0]) if recipe.tables else (b"", b"")
        return b"".join(reversed(chosen)), header

    def _trained(self, size: int, segment: int) -> tuple[bytes, bytes]:
        size = max(size, 2 << 10)
        if (size, segment) not in self._learnt:
            try:
                whole = zstandard.train_dictionary(size, list(self.samples), k=segment, d=8, f=16, accel=1).as_bytes()
                end = whole.rindex(REPEATED) + len(REPEATED)
                self._learnt[size, segment] = whole[end:], whole[:end]
            except zstandard.ZstdError:
                self._learnt[size, segment] = b"", b""
        return self._learnt[size, segment]

    @functools.cached_property
    def _representatives(self) -> list[bytes]:
        """Whole objects that together make the others smallest, the best first."""
        tried = [sample for sample in self.samples if len(sample) < LARGEST_SAMPLE][:COMPARED]
        now = [len(encode(sample)) for sample in tried]
        costs = []
        for candidate in tried:
            against = Prefix(candidate).encoder()
            costs.append([len(against(sample)) for sample in tried])
        chosen: list[bytes] = []
        left = set(range(len(tried)))
        while left:
            gain, best = max((_gain(now, costs[i]) / (len(tried[i]) + 64), i) for i in left)
            if gain <= 0:
                break
            chosen.append(tried[best])
            left.discard(best)
            now = list(map(min, now, costs[best]))
        return chosen


def _gain(now: list[int], then: list[int]) -> int:
    return sum(a - b for a, b in zip(now, then, strict=True) if b < a)


def _works(base: Base, samples: Sequence[bytes]) -> bool:
    """Whether zstandard takes it: a header and a content that were not made for each other could be refused."""
    try:
        compress = base.encoder()
        return all(base.decode(compress(sample)) == sample for sample in samples[:8])
    except zstandard.ZstdError:
        return False


def _mean(compress: Encode, samples: Sequence[bytes]) -> float:
    return sum(len(compress(sample)) for sample in samples) / max(len(samples), 1)


class Reservoir:
    """Samples of all objects that went by, each with the same chance, within `SAMPLE_BYTES`.

    They lie in one piece: small ones would be freed one by one between what stays, and malloc would keep the gaps.

    Args:
        seed: Of the chances; the same objects give the same samples.

    Attributes:
        seen: How many went by.
        full: Whether there was no room for one of them.
    """

    def __init__(self, seed: int = 1) -> None:
        self._random = Random(seed)
        self._bytes = bytearray()
        self._samples: list[slice] = []
        self._kept_bytes = 0
        self._next = 0
        self.seen = 0
        self.full = False

    @property
    def held_bytes(self) -> int:
        """What they take, with those that were let go but lie between others."""
        return len(self._bytes)

    def observe(self, data: memoryview | bytes) -> None:
        """Lets one object go by."""
        self.seen += 1
        if self.seen >= self._next:
            self._add(data[:LARGEST_SAMPLE])

    def pass_by(self, read: Callable[[], bytes]) -> None:
        """Lets one go by that is only read if it is kept."""
        self.seen += 1
        if self.seen >= self._next:
            self._add(read()[:LARGEST_SAMPLE])

    def _add(self, sample: memoryview | bytes) -> None:
        samples, random = self._samples, self._random
        while samples and self._kept_bytes + len(sample) > SAMPLE_BYTES:
            self.full = True
            place = random.randrange(len(samples))
            samples[place], samples[-1] = samples[-1], samples[place]
            gone = samples.pop()
            self._kept_bytes -= gone.stop - gone.start
        if len(self._bytes) + len(sample) > SAMPLE_BYTES + GAP_BYTES:
            self._close_gaps()
        end = len(self._bytes)
        self._bytes += sample
        samples.append(slice(end, end + len(sample)))
        self._kept_bytes += len(sample)
        if self.full:
            # The n-th of all belongs in with a chance of k in n: how many to pass over until one does.
            self._next = self.seen + 1 + int(random.expovariate(1.0) * self.seen / len(samples))

    def _close_gaps(self) -> None:
        kept, end = bytearray(), 0
        for place, each in enumerate(self._samples):
            kept += self._bytes[each]
            self._samples[place] = slice(end, end := len(kept))
        self._bytes = kept

    def samples(self) -> list[bytes]:
        """What was kept, in no particular order."""
        shuffled = [bytes(self._bytes[each]) for each in self._samples]
        self._random.shuffle(shuffled)
        return shuffled
