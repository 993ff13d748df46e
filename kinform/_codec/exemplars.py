"""Groups of similar objects, stored as differences to one of them: the exemplar.

Similar are replicas of a template, revisions of an owner, and copies in many namespaces.
An object's group is found by a hint that is cheap to read (owner and revision, generated name, or its name), or by a
sketch of its content (min-hash of its members). A group gets an exemplar once that saves more memory than it costs.
Later members, and earlier ones that are still known, are then compressed as deltas against it.
Source: min-wise hashing (Broder). Deltas as in a git pack file, but of depth one.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

from kinform._codec.zstd import OVERHEAD_BYTES, Exemplar

MAX_PENDING = 4_096  # groups without an exemplar; similar objects usually arrive close together
MAX_PENDING_BETWEEN_PASSES = 32
PENDING_BYTES = 350  # of a pending group
MAX_EXEMPLARS = 4_096
MIN_BLOB_BYTES = 224  # smaller blobs do not become deltas: the gain is small, and reading gets slower
MAX_MEMBERS = 4  # remembered of a pending group
SKETCH_BYTES = 64 << 10  # of an object
TRIAL_SKETCHES = 256  # after which sketching stops unless it finds similar objects
SKETCH_MASKS = ((0x9E3779B9, 0x7F4A7C15), (0xF39CC060, 0x5CEDC834), (0x1082276B, 0xF3A27251))

Member = tuple[int, int]  # id and codec, of a record that belongs to a group
Candidate = tuple[int, tuple[Member, ...]]  # number of members of a group, and the last of them
EMPTY: Candidate = (0, ())


def hint(source: bytes, key: str) -> int:
    """Returns the group of an object by its owner or name; 0: unknown."""
    if (at := source.find(b'"ownerReferences":[')) >= 0 and (uid := source.find(b'"uid":"', at, at + 512)) >= 0:
        revision = source.find(b'"controller-revision-hash":"')
        return crc32(source[uid + 7 : uid + 43], crc32(source[revision + 28 : revision + 64]) if revision >= 0 else 1)
    if (at := source.find(b'"generateName":"')) >= 0:
        return crc32(source[at + 16 : source.find(b'"', at + 16)], 2)
    return crc32(key.rpartition("/")[2].encode(), 3) if "/" in key else 0


def sketch(source: bytes) -> tuple[int, ...]:
    """Returns three numbers. Similar objects have at least one of them in common."""
    members = set(map(crc32, set(source[:SKETCH_BYTES].replace(b"\\n", b",").split(b","))))
    if len(members) < 8:
        return ()
    return tuple(
        place << 62 | min(map(one.__xor__, members)) >> 2 << 32 | min(map(other.__xor__, members))
        for place, (one, other) in enumerate(SKETCH_MASKS, 1)
    )


class Groups:
    """The exemplars of a collection, and its groups without an exemplar."""

    def __init__(self) -> None:
        self.exemplars: dict[int, Exemplar] = {}
        self._by_feature: dict[int, Exemplar] = {}
        self._pending: dict[int, Candidate] = {}
        self._sketched = 0
        self._matched = 0

    def find(self, features: Iterable[int]) -> list[Exemplar]:
        """Returns the exemplars of these groups, without duplicates."""
        found = {each.codec: each for feature in features if (each := self._by_feature.get(feature)) is not None}
        return list(found.values())

    def end_pass(self) -> None:
        """Forgets most groups without an exemplar."""
        if len(self._pending) > MAX_PENDING_BETWEEN_PASSES:
            self._pending = dict(list(self._pending.items())[-MAX_PENDING_BETWEEN_PASSES:])

    @property
    def held_bytes(self) -> int:
        """Memory of exemplars and pending groups, in bytes."""
        return sum(each.held_bytes for each in self.exemplars.values()) + PENDING_BYTES * len(self._pending)

    @property
    def sketching(self) -> bool:
        """True while sketches find similar objects often enough to be worth their time."""
        return self._sketched < TRIAL_SKETCHES or self._matched * 32 > self._sketched

    def sketched(self, *, matched: bool) -> None:
        """Counts a sketch, and whether it found a similar object."""
        self._sketched += 1
        self._matched += matched

    def restart(self) -> None:
        """Forgets the groups without an exemplar, after the base has changed."""
        self._pending.clear()
        self._sketched = self._matched = 0

    def candidate(self, features: Iterable[int], blob_bytes: int) -> Candidate | None:
        """Returns a group that may be worth an exemplar with one more member of this size.

        Tries at the smallest number of members that could suffice, and at each doubling of it.
        """
        if len(self.exemplars) < MAX_EXEMPLARS:
            for feature in features:
                seen, members = self._pending.get(feature, EMPTY)
                doublings, rest = divmod(seen + 1, max(2, -(-(blob_bytes + OVERHEAD_BYTES) * 4 // (3 * blob_bytes))))
                if members and not rest and not doublings & (doublings - 1):
                    return seen + 1, members
        return None

    def add_member(self, features: Iterable[int], member: Member) -> None:
        """Adds a member to groups without an exemplar."""
        for feature in features:
            seen, members = self._pending.pop(feature, EMPTY)
            self._pending[feature] = seen + 1, (*members, member)[-MAX_MEMBERS:]
        if len(self._pending) > MAX_PENDING:
            self._pending = dict(list(self._pending.items())[MAX_PENDING // 4 :])

    def add(self, exemplar: Exemplar) -> None:
        """Adds an exemplar."""
        self.exemplars[exemplar.codec] = exemplar
        for feature in exemplar.features:
            self._pending.pop(feature, None)
            self._by_feature[feature] = exemplar

    def remove(self, exemplar: Exemplar) -> None:
        """Removes an exemplar that no blob needs."""
        del self.exemplars[exemplar.codec]
        for feature in exemplar.features:
            if self._by_feature.get(feature) is exemplar:
                del self._by_feature[feature]
