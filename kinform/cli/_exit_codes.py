"""How a command ends: the codes, and which failure means which.

Source: sysexits.h; 130 is the shell's word for a program that Ctrl-C ended.
"""

from __future__ import annotations

from kinform._errors import (
    BadRequestError,
    ForbiddenError,
    KinformError,
    OptionError,
    UnauthorizedError,
)

DIFFERENT = 1
USAGE = 64
UNAVAILABLE = 69
SOFTWARE = 70
OUTPUT = 74
DENIED = 77
INTERRUPTED = 130


class Failure(Exception):
    """A command failed: one line on stderr, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code


def failure(error: KinformError) -> Failure:
    """What a command ends with after this error."""
    match error:
        case OptionError() | BadRequestError():
            return Failure(str(error), USAGE)
        case UnauthorizedError() | ForbiddenError():
            return Failure(str(error), DENIED)
    return Failure(str(error), UNAVAILABLE)
