"""The order in which the methods of the list-watch state machine are called."""

from __future__ import annotations

import enum


class CallOrderError(AssertionError):
    """A call out of order. The message names the call and the expected calls."""


@enum.unique
class ExpectedCall(enum.Enum):
    """The calls that are legal next."""

    REQUEST = "request()"
    ANSWER = "accepted(), refused() or ended()"
    BODY = "take() or ended()"


# By call: where it is legal, and where it leads. A call that sets `close_requested` leads to REQUEST.
CALLS = {
    "request": ((ExpectedCall.REQUEST,), ExpectedCall.ANSWER),
    "accepted": ((ExpectedCall.ANSWER,), ExpectedCall.BODY),
    "refused": ((ExpectedCall.ANSWER,), ExpectedCall.REQUEST),
    "take": ((ExpectedCall.BODY,), ExpectedCall.BODY),
    "ended": ((ExpectedCall.ANSWER, ExpectedCall.BODY), ExpectedCall.REQUEST),
}


def expected_after(call: str, expected: ExpectedCall, *, name: str) -> ExpectedCall:
    """Returns what is expected after a call.

    Raises:
        CallOrderError: The call is not among the expected ones.
    """
    legal, after = CALLS[call]
    if expected not in legal:
        raise CallOrderError(f"{name}: {call}() was called, expected {expected.value}")
    return after
