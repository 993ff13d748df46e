"""docs/reference/states.md is as the state machine has it."""

from __future__ import annotations

import re
from typing import get_args

from kinform._listwatch.transitions import ROWS, TRANSITIONS
from kinform._stats import STATE_MEANINGS, State
from tests.docs.states import REGIONS, STATES_PAGE, filled


def test_the_page_is_as_the_state_machine_has_it():
    page = STATES_PAGE.read_text()
    assert set(re.findall(r"<!-- from the state machine: (\w+) -->", page)) == set(REGIONS)
    assert filled(page) == page, "run: python -m tests.docs.states"


def test_every_state_has_a_meaning():
    assert set(STATE_MEANINGS) == set(get_args(State))


def test_the_rows_and_the_diagram_have_each_transition_once():
    assert sum(len(phases) for _, phases, *_ in ROWS) == len(TRANSITIONS)
    arrows = re.findall(r"^ +\w+ --> \S+ : (.+)$", REGIONS["diagram"](), re.MULTILINE)
    assert sum(len(verdicts.split(", ")) for verdicts in arrows) == len(TRANSITIONS)
