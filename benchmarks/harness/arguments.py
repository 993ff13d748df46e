"""Command-line arguments that several commands have. argparse prints the errors."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.corpus import read_dump


def count(text: str) -> int:
    """Parses a positive number."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected a positive number")
    return int(text)


def plain(parser: argparse.ArgumentParser) -> None:
    """Adds the option that replaces TLS, as clusters use it, by plain HTTP."""
    parser.add_argument("--plain", action="store_true", help="measure over plain HTTP; default: over TLS")


def only(parser: argparse.ArgumentParser, things: str = "clients") -> None:
    """Adds the option that selects clients, or other things, by parts of their names."""
    text = f"only {things} with TEXT in their name; repeatable"
    parser.add_argument("--only", action="append", metavar="TEXT", help=text)


def selected(name: str, options: argparse.Namespace) -> bool:
    """Returns whether `--only` selects a client, or another thing."""
    return not options.only or any(text in name for text in options.only)


def corpus(text: str) -> Path:
    """Checks that a file holds objects of a cluster, by reading it once."""
    path = Path(text)
    try:
        read_dump(path)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path
