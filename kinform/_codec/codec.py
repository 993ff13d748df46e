"""How a collection is compressed: what its objects are coded with as they come, and what becomes of them later.

Objects are written plainly, or with a dictionary once a large collection has one: a few microseconds each. In the
background everything is coded again, once: against what `_dictionary` found best for this collection, or as a delta
against an exemplar of `_exemplars`. A codec's number says what a blob needs to be read, and whether it was through
that; what it needs is kept until nothing does. Objects change under the background work: a blob takes the place of
another only if that is still the one it was made from.
Never tells anybody what is in an object.
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
from kinform._codec.recode import AS_IT_IS, Outcome, Outcomes, Seen
from kinform._codec.training import LARGEST_SAMPLE, SAMPLE_BYTES, Reservoir, begin, choose
from kinform._codec.zstd import Base, Dictionary, Encode, Exemplar, Prefix, decode, encode, plain_encoder
from kinform._worker_thread import give_back, in_thread
from kinform_ext._table import Table

PLAIN = 1  # as it came
PLAIN_DONE = 2  # and nothing better was found
FIRST_BASE = 3
LAST_CODEC = 0xFFFF

PERIOD = 5.0  # seconds between two looks at what was written
FEW = 100  # less than one in so many objects was written: that can wait,
PATIENCE = 12  # but not for more looks than that
SLICE = 0.0015  # seconds of the loop at a time
REST = 2.0  # seconds of rest for each second of work
BATCH = 16  # objects between two looks at the clock
MANY = 1_024  # objects after which memory is given back
LARGE_BYTES = 64 << 10  # an object of that size is coded in a thread
BEGINNINGS = 3  # dictionaries, at most, while a collection first comes in
FIRST_OBJECTS = 1_024  # or `SAMPLE_BYTES`: a collection that is still coming in is large
GROWN = 4  # times as many objects, or one in so many: choose again
FEWEST = 16  # objects worth a thought
WORSE = 1.25  # times what was expected is left of plain blobs: choose again
WORSE_OBJECTS = 128  # at least
FORMAT = 1


class _Generation(msgspec.Struct, frozen=True):
    """A base and its two codecs: of objects written as they came, and of those that were through."""

    base: Base
    inline: int
    done: int


class _State(msgspec.Struct, array_like=True):
    """What a snapshot keeps."""

    format: int
    chosen_for: int
    current: int
    write: bool
    generations: list[tuple[int, int, bool, bytes]]
    exemplars: list[tuple[int, int, bytes, tuple[int, ...]]]


class Codec:
    """Compresses what is in a table, and keeps what is needed to read it.

    Args:
        table: Its encoder, observer and decoders belong to the codec from now on.
        period: Seconds between two looks at what was written.
        rest: Seconds of rest for each second of work in the background.
    """

    def __init__(self, table: Table, *, period: float = PERIOD, rest: float = REST) -> None:
        self._table = table
        self._period = period
        self._rest = rest
        self._groups = Groups()
        self._generations: dict[int, _Generation] = {}  # by the codec of what was through
        self._current: _Generation | None = None
        self._next = FIRST_BASE
        self._chosen_for = 0  # objects, when it was last chosen
        self._began_for = 0  # objects seen, when a dictionary was last made while they came in
        self._expected = 0.0  # what the base leaves of plain blobs; 0: not known yet
        self._seen = Seen()
        self._look_at_all = False
        self._wanted = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._pass_lock = asyncio.Lock()
        self._reservoir: Reservoir | None = Reservoir()
        table.observer = self._observe
        table.set_decoder(PLAIN, decode)
        table.set_decoder(PLAIN_DONE, decode)
        self._write(with_dictionary=False)

    # What others ask

    @property
    def paused(self) -> bool:
        """Whether objects are left as they are: set while a list comes in."""
        return not self._free.is_set()

    @paused.setter
    def paused(self, paused: bool) -> None:
        if paused:
            self._free.clear()
        else:
            self._free.set()
            self._wanted.set()

    @property
    def dictionary_bytes(self) -> int:
        """What is held to read and write with, samples included."""
        held = sum(generation.base.held_bytes for generation in self._generations.values())
        return held + self._groups.held_bytes + (self._reservoir.held_bytes if self._reservoir is not None else 0)

    @property
    def base(self) -> Base | None:
        """What objects that are not deltas are coded against from now on; None: against nothing."""
        return None if self._current is None else self._current.base

    @property
    def exemplars(self) -> int:
        """How many exemplars there are."""
        return len(self._groups.exemplars)

    @property
    def dictionaries(self) -> int:
        """How many dictionaries and prefixes there are: one, or more while old ones are still needed."""
        return len(self._generations)

    def numbers(self) -> list[tuple[int, int]]:
        """The codecs of what is coded against bases: as it came, and once it was through."""
        return [(each.inline, each.done) for each in self._generations.values()]

    async def run(self) -> None:
        """Works in the background until cancelled; at any moment everything can be read.

        Takes `SLICE` of the loop at a time and rests between; what takes longer goes to a thread.
        """
        waited = 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._period):
                    await self._wanted.wait()
            waited += 1
            waiting = sum(map(self._table.refcount, self._waiting()))
            many = waiting * FEW > len(self._table) or waited > PATIENCE
            if many or self._wanted.is_set() or self._due():
                waited = 0
                self._wanted.clear()
                await self.run_pass()

    async def drain(self) -> None:
        """Returns when nothing is left to do; does it, if nobody else does. Not while paused."""
        await self._free.wait()
        while await self.run_pass():
            await self._free.wait()

    async def run_pass(self) -> bool:
        """Chooses if that is due, and goes through all that was written since; whether there was anything to do."""
        async with self._pass_lock:
            if self.paused or not (len(self._table) or self._chosen_for):
                begun = await self._begin()
                if begun:
                    await in_thread(give_back)
                return begun
            self._stop_observing()
            due = self._due()
            chosen = await self._choose() if due else False
            moved = await self._go_through()
            await self._free_unused()
            self._check_ratio()
            if due or moved >= MANY:
                await in_thread(give_back)
            return chosen or moved > 0 or self._due()

    # While objects first come in

    def _observe(self, data: bytes) -> None:
        if self._reservoir is not None:
            self._reservoir.observe(data)
            if self._enough(self._reservoir):
                self._wanted.set()

    def _enough(self, reservoir: Reservoir) -> bool:
        enough = reservoir.full or reservoir.seen >= FIRST_OBJECTS
        return enough and reservoir.seen >= GROWN * self._began_for

    def _stop_observing(self) -> None:
        if self._reservoir is not None:
            self._reservoir = None
            self._table.observer = None

    async def _begin(self) -> bool:
        """Makes a dictionary of what has come so far, for what is to come."""
        reservoir = self._reservoir
        if reservoir is None or not self._enough(reservoir):
            return False
        self._began_for = reservoir.seen
        samples = reservoir.samples()
        base = await in_thread(begin, samples)
        if base is not None:
            self._install(base, write=True)
        if len(self._generations) >= BEGINNINGS:
            self._stop_observing()
        return base is not None

    # Choosing

    def _due(self) -> bool:
        objects, before = len(self._table), self._chosen_for
        return objects >= max(FEWEST, GROWN * before) or objects * GROWN <= before > 0

    async def _choose(self) -> bool:
        objects = self._chosen_for = len(self._table)
        samples = await self._samples()
        choice = await in_thread(choose, samples, objects, self.base)
        self._expected = 0.0
        self._seen = Seen()
        if choice.base is self.base:
            self._write(with_dictionary=choice.write)
            return False
        self._groups.restart()
        self._install(choice.base, write=choice.write)
        self._look_at_all = True
        compress = self._compressor()
        for exemplar in list(self._groups.exemplars.values()):
            exemplar.move(self.base, compress)
            await self._yield(0.0)
        return True

    async def _samples(self) -> Sequence[bytes]:
        """Objects from all over the table."""
        table, reservoir = self._table, Reservoir(seed=len(self._table))
        begun = time.perf_counter()
        ids = table.ids()
        try:
            wanted = 2 * SAMPLE_BYTES // 512
            for id in itertools.islice(ids, 0, None, max(len(ids) // wanted, 1)):
                reservoir.pass_by(lambda id=id: table.encoder_input(id)[:LARGEST_SAMPLE])  # type: ignore[misc]
                if time.perf_counter() - begun > SLICE:
                    await self._yield(SLICE)
                    begun = time.perf_counter()
        finally:
            ids.close()
        return reservoir.samples()

    def _install(self, base: Base | None, *, write: bool) -> None:
        self._write(with_dictionary=False)
        self._current = None
        if base is not None:
            self._current = _Generation(base, self._number(), self._number())
            self._register(self._current)
        self._write(with_dictionary=write)

    def _register(self, generation: _Generation) -> None:
        self._generations[generation.done] = generation
        for codec in (generation.inline, generation.done):
            self._table.set_decoder(codec, generation.base.decode)

    def _write(self, *, with_dictionary: bool) -> None:
        """Objects are written with the dictionary as they come; or plainly, as where there is none."""
        current, codec = self._current, PLAIN
        encoder: Encode = encode
        if current is not None and isinstance(current.base, Dictionary):
            if with_dictionary:
                encoder, codec = current.base.fast_encoder(), current.inline
            else:
                current.base.stop_writing()
        self._table.encoder, self._table.encoder_codec = encoder, codec

    def _number(self) -> int:
        """A codec that nothing has."""
        used = {*itertools.chain(*self.numbers())}
        used |= self._groups.exemplars.keys()
        while self._next in used or self._table.refcount(self._next):
            self._next = self._next + 1 if self._next < LAST_CODEC else FIRST_BASE
        number = self._next
        self._next = number + 1 if number < LAST_CODEC else FIRST_BASE
        return number

    # Going through what was written

    @property
    def _done(self) -> int:
        return PLAIN_DONE if self._current is None else self._current.done

    def _waiting(self) -> list[int]:
        """The codecs of what was not through yet."""
        codecs = [PLAIN, PLAIN_DONE, *([AS_IT_IS] if self._look_at_all else [])]
        codecs += itertools.chain(*self.numbers())
        return [codec for codec in codecs if codec != self._done and self._table.refcount(codec)]

    def _compressor(self) -> Encode:
        return plain_encoder() if self._current is None else self._current.base.encoder()

    async def _go_through(self) -> int:
        """Codes anew what was not through yet; how many objects changed their codec."""
        waiting = self._waiting()
        if not waiting:
            return 0
        self._look_at_all = False
        compress = self._compressor()
        outcomes = Outcomes(self._groups, self.base, compress, self._done, self._number, self._cut_of, self._seen)
        moved = 0
        await self._free.wait()  # choosing took a while
        try:
            for codec in waiting:
                moved += await self._go_through_coded(codec, outcomes)
        finally:
            self._groups.rest()
        return moved

    async def _go_through_coded(self, codec: int, outcomes: Outcomes) -> int:
        table, start, moved = self._table, 0, 0
        begun = time.perf_counter()
        while ids := table.ids_with_codec(codec, start, BATCH):
            for id in ids:
                start = id + 1
                cut = table.encoder_input(id)
                if len(cut) > LARGE_BYTES:
                    moved += await self._move_large(id, codec, cut, outcomes)
                    begun = time.perf_counter()
                    break
                moved += self._move_small(id, codec, cut, outcomes)
                if time.perf_counter() - begun > SLICE:
                    break
            spent = time.perf_counter() - begun
            if spent > SLICE or self.paused:
                # Ids that were fetched before may name other objects after.
                await self._yield(spent)
                begun = time.perf_counter()
        return moved

    async def _yield(self, spent: float) -> None:
        await asyncio.sleep(spent * self._rest)
        await self._free.wait()

    async def _move_large(self, id: int, codec: int, cut: bytes, outcomes: Outcomes) -> int:
        before, key = self._table.blob_of(id), self._table.key_of(id)
        outcome = await in_thread(outcomes.of, cut, key, (id, codec), len(before))
        await self._yield(0.0)
        return self._move(id, codec, outcome, outcomes, before)

    def _move_small(self, id: int, codec: int, cut: bytes, outcomes: Outcomes) -> int:
        table = self._table
        written = len(table.blob_of(id)) if table.encoder_codec == codec != PLAIN else 0
        return self._move(id, codec, outcomes.of(cut, table.key_of(id), (id, codec), written), outcomes)

    def _move(self, id: int, codec: int, outcome: Outcome, outcomes: Outcomes, before: bytes | None = None) -> int:
        exemplar = outcome.exemplar
        if exemplar is not None:
            self._table.set_decoder(outcome.codec, exemplar.decode)
            self._groups.add(exemplar)
        # The id may name another version by now; one that has the same blob is as good.
        moved = self._table.recode(id, codec, outcome.codec, outcome.blob, before)
        for member, member_codec in outcome.members:
            if exemplar is not None and (cut := self._cut_of(member)) is not None:
                blob = outcomes.delta(exemplar, cut)
                if len(blob) < len(before := self._table.blob_of(member)):
                    self._table.recode(member, member_codec, outcome.codec, blob, before)
        return moved

    def _cut_of(self, id: int) -> bytes | None:
        try:
            return self._table.encoder_input(id)
        except KeyError:
            return None

    # What is no longer needed

    async def _free_unused(self) -> None:
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
        """Whether what was written lately compresses as well as what was chosen for."""
        seen = self._seen
        if seen.objects < min(WORSE_OBJECTS, len(self._table) // 2 + 1):
            return
        left = seen.coded / max(seen.plain, 1)
        if not self._expected:
            self._expected = left
        elif left > WORSE * self._expected:
            self._chosen_for = 0
        self._seen = Seen()

    # Snapshots

    def state(self) -> bytes:
        """All that is needed to read what is in the table now."""
        codecs: dict[int, int] = {id(each.base): each.done for each in self._generations.values()}
        generations = [
            (each.inline, each.done, isinstance(each.base, Dictionary), each.base.content())
            for each in self._generations.values()
        ]
        exemplars = [
            (each.codec, codecs.get(id(each.over), PLAIN), each.blob, each.features)
            for each in self._groups.exemplars.values()
        ]
        return msgspec.msgpack.encode(
            _State(FORMAT, self._chosen_for, self._done, self._table.encoder_codec != PLAIN, generations, exemplars)
        )

    def restore(self, state: bytes) -> None:
        """Takes a state up, before anything is written to the table.

        Raises:
            ValueError: It is none, or one of another format.
        """
        try:
            kept = msgspec.msgpack.decode(state, type=_State)
            if kept.format != FORMAT:
                raise ValueError("a codec's state of another format")
            bases: dict[int, Base | None] = {PLAIN: None}
            for inline, done, tables, content in kept.generations:
                base: Base = Dictionary(content) if tables else Prefix(content)
                base.encoder()
                bases[done] = base
                self._register(_Generation(base, inline, done))
            for codec, over, blob, features in kept.exemplars:
                exemplar = Exemplar(blob, bases[over], codec, features)
                exemplar.content()
                self._groups.add(exemplar)
                self._table.set_decoder(codec, exemplar.decode)
        except (msgspec.MsgspecError, zstandard.ZstdError, KeyError):
            raise ValueError("not a codec's state") from None
        self._chosen_for = kept.chosen_for
        self._current = self._generations.get(kept.current)
        self._write(with_dictionary=kept.write)
        self._stop_observing()
