"""Which objects are alike: replicas of one template, revisions of one owner, copies in every namespace.

An object tells its group by a hint that costs a look (owner and revision, generated name, the name itself), or by a
sketch of its content (min-hash over its members). A group's exemplar is made when it pays for itself; the members
after it, and those before it that are still known, are coded as deltas against it. Never reads or writes a table.
Source: Broder's min-wise hashing; a pack file's deltas, but one deep, and against bases that are not objects
themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

from kinform._codec.zstd import OVERHEAD_BYTES, Exemplar

PENDING = 4_096  # groups that are not worth an exemplar yet; replicas and copies are not far apart
RESTING = 32  # of them, between passes
PENDING_BYTES = 350
MOST = 4_096  # exemplars
WORTH_BYTES = 224  # blobs smaller than that are left alone: there is little to gain and reading gets slower
REMEMBERED = 4  # members of a group without an exemplar
SKETCHED_BYTES = 64 << 10  # of an object
TRIALS = 256  # sketches after which sketching must have been worth it
MASKS = ((0x9E3779B9, 0x7F4A7C15), (0xF39CC060, 0x5CEDC834), (0x1082276B, 0xF3A27251))

Member = tuple[int, int]  # id and codec, of a record that belongs to a group
Ripe = tuple[int, tuple[Member, ...]]  # how many members there are with one more, and the last ones before it
NOBODY: Ripe = (0, ())


def hint(cut: bytes, key: str) -> int:
    """The group that the object tells by itself, 0 for none."""
    if (at := cut.find(b'"ownerReferences":[')) >= 0 and (uid := cut.find(b'"uid":"', at, at + 512)) >= 0:
        revision = cut.find(b'"controller-revision-hash":"')
        return crc32(cut[uid + 7 : uid + 43], crc32(cut[revision + 28 : revision + 64]) if revision >= 0 else 1)
    if (at := cut.find(b'"generateName":"')) >= 0:
        return crc32(cut[at + 16 : cut.find(b'"', at + 16)], 2)
    return crc32(key.rpartition("/")[2].encode(), 3) if "/" in key else 0


def sketch(cut: bytes) -> tuple[int, ...]:
    """Three numbers, of which objects that share most of their members have one in common."""
    members = set(map(crc32, set(cut[:SKETCHED_BYTES].replace(b"\\n", b",").split(b","))))
    if len(members) < 8:
        return ()
    return tuple(
        place << 62 | min(map(one.__xor__, members)) >> 2 << 32 | min(map(other.__xor__, members))
        for place, (one, other) in enumerate(MASKS, 1)
    )


class Groups:
    """The exemplars of a collection, and what is known of groups that have none yet."""

    def __init__(self) -> None:
        self.exemplars: dict[int, Exemplar] = {}
        self._by_feature: dict[int, Exemplar] = {}
        self._pending: dict[int, Ripe] = {}
        self._sketched = 0
        self._matched = 0

    def find(self, features: Iterable[int]) -> list[Exemplar]:
        """The exemplars of any of these groups, each once."""
        found = {each.codec: each for feature in features if (each := self._by_feature.get(feature)) is not None}
        return list(found.values())

    def rest(self) -> None:
        """A pass is over."""
        if len(self._pending) > RESTING:
            self._pending = dict(list(self._pending.items())[-RESTING:])

    @property
    def held_bytes(self) -> int:
        """What the exemplars and what is known of groups take."""
        return sum(each.held_bytes for each in self.exemplars.values()) + PENDING_BYTES * len(self._pending)

    @property
    def sketching(self) -> bool:
        """Whether sketches find anything: objects that are all different must not pay for it."""
        return self._sketched < TRIALS or self._matched * 32 > self._sketched

    def sketched(self, *, matched: bool) -> None:
        """Takes note of what a sketch found."""
        self._sketched += 1
        self._matched += matched

    def restart(self) -> None:
        """What was learnt of groups without an exemplar no longer holds."""
        self._pending.clear()
        self._sketched = self._matched = 0

    def ripe(self, features: Iterable[int], blob_bytes: int) -> Ripe | None:
        """A group that may be worth an exemplar with one more member of this size.

        Told at the first number that could do, and at each doubling of it.
        """
        if len(self.exemplars) < MOST:
            for feature in features:
                seen, members = self._pending.get(feature, NOBODY)
                doublings, rest = divmod(seen + 1, max(2, -(-(blob_bytes + OVERHEAD_BYTES) * 4 // (3 * blob_bytes))))
                if members and not rest and not doublings & (doublings - 1):
                    return seen + 1, members
        return None

    def wait(self, features: Iterable[int], member: Member) -> None:
        """Takes note of a member of groups that have no exemplar."""
        for feature in features:
            seen, members = self._pending.pop(feature, NOBODY)
            self._pending[feature] = seen + 1, (*members, member)[-REMEMBERED:]
        if len(self._pending) > PENDING:
            self._pending = dict(list(self._pending.items())[PENDING // 4 :])

    def add(self, exemplar: Exemplar) -> None:
        """An exemplar was made."""
        self.exemplars[exemplar.codec] = exemplar
        for feature in exemplar.features:
            self._pending.pop(feature, None)
            self._by_feature[feature] = exemplar

    def remove(self, exemplar: Exemplar) -> None:
        """Nothing needs it any longer."""
        del self.exemplars[exemplar.codec]
        for feature in exemplar.features:
            if self._by_feature.get(feature) is exemplar:
                del self._by_feature[feature]
