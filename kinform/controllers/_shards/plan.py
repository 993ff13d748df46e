"""The plan of shards, as a pure function of what all replicas see.

Source: rendezvous hashing (Thaler and Ravishankar, 1998), with bounded loads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from kinform_ext._scan import shard_of


def plan(members: Collection[str], holders: Mapping[int, str], count: int) -> dict[int, str]:
    """Returns the member that should have each shard.

    Each member has the same number of shards, or one more. A member keeps what it has up to its number, so that few
    shards move. Replicas with the same view make the same plan.

    Args:
        members: The identities of the live replicas, at least one.
        holders: The present holder of each shard that has one. Holders that are no members lose their shards.
        count: Number of shards.
    """
    held: dict[str, list[int]] = {member: [] for member in members}
    for index, holder in holders.items():
        if holder in held:
            held[holder].append(index)
    least, extra = divmod(count, len(held))
    by_load = sorted(held, key=lambda member: (-len(held[member]), _weight(member, count), member))
    room = {member: least + (rank < extra) for rank, member in enumerate(by_load)}
    planned = {}
    for member in by_load:
        for index in sorted(held[member], key=lambda index: _weight(member, index))[: room[member]]:
            planned[index] = member
            room[member] -= 1
    for index in range(count):
        if index not in planned:
            free = (member for member in by_load if room[member])
            planned[index] = min(free, key=lambda member: (_weight(member, index), member))
            room[planned[index]] -= 1
    return planned


def _weight(member: str, index: int) -> int:
    """Returns a number as good as random. The lowest one of a shard comes first."""
    return shard_of(f"{index}/{member}/{index}", (1 << 32) - 1)
