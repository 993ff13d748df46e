"""docs/reference/server-load.md is as measured, and all its numbers are small."""

from __future__ import annotations

import pytest

import kinform
from tests.docs.load import LOAD_PAGE, filled, loads
from tests.support.server_behaviours import BEHAVIOURS

ENDLESS_LIST = "sends new `continue` tokens of a LIST without end"


def test_the_page_is_as_measured():
    page = LOAD_PAGE.read_text()
    assert "<!-- from simulated servers: load -->" in page
    assert filled(page) == page, "run: python -m tests.docs.load"


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_no_server_gets_requests_without_a_wait(name):
    load, interval = loads()[name], kinform.Backoff().initial
    # A 401 whose credentials were read again is repeated at once.
    assert load.first <= 2 / interval + 0.1 or name == ENDLESS_LIST
    assert load.later <= 2 / interval
    assert load.states <= 60 / kinform.Backoff().maximum
