"""The entry point of `kinform` and `python -m kinform`.

Prints one line if packages of the extra `cli` are missing. Its command has these packages and not the extra: so it is
right for each way in which kinform can be installed, such as from a clone.
"""

from __future__ import annotations

import importlib.util
import sys

EXTRA = ("click", "rich")  # the packages of the extra `cli`


def main() -> None:
    """Runs the command line and exits with its code, or with 69 without click or rich."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"kinform: the command line needs {' and '.join(missing)}, of the extra kinform[cli]:"
            f" python -m pip install {' '.join(missing)}",
            file=sys.stderr,
        )
        sys.exit(69)
    from kinform.cli._app import run

    sys.exit(run())


if __name__ == "__main__":
    main()
