"""`python -m tests.docs.load`: fills the table of docs/reference/server-load.md.

The table is measured: an informer follows servers that behave badly, in virtual time. It stands between
`<!-- from simulated servers: load -->` and `<!-- end -->`. The rest of the page is written by hand.
"""

from __future__ import annotations

import functools
import logging
import re
import sys

import msgspec

import kinform
from kinform._options import Start
from tests.docs.markdown import DOCS
from tests.docs.states import table
from tests.support.server_behaviours import BEHAVIOURS, Behaviour, measure

LOAD_PAGE = DOCS / "reference/server-load.md"
FIRST = (0.0, 60.0)  # seconds from the start
LATER = (300.0, 900.0)

_REGION = re.compile(r"(<!-- from simulated servers: load -->\n).*?(<!-- end -->)", re.DOTALL)
_INITIALS: tuple[Start, ...] = ("auto", "list")


class Load(msgspec.Struct, frozen=True):
    """The requests of one informer to one server.

    Each number is the larger one of `initial="auto"` and `initial="list"`.

    Attributes:
        first: Requests per second in the first minute.
        later: Requests per second, from the 6th to the 15th minute.
        states: Requests for a complete state per minute, in the same time. The pages of a LIST are one request.
    """

    first: float
    later: float
    states: float


@functools.cache
def loads() -> dict[str, Load]:
    """Measures the requests to each server."""
    return {
        name: Load(*map(max, *(_rates(behaviour, initial) for initial in _INITIALS)))
        for name, behaviour in BEHAVIOURS.items()
    }


def _rates(behaviour: Behaviour, initial: Start) -> tuple[float, float, float]:
    asked = measure(behaviour, LATER[1], kinform.WatchOptions(initial=initial))

    def count(start: float, end: float, *kinds: str) -> int:
        return sum(start <= time < end and (not kinds or kind in kinds) for time, kind in asked)

    seconds = LATER[1] - LATER[0]
    return count(*FIRST) / FIRST[1], count(*LATER) / seconds, count(*LATER, "list", "stream") / seconds * 60


def filled(page: str) -> str:
    """Returns the page with the table as it is measured."""
    head = ["the server", "requests/s in the first minute", "requests/s later", "complete states a minute later"]
    rows = ([name, f"{load.first:.2f}", f"{load.later:.3f}", f"{load.states:.2f}"] for name, load in loads().items())
    return _REGION.sub(lambda found: f"{found[1]}\n{table(head, rows)}\n{found[2]}", page)


def main() -> int:
    """Fills the table of the page."""
    logging.disable()  # each failure is logged
    LOAD_PAGE.write_text(filled(LOAD_PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
