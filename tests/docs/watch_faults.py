"""`python -m tests.docs.watch_faults`: fills the table of faults of Watch.

The table is measured: naive loops run with the Watch of kubernetes_asyncio and with that of kinform. It stands between
`<!-- from naive loops: faults -->` and `<!-- end -->`. The rest of docs/reference/watch.md is written by hand.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import sys
from collections import Counter
from unittest.mock import patch

import kinform.watch
from kinform._watch import recovery
from tests.docs.markdown import DOCS
from tests.docs.states import table
from tests.watch.clients import Client
from tests.watch.naive_loops import FAULTS, IDLE_TIMEOUT, LOOPS, Outcome, run_all

WATCH_PAGE = DOCS / "reference/watch.md"
CLIENT = Client("kubernetes_asyncio")

Outcomes = dict[tuple[str, str], Outcome]

_REGION = re.compile(r"(<!-- from naive loops: faults -->\n).*?(<!-- end -->)", re.DOTALL)


@functools.cache
def measure(client: Client) -> tuple[Outcomes, Outcomes]:
    """Returns the outcomes with the Watch of a client, and with that of kinform."""
    watch = functools.partial(kinform.watch.Watch, idle_timeout=IDLE_TIMEOUT)
    with patch.object(recovery, "GRACE", 1.0):
        theirs, ours = asyncio.run(run_all(client, client.original, watch))
    return theirs, ours


def filled(page: str) -> str:
    """Returns the page with the table as it is measured."""
    theirs, ours = measure(CLIENT)
    rows = [[fault, *(_cell(theirs[fault, loop], ours[fault, loop]) for loop in LOOPS)] for fault in FAULTS]
    counts = [Counter(_kind(outcome) for outcome in outcomes.values()) for outcomes in (theirs, ours)]
    kinds = ["right", "an error that the program can catch", "crash", "hangs", "wrong"]
    total = [[kind, *(str(count[kind]) for count in counts)] for kind in kinds if any(count[kind] for count in counts)]
    text = f"{table(['', *LOOPS], rows)}\n{table(['loops', 'kubernetes_asyncio', 'kinform'], total)}"
    return _REGION.sub(lambda found: f"{found[1]}\n{text}\n{found[2]}", page)


def _cell(theirs: Outcome, ours: Outcome) -> str:
    return theirs.result if theirs.result == ours.result else f"{theirs.result} → **{ours.result}**"


def _kind(outcome: Outcome) -> str:
    known = ("right", "crash", "hangs", "wrong")
    return outcome.result if outcome.result in known else "an error that the program can catch"


def main() -> int:
    """Fills the table of the page."""
    logging.disable()  # each failure is logged
    WATCH_PAGE.write_text(filled(WATCH_PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
