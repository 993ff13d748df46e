"""The name and the times of a Lease: what is allowed, and the jitter of waits.

Source: client-go's `tools/leaderelection`.
"""

from __future__ import annotations

import re
from typing import Final

from kinform._checks import require_number, require_positive

JITTER: Final = 0.2
"""The largest part of `retry_seconds` that is added to a wait before an attempt to take a Lease."""
MIN_RETRY: Final = 0.1
"""The smallest part of `retry_seconds` between two attempts to renew, near the deadline."""

_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
LEASE_KEY: Final = re.compile(rf"{_LABEL}/{_LABEL}(?:\.{_LABEL})*")
"""`"namespace/name"`."""


def check_times(lease_seconds: float, renew_deadline: float, retry_seconds: float) -> None:
    """Checks that work stops before its Lease expires, with time for a second attempt.

    Raises:
        OptionError: `lease_seconds` is not above `renew_deadline`, or that not above 1.2 times `retry_seconds`.
    """
    require_positive("retry_seconds", retry_seconds)
    least = retry_seconds * (1 + JITTER)
    above = f"a number of seconds above 1.2 * retry_seconds, {least:g}"
    require_number("renew_deadline", renew_deadline, above, lambda n: least < n < float("inf"))
    above = f"a number of seconds above renew_deadline, {renew_deadline:g}"
    require_number("lease_seconds", lease_seconds, above, lambda n: renew_deadline < n < 1 << 31)
