"""The codec of a collection: compresses objects on arrival and in the background.

An object that arrives is compressed plainly, or with a dictionary once a large collection has one: a few microseconds
each. In the background every object is compressed again, once: against the base that `training` chose for this
collection, or as a delta against an exemplar of `exemplars`. The codec number of a blob says what is needed to read it,
and whether it was recompressed. Bases and exemplars are kept while a blob needs them. Objects change while the
background works: a new blob replaces the old one only if the object still has the blob that it was made from.

Longer than 400 lines: choosing, recompressing and releasing share one state.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import zstandard

from kinform._codec.exemplars import Groups
from kinform._codec.recode import UNCOMPRESSED, Outcome, Outcomes, Seen
from kinform._codec.training import MAX_SAMPLE_BYTES, SAMPLE_BYTES, Reservoir, choose, make_early_base
from kinform._codec.zstd import Base, Dictionary, Encode, Exemplar, Prefix, compress, decompress, plain_encoder
from kinform._worker_thread import in_thread, trim_heap
from kinform_ext._table import Table

PLAIN = 1  # compressed plainly on arrival
PLAIN_DONE = 2  # recompressed plainly, because nothing better was found
FIRST_BASE = 3
LAST_CODEC = 0xFFFF

CHECK_SECONDS = 5.0  # between two checks for objects to recompress
MIN_PENDING_RATIO = 0.01  # of the objects; with fewer pending ones a check does nothing
MAX_SKIPPED_CHECKS = 12  # checks in a row that may do nothing while objects are pending
SLICE_SECONDS = 0.0015  # of work before it yields to the event loop
REST_RATIO = 2.0  # seconds of rest for each second of work
BATCH_OBJECTS = 16  # between two looks at the clock
TRIM_OBJECTS = 1_024  # recompressed objects in a pass after which the heap is trimmed
LARGE_BYTES = 64 << 10  # an object of this size is compressed in the worker thread
MAX_EARLY_DICTIONARIES = 3  # made while the first list arrives
EARLY_OBJECTS = 1_024  # or `SAMPLE_BYTES`: enough samples for an early dictionary
GROWTH_FACTOR = 4  # times more or fewer objects: choose a base again
MIN_OBJECTS = 16  # of a collection that gets a base
MAX_RATIO_INCREASE = 1.25  # compared to plain compression, since the base was chosen: choose again
MIN_RATIO_OBJECTS = 128  # compressed since the last check of the ratio
STATE_FORMAT = 1


class _Generation(msgspec.Struct, frozen=True):
    """A base and its two codec numbers.

    Attributes:
        base: The base.
        inline: Codec number of objects compressed on arrival.
        done: Codec number of recompressed objects.
    """

    base: Base
    inline: int
    done: int


class CodecState(msgspec.Struct, array_like=True):
    """State of a codec in a snapshot."""

    format: int
    chosen_for: int
    current: int
    write: bool
    generations: list[tuple[int, int, bool, bytes]]
    exemplars: list[tuple[int, int, bytes, tuple[int, ...]]]


class Codec:
    """Compresses the objects of a table, and keeps what is needed to read them.

    Args:
        table: The table. The codec sets its encoder, observer and decoders.
        period: Seconds between two checks for objects to recompress.
        rest_ratio: Seconds of rest for each second of background work.
    """

    def __init__(self, table: Table, *, period: float = CHECK_SECONDS, rest_ratio: float = REST_RATIO) -> None:
        self._table = table
        self._period = period
        self._rest_ratio = rest_ratio
        self._groups = Groups()
        self._generations: dict[int, _Generation] = {}  # by `done`
        self._current: _Generation | None = None
        self._next_codec = FIRST_BASE
        self._chosen_for = 0  # number of objects at the last choice
        self._early_for = 0  # objects seen at the last early dictionary
        self._expected_ratio = 0.0  # to plain compression; 0: not known yet
        self._seen = Seen()
        self._recode_uncompressed = False
        self._wake = asyncio.Event()
        self._unpaused = asyncio.Event()
        self._unpaused.set()
        self._pass_lock = asyncio.Lock()
        self._reservoir: Reservoir | None = Reservoir()
        table.observer = self._observe
        table.set_decoder(PLAIN, decompress)
        table.set_decoder(PLAIN_DONE, decompress)
        self._set_encoder(use_dictionary=False)

    @property
    def paused(self) -> bool:
        """True while objects are not recompressed, as during a list."""
        return not self._unpaused.is_set()

    @paused.setter
    def paused(self, paused: bool) -> None:
        if paused:
            self._unpaused.clear()
        else:
            self._unpaused.set()
            self._wake.set()

    @property
    def dictionary_bytes(self) -> int:
        """Memory of bases, exemplars, contexts and samples, in bytes."""
        held = sum(generation.base.held_bytes for generation in self._generations.values())
        return held + self._groups.held_bytes + (self._reservoir.held_bytes if self._reservoir is not None else 0)

    @property
    def base(self) -> Base | None:
        """The base for new blobs that are not deltas; None: plain compression."""
        return None if self._current is None else self._current.base

    @property
    def exemplars(self) -> int:
        """Number of exemplars; for tests and benchmarks."""
        return len(self._groups.exemplars)

    def base_codecs(self) -> list[tuple[int, int]]:
        """Returns the codec numbers of each base: on arrival, and recompressed.

        There is more than one base while blobs need old ones.
        """
        return [(each.inline, each.done) for each in self._generations.values()]

    async def run(self) -> None:
        """Recompresses in the background until cancelled. Objects stay readable.

        Works for at most `SLICE_SECONDS` before it rests. Longer work runs in the worker thread.
        """
        skipped = 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._period):
                    await self._wake.wait()
            skipped += 1
            pending = sum(map(self._table.refcount, self._pending_codecs()))
            enough = pending > MIN_PENDING_RATIO * len(self._table) or skipped > MAX_SKIPPED_CHECKS
            if enough or self._wake.is_set() or self._choice_due():
                skipped = 0
                self._wake.clear()
                await self.run_pass()

    async def drain(self) -> None:
        """Runs passes until no work is left. Waits while paused."""
        await self._unpaused.wait()
        while await self.run_pass():
            await self._unpaused.wait()

    async def run_pass(self) -> bool:
        """Chooses a base if due, and recompresses pending objects. Returns True if it did."""
        async with self._pass_lock:
            if self.paused or not (len(self._table) or self._chosen_for):
                installed = await self._make_early_dictionary()
                if installed:
                    await in_thread(trim_heap)
                return installed
            self._stop_observing()
            due = self._choice_due()
            chosen = await self._choose() if due else False
            recoded = await self._recode_pending()
            self._free_unused()
            self._check_ratio()
            if due or recoded >= TRIM_OBJECTS:
                await in_thread(trim_heap)
            return chosen or recoded > 0 or self._choice_due()

    # While the first objects arrive

    def _observe(self, data: bytes) -> None:
        if self._reservoir is not None:
            self._reservoir.observe(data)
            if self._enough(self._reservoir):
                self._wake.set()

    def _enough(self, reservoir: Reservoir) -> bool:
        enough = reservoir.full or reservoir.seen >= EARLY_OBJECTS
        return enough and reservoir.seen >= GROWTH_FACTOR * self._early_for

    def _stop_observing(self) -> None:
        if self._reservoir is not None:
            self._reservoir = None
            self._table.observer = None

    async def _make_early_dictionary(self) -> bool:
        """Makes a dictionary from the objects so far, for those that follow."""
        reservoir = self._reservoir
        if reservoir is None or not self._enough(reservoir):
            return False
        self._early_for = reservoir.seen
        samples = reservoir.samples()
        base = await in_thread(make_early_base, samples)
        if base is not None:
            self._install(base, write=True)
        if len(self._generations) >= MAX_EARLY_DICTIONARIES:
            self._stop_observing()
        return base is not None

    # Choosing a base

    def _choice_due(self) -> bool:
        objects, before = len(self._table), self._chosen_for
        return objects >= max(MIN_OBJECTS, GROWTH_FACTOR * before) or objects * GROWTH_FACTOR <= before > 0

    async def _choose(self) -> bool:
        objects = self._chosen_for = len(self._table)
        samples = await self._samples()
        choice = await in_thread(choose, samples, objects, self.base)
        self._expected_ratio = 0.0
        self._seen = Seen()
        if choice.base is self.base:
            self._set_encoder(use_dictionary=choice.write)
            return False
        self._groups.restart()
        self._install(choice.base, write=choice.write)
        self._recode_uncompressed = True
        compress = self._compressor()
        for exemplar in list(self._groups.exemplars.values()):
            exemplar.rebase(self.base, compress)
            await self._yield(0.0)
        return True

    async def _samples(self) -> Sequence[bytes]:
        """Returns objects from all parts of the table."""
        table, reservoir = self._table, Reservoir(seed=len(self._table))
        started = time.perf_counter()
        ids = table.ids()
        try:
            wanted = 2 * SAMPLE_BYTES // 512
            for id in itertools.islice(ids, 0, None, max(len(ids) // wanted, 1)):
                reservoir.observe_lazily(lambda id=id: table.encoder_input(id)[:MAX_SAMPLE_BYTES])  # type: ignore[misc]
                if time.perf_counter() - started > SLICE_SECONDS:
                    await self._yield(SLICE_SECONDS)
                    started = time.perf_counter()
        finally:
            ids.close()
        return reservoir.samples()

    def _install(self, base: Base | None, *, write: bool) -> None:
        self._set_encoder(use_dictionary=False)
        self._current = None
        if base is not None:
            self._current = _Generation(base, self._new_codec(), self._new_codec())
            self._register(self._current)
        self._set_encoder(use_dictionary=write)

    def _register(self, generation: _Generation) -> None:
        self._generations[generation.done] = generation
        for codec in (generation.inline, generation.done):
            self._table.set_decoder(codec, generation.base.decode)

    def _set_encoder(self, *, use_dictionary: bool) -> None:
        """Sets how objects are compressed on arrival: with the dictionary, or plainly."""
        current, codec = self._current, PLAIN
        encoder: Encode = compress
        if current is not None and isinstance(current.base, Dictionary):
            if use_dictionary:
                encoder, codec = current.base.fast_encoder(), current.inline
            else:
                current.base.stop_writing()
        self._table.encoder, self._table.encoder_codec = encoder, codec

    def _new_codec(self) -> int:
        """Returns an unused codec number."""
        used = {*itertools.chain(*self.base_codecs())}
        used |= self._groups.exemplars.keys()
        while self._next_codec in used or self._table.refcount(self._next_codec):
            self._next_codec = self._next_codec + 1 if self._next_codec < LAST_CODEC else FIRST_BASE
        codec = self._next_codec
        self._next_codec = codec + 1 if codec < LAST_CODEC else FIRST_BASE
        return codec

    # Recompressing

    @property
    def _done_codec(self) -> int:
        return PLAIN_DONE if self._current is None else self._current.done

    def _pending_codecs(self) -> list[int]:
        """Returns the codec numbers of objects that are not yet recompressed."""
        codecs = [PLAIN, PLAIN_DONE, *([UNCOMPRESSED] if self._recode_uncompressed else [])]
        codecs += itertools.chain(*self.base_codecs())
        return [codec for codec in codecs if codec != self._done_codec and self._table.refcount(codec)]

    def _compressor(self) -> Encode:
        return plain_encoder() if self._current is None else self._current.base.encoder()

    async def _recode_pending(self) -> int:
        """Recompresses pending objects. Returns the number of objects with a new codec."""
        pending = self._pending_codecs()
        if not pending:
            return 0
        self._recode_uncompressed = False
        compress = self._compressor()
        outcomes = Outcomes(
            self._groups, self.base, compress, self._done_codec, self._new_codec, self._source_of, self._seen
        )
        recoded = 0
        await self._unpaused.wait()  # it may be paused since the choice
        try:
            for codec in pending:
                recoded += await self._recode_codec(codec, outcomes)
        finally:
            self._groups.end_pass()
        return recoded

    async def _recode_codec(self, codec: int, outcomes: Outcomes) -> int:
        table, start, recoded = self._table, 0, 0
        started = time.perf_counter()
        while ids := table.ids_with_codec(codec, start, BATCH_OBJECTS):
            for id in ids:
                start = id + 1
                source = table.encoder_input(id)
                if len(source) > LARGE_BYTES:
                    recoded += await self._recode_large(id, codec, source, outcomes)
                    started = time.perf_counter()
                    break
                recoded += self._recode_small(id, codec, source, outcomes)
                if time.perf_counter() - started > SLICE_SECONDS:
                    break
            spent = time.perf_counter() - started
            if spent > SLICE_SECONDS or self.paused:
                # Ids that were fetched before the pause may identify other objects now.
                await self._yield(spent)
                started = time.perf_counter()
        return recoded

    async def _yield(self, spent: float) -> None:
        await asyncio.sleep(spent * self._rest_ratio)
        await self._unpaused.wait()

    async def _recode_large(self, id: int, codec: int, source: bytes, outcomes: Outcomes) -> int:
        before, key = self._table.blob_of(id), self._table.key_of(id)
        outcome = await in_thread(outcomes.of, source, key, (id, codec), len(before))
        await self._yield(0.0)
        return self._apply(id, codec, outcome, outcomes, before)

    def _recode_small(self, id: int, codec: int, source: bytes, outcomes: Outcomes) -> int:
        table = self._table
        written = len(table.blob_of(id)) if table.encoder_codec == codec != PLAIN else 0
        return self._apply(id, codec, outcomes.of(source, table.key_of(id), (id, codec), written), outcomes)

    def _apply(self, id: int, codec: int, outcome: Outcome, outcomes: Outcomes, before: bytes | None = None) -> int:
        exemplar = outcome.exemplar
        if exemplar is not None:
            self._table.set_decoder(outcome.codec, exemplar.decode)
            self._groups.add(exemplar)
        # The id may identify another version by now. That is correct if it has the same blob.
        recoded = self._table.recode(id, codec, outcome.codec, outcome.blob, before)
        for member, member_codec in outcome.members:
            if exemplar is not None and (source := self._source_of(member)) is not None:
                blob = outcomes.delta(exemplar, source)
                if len(blob) < len(before := self._table.blob_of(member)):
                    self._table.recode(member, member_codec, outcome.codec, blob, before)
        return recoded

    def _source_of(self, id: int) -> bytes | None:
        try:
            return self._table.encoder_input(id)
        except KeyError:
            return None

    # Releasing

    def _free_unused(self) -> None:
        table = self._table
        for exemplar in list(self._groups.exemplars.values()):
            if not table.refcount(exemplar.codec):
                self._groups.remove(exemplar)
                table.set_decoder(exemplar.codec, None)
        for generation in list(self._generations.values()):
            if generation is not self._current and not (
                table.refcount(generation.inline) + table.refcount(generation.done)
            ):
                del self._generations[generation.done]
                table.set_decoder(generation.inline, None)
                table.set_decoder(generation.done, None)

    def _check_ratio(self) -> None:
        """Schedules a new choice if recent objects compress worse than at the last one."""
        seen = self._seen
        if seen.objects < min(MIN_RATIO_OBJECTS, len(self._table) // 2 + 1):
            return
        ratio = seen.coded / max(seen.plain, 1)
        if not self._expected_ratio:
            self._expected_ratio = ratio
        elif ratio > MAX_RATIO_INCREASE * self._expected_ratio:
            self._chosen_for = 0
        self._seen = Seen()

    # Snapshots

    def state(self) -> bytes:
        """Returns the state that is needed to read the blobs in the table now."""
        codecs: dict[int, int] = {id(each.base): each.done for each in self._generations.values()}
        generations = [
            (each.inline, each.done, isinstance(each.base, Dictionary), each.base.content())
            for each in self._generations.values()
        ]
        exemplars = [
            (each.codec, codecs.get(id(each.base), PLAIN), each.blob, each.features)
            for each in self._groups.exemplars.values()
        ]
        return msgspec.msgpack.encode(
            CodecState(
                STATE_FORMAT,
                self._chosen_for,
                self._done_codec,
                self._table.encoder_codec != PLAIN,
                generations,
                exemplars,
            )
        )

    def restore(self, state: bytes) -> None:
        """Restores a state. Call it before anything is written to the table.

        Raises:
            ValueError: The state is not valid, or has another format.
        """
        try:
            saved = msgspec.msgpack.decode(state, type=CodecState)
            if saved.format != STATE_FORMAT:
                raise ValueError(f"codec state has format {saved.format}; expected {STATE_FORMAT}")
            bases: dict[int, Base | None] = {PLAIN: None}
            for inline, done, tables, content in saved.generations:
                base: Base = Dictionary(content) if tables else Prefix(content)
                base.encoder()
                bases[done] = base
                self._register(_Generation(base, inline, done))
            for codec, base_codec, blob, features in saved.exemplars:
                exemplar = Exemplar(blob, bases[base_codec], codec, features)
                exemplar.content()
                self._groups.add(exemplar)
                self._table.set_decoder(codec, exemplar.decode)
        except (msgspec.MsgspecError, zstandard.ZstdError, KeyError):
            raise ValueError("not a codec state") from None
        self._chosen_for = saved.chosen_for
        self._current = self._generations.get(saved.current)
        self._set_encoder(use_dictionary=saved.write)
        self._stop_observing()
