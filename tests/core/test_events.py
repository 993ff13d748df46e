"""Events: what their texts show."""

from __future__ import annotations

import pytest

import kinform

SECRET = {"data": {"password": "hunter2"}}


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (kinform.Added("shop/a", SECRET), "Added('shop/a')"),
        (kinform.Updated("shop/a", SECRET, SECRET), "Updated('shop/a')"),
        (kinform.Deleted("shop/a", SECRET, True), "Deleted('shop/a', synthetic=True)"),
    ],
)
def test_the_repr_of_an_event_shows_the_key_not_the_object(event, text):
    assert repr(event) == f"{event}" == text
