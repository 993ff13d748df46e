"""`python -m tests.support.controlplane build`: builds the servers if need be and prints their folder."""

from __future__ import annotations

import sys

from tests.support.controlplane.build import Unavailable, ensure


def main(arguments: list[str]) -> int:
    """Runs the one command there is; exit codes as in sysexits: 0, 64 usage, 69 unavailable."""
    if arguments != ["build"]:
        print("usage: python -m tests.support.controlplane build", file=sys.stderr)
        return 64
    try:
        print(ensure())
    except Unavailable as error:
        print(f"no control plane to test against: {error}", file=sys.stderr)
        return 69
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
