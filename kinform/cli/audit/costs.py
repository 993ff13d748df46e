"""Estimates the memory of a copy of a collection in other clients.

The costs are measured: `python -m benchmarks report` writes `costs.json` from its results. A client takes a fixed size
for each object, and a multiple of the JSON. Two measured collections, of large and of small objects, give both numbers.
"""

from __future__ import annotations

from importlib.resources import files

import msgspec

from kinform.cli.audit.report import Estimate


class ClientCost(msgspec.Struct, frozen=True):
    """The measured cost of one client.

    Attributes:
        client: The client and its settings.
        bytes_per_object: Bytes for each object, however small.
        bytes_per_byte: Bytes for each byte of JSON without `managedFields`.
    """

    client: str
    bytes_per_object: float
    bytes_per_byte: float

    def of(self, objects: int, pruned_bytes: int) -> Estimate:
        """Estimates the memory of a collection."""
        return Estimate(self.client, round(self.bytes_per_object * objects + self.bytes_per_byte * pruned_bytes))


class Costs(msgspec.Struct, frozen=True):
    """The table of costs.

    Attributes:
        version: The version of the table: the days on which the clients were measured.
        source: The clients with their versions.
        clients: The cost of each.
    """

    version: str
    source: str
    clients: list[ClientCost]


def read_costs() -> Costs:
    """Returns the table that is a part of the package."""
    return msgspec.json.decode(files("kinform.cli.audit").joinpath("costs.json").read_bytes(), type=Costs)
