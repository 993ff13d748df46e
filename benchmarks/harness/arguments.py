"""What may stand on a command line: counts, and files with objects. What may not is told in a line, by argparse."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.corpus import read_dump


def count(text: str) -> int:
    """A positive number."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected a positive number")
    return int(text)


def corpus(text: str) -> Path:
    """A file with objects of a cluster; it is read once to see that it is one."""
    path = Path(text)
    try:
        read_dump(path)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path
