"""Chooses the base: a prefix or dictionary that all objects of a collection share.

Candidates are made from three quarters of the samples and measured on the fourth, by the memory of the whole
collection, including that of the base. Without held-out objects, training on few samples fails silently: a dictionary
about as large as its samples is worse than plain compression. Works in any thread and keeps nothing.
Source: zstandard's COVER and its dictionary format (RFC 8878, 5); facility location to select whole objects.
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
    REPEATED_OFFSETS,
    Base,
    Dictionary,
    Encode,
    Prefix,
    compress,
    plain_encoder,
)

SAMPLE_BYTES = 1 << 20  # of all samples
MAX_SAMPLE_BYTES = 32 << 10  # bytes of one object, so that a few large ones do not crowd out the others
GAP_BYTES = 256 << 10  # between samples, above which they are compacted
SIZES = tuple(kib << 10 for kib in (4, 8, 16, 32, 64, 112))
SEGMENTS = (1_000, 300, 2_000)  # bytes of a COVER segment; the first is most often the best
MAX_PREFIX_BYTES = 64 << 10  # copying a longer one at each read takes too long
MIN_POPULATION = 256  # objects: a small collection is expected to grow to it
MAX_COMPARED = 40  # objects compared with each other
MAX_HELD_OUT = 64  # samples
MIN_SAMPLES = 12
MIN_PLAIN_FOR_TABLES = 1 << 20  # bytes of plain blobs; with fewer the tables of a dictionary cost more than they save
MAX_PLAIN_FOR_PREFIX = 4 << 20  # bytes of plain blobs; above, only a dictionary, which also compresses on arrival
MIN_SAVED_FOR_WRITING = 1 << 20  # bytes a dictionary must save to be used on arrival


class Choice(msgspec.Struct, frozen=True):
    """The result of `choose`.

    Attributes:
        base: The base; None: plain compression.
        write: True if the base is worth a context to compress objects on arrival.
    """

    base: Base | None
    write: bool = False


class Recipe(msgspec.Struct, frozen=True):
    """Parameters of a base.

    Attributes:
        bytes: Size of its content.
        segment: Bytes of a COVER segment; 0: whole objects.
        tables: True: a dictionary with tables of statistics. False: a prefix.
    """

    bytes: int
    segment: int
    tables: bool


def make_early_base(samples: Sequence[bytes]) -> Base | None:
    """Makes a dictionary from the first objects. The recipe is the usual winner."""
    maker = _Maker(samples)
    size = max((size for size in SIZES if size <= min(64 << 10, maker.bytes // 6)), default=SIZES[0])
    base = maker.make(Recipe(size, SEGMENTS[0], True))
    return base if base is not None and _accepts(base, samples) else None


def choose(samples: Sequence[bytes], population: int, current: Base | None = None) -> Choice:
    """Chooses the base with which the collection takes least memory.

    Args:
        samples: Objects in random order.
        population: Number of objects in the collection.
        current: The base in use. It is kept unless another base is better by 5 %, or plain compression is better.
    """
    held_out = samples[: min(len(samples) // 4, MAX_HELD_OUT)]
    if len(samples) < MIN_SAMPLES:
        return Choice(None)
    population = max(population, MIN_POPULATION)
    plain = population * _mean_bytes(plain_encoder(), held_out)
    best, cost = Choice(None), plain
    if current is not None:
        best, total = _measure(current, held_out, population, plain)
        cost = total / 1.05
        if plain < cost:
            best, cost = Choice(None), plain
    chosen: Recipe | None = None
    maker = _Maker(samples[len(held_out) :])
    for recipe in _candidates(maker, plain):
        if recipe.bytes < cost and (base := maker.make(recipe)) is not None and _accepts(base, held_out):
            choice, total = _measure(base, held_out, population, plain)
            if total < cost:
                best, cost, chosen = choice, total, recipe
    if chosen is None:
        return best
    # Made again from all samples, including the held-out ones.
    remade = _Maker(samples).make(chosen)
    return best if remade is None or not _accepts(remade, held_out) else Choice(remade, best.write)


def _measure(base: Base, held_out: Sequence[bytes], population: int, plain: float) -> tuple[Choice, float]:
    """Returns the choice of a base, and the memory of the collection with it."""
    blobs = population * _mean_bytes(base.encoder(), held_out)
    if not isinstance(base, Dictionary):
        return Choice(base), blobs + base.held_bytes
    write = plain - blobs > MIN_SAVED_FOR_WRITING
    fixed = len(base.content()) + DIGESTED_BYTES + READING_BYTES + (base.writing_bytes if write else 0)
    return Choice(base, write), blobs + fixed


def _candidates(maker: _Maker, plain: float) -> Iterator[Recipe]:
    sizes = [size for size in SIZES if size * 6 <= maker.bytes]
    segments: tuple[int, ...] = SEGMENTS
    if len(maker.samples) <= 2 * MAX_COMPARED:
        segments = (*SEGMENTS, 0)
        sizes = [size for size in SIZES if size * 2 <= maker.bytes]
    if plain > MAX_PLAIN_FOR_PREFIX:
        sizes = sizes[-3:]
    for size in sizes:
        for segment in segments:
            if segment and size * 6 > maker.bytes:
                continue
            if plain <= MAX_PLAIN_FOR_PREFIX and size <= MAX_PREFIX_BYTES:
                yield Recipe(size, segment, False)
            if plain > MIN_PLAIN_FOR_TABLES:
                yield Recipe(size, segment, True)


class _Maker:
    """Makes bases from samples."""

    def __init__(self, samples: Sequence[bytes]) -> None:
        self.samples = samples
        self.bytes = sum(map(len, samples))
        self._trained_by_size: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def make(self, recipe: Recipe) -> Base | None:
        """Makes a base, or returns None if zstandard finds nothing to learn."""
        content, header = self._content(recipe)
        if recipe.tables and header and content:
            return Dictionary(header + content)
        return Prefix(content) if content and not recipe.tables else None

    def _content(self, recipe: Recipe) -> tuple[bytes, bytes]:
        """Returns the content of a base, and a header with its statistics."""
        if recipe.segment:
            return self._trained(recipe.bytes, recipe.segment)
        chosen, room_bytes = [], recipe.bytes
        for sample in self._representatives:
            if len(sample) <= room_bytes:
                chosen.append(sample)
                room_bytes -= len(sample)
        # Statistics of other content from the same samples cost at most 1 %.
        _, header = self._trained(min(recipe.bytes, self.bytes // 8), SEGMENTS[0]) if recipe.tables else (b"", b"")
        return b"".join(reversed(chosen)), header

    def _trained(self, size: int, segment: int) -> tuple[bytes, bytes]:
        size = max(size, 2 << 10)
        if (size, segment) not in self._trained_by_size:
            try:
                trained = zstandard.train_dictionary(size, list(self.samples), k=segment, d=8, f=16, accel=1).as_bytes()
                end = trained.rindex(REPEATED_OFFSETS) + len(REPEATED_OFFSETS)
                self._trained_by_size[size, segment] = trained[end:], trained[:end]
            except zstandard.ZstdError:
                self._trained_by_size[size, segment] = b"", b""
        return self._trained_by_size[size, segment]

    @functools.cached_property
    def _representatives(self) -> list[bytes]:
        """Whole objects that together make the others smallest, best first."""
        tried = [sample for sample in self.samples if len(sample) < MAX_SAMPLE_BYTES][:MAX_COMPARED]
        now = [len(compress(sample)) for sample in tried]
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


def _accepts(base: Base, samples: Sequence[bytes]) -> bool:
    """Returns whether zstandard accepts the combination of header and content."""
    try:
        compress = base.encoder()
        return all(base.decode(compress(sample)) == sample for sample in samples[:8])
    except zstandard.ZstdError:
        return False


def _mean_bytes(compress: Encode, samples: Sequence[bytes]) -> float:
    return sum(len(compress(sample)) for sample in samples) / max(len(samples), 1)


class Reservoir:
    """Random samples of observed objects, all equally likely, within `SAMPLE_BYTES`.

    They are held in one buffer. Single samples would leave gaps in the heap when they are freed.

    Args:
        seed: Seed of the random choice. The same objects give the same samples.

    Attributes:
        seen: Number of observed objects.
        full: True if samples have been replaced.
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
        """Memory of the buffer in bytes, gaps included."""
        return len(self._bytes)

    def observe(self, data: memoryview | bytes) -> None:
        """Observes an object."""
        self.seen += 1
        if self.seen >= self._next:
            self._add(data[:MAX_SAMPLE_BYTES])

    def observe_lazily(self, read: Callable[[], bytes]) -> None:
        """Observes an object that is read only if it becomes a sample."""
        self.seen += 1
        if self.seen >= self._next:
            self._add(read()[:MAX_SAMPLE_BYTES])

    def _add(self, sample: memoryview | bytes) -> None:
        samples, random = self._samples, self._random
        while samples and self._kept_bytes + len(sample) > SAMPLE_BYTES:
            self.full = True
            place = random.randrange(len(samples))
            samples[place], samples[-1] = samples[-1], samples[place]
            removed = samples.pop()
            self._kept_bytes -= removed.stop - removed.start
        if len(self._bytes) + len(sample) > SAMPLE_BYTES + GAP_BYTES:
            self._close_gaps()
        end = len(self._bytes)
        self._bytes += sample
        samples.append(slice(end, end + len(sample)))
        self._kept_bytes += len(sample)
        if self.full:
            # The n-th object becomes a sample with probability k/n: the number of objects to skip until one does.
            self._next = self.seen + 1 + int(random.expovariate(1.0) * self.seen / len(samples))

    def _close_gaps(self) -> None:
        kept, end = bytearray(), 0
        for place, each in enumerate(self._samples):
            kept += self._bytes[each]
            self._samples[place] = slice(end, end := len(kept))
        self._bytes = kept

    def samples(self) -> list[bytes]:
        """Returns the samples in random order."""
        shuffled = [bytes(self._bytes[each]) for each in self._samples]
        self._random.shuffle(shuffled)
        return shuffled
