"""`python -m tests.support.controlplane build`: builds kube-apiserver and etcd."""

from __future__ import annotations

import sys

from tests.support.controlplane.build import ControlPlaneUnavailable, find_or_build


def main(arguments: list[str]) -> int:
    """Prints the folder with both servers.

    Returns the exit code, as in sysexits: 0, 64 usage, 69 unavailable.
    """
    if arguments != ["build"]:
        print("usage: python -m tests.support.controlplane build", file=sys.stderr)
        return 64
    try:
        print(find_or_build())
    except ControlPlaneUnavailable as error:
        print(f"no control plane to test against: {error}", file=sys.stderr)
        return 69
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
