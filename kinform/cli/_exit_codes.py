"""Exit codes of the commands, and the mapping from errors to exit codes.

Source: sysexits.h. 130 is the shell's code for a program that Ctrl-C ended.
"""

from __future__ import annotations

from kinform._errors import (
    BadRequestError,
    ForbiddenError,
    KinformError,
    OptionError,
    UnauthorizedError,
)
from kinform.cli._usage import usage_text

DIFFERENT = 1
USAGE = 64
UNAVAILABLE = 69
SOFTWARE = 70
OUTPUT = 74
DENIED = 77
INTERRUPTED = 130


class Failure(Exception):
    """The failure of a command: a message of one line for stderr, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code


def failure(error: KinformError) -> Failure:
    """Returns the failure that ends a command after this error."""
    match error:
        case OptionError():
            return Failure(usage_text(error), USAGE)
        case BadRequestError():
            return Failure(str(error), USAGE)
        case UnauthorizedError() | ForbiddenError():
            return Failure(str(error), DENIED)
    return Failure(str(error), UNAVAILABLE)
