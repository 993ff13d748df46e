"""`python -m tests.docs.states`: fills the regions of docs/reference/states.md.

Regions stand between `<!-- from the state machine: NAME -->` and `<!-- end -->`. The rest is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable

from kinform._listwatch.phases import Phase
from kinform._listwatch.transitions import ROWS, TRANSITIONS, Next, Verdict
from kinform._stats import _FROM_BEST_TO_WORST, STATE_MEANINGS
from tests.docs.markdown import DOCS

STATES_PAGE = DOCS / "reference/states.md"

_REGION = re.compile(r"(<!-- from the state machine: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

# The node of the diagram to which each next request leads. AGAIN stays in the phase.
_NODES = {
    Next.START: "START",
    Next.LIST: Phase.LIST.name,
    Next.LIST_ALWAYS: Phase.LIST.name,
    Next.WHOLE_LIST: Phase.LIST.name,
    Next.PAGE: Phase.PAGE.name,
    Next.WATCH: Phase.WATCH.name,
    Next.NOTHING: "[*]",
}


def filled(page: str) -> str:
    """Returns the page with all regions as the code has them."""
    return _REGION.sub(lambda found: f"{found[1]}\n{REGIONS[found['name']]()}\n{found[3]}", page)


def states() -> str:
    """Returns the table of states, from best to worst."""
    return table(["state", "meaning"], ([f"`{state}`", STATE_MEANINGS[state]] for state in _FROM_BEST_TO_WORST))


def phases() -> str:
    """Returns the table of phases."""
    return table(["phase", "purpose of the connection"], ([phase.name, phase.value] for phase in Phase))


def verdicts() -> str:
    """Returns the table of verdicts."""
    return table(["verdict", "when"], ([verdict.name, verdict.value] for verdict in Verdict))


def transitions() -> str:
    """Returns the table of transitions."""
    return table(
        ["verdict", "in phase", "next request", "wait", "state"],
        (
            [
                verdict.name,
                ", ".join(phase.name for phase in phases),
                next.value,
                wait.value,
                f"`{state}`" if state else "unchanged",
            ]
            for verdict, phases, next, wait, state in ROWS
        ),
    )


def diagram() -> str:
    """Returns the diagram of phases. As plain text it has one arrow on each line."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for phase in Phase:
        for verdict in Verdict:
            if transition := TRANSITIONS.get((phase, verdict)):
                to = _NODES.get(transition.next, phase.name)
                arrows.setdefault((phase.name, to), []).append(verdict.name)
    lines = [f"{phase} --> {to} : {', '.join(names)}" for (phase, to), names in arrows.items()]
    starts = ["[*] --> START", "START --> LIST", "START --> STREAM", "START --> STREAM_ONLY"]
    body = "".join(f"    {line}\n" for line in ["state START <<choice>>", *starts, *lines])
    return f"```mermaid\nstateDiagram-v2\n{body}```\n"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Returns a Markdown table."""
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *rows])


REGIONS: dict[str, Callable[[], str]] = {
    "states": states,
    "phases": phases,
    "verdicts": verdicts,
    "transitions": transitions,
    "diagram": diagram,
}


def main() -> int:
    """Fills the regions of the page."""
    STATES_PAGE.write_text(filled(STATES_PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
