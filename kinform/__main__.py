"""The entry point of `kinform` and `python -m kinform`.

Prints one line if the packages of the extra `cli` are missing.
"""

from __future__ import annotations

import importlib.util
import sys


def main() -> None:
    """Runs the command line and exits with its code, or with 69 without click or rich."""
    missing = [name for name in ("click", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"kinform: the command line needs {' and '.join(missing)}: "
            "pip install 'kinform[cli]', or '.[cli]' in a clone",
            file=sys.stderr,
        )
        sys.exit(69)
    from kinform.cli._app import run

    sys.exit(run())


if __name__ == "__main__":
    main()
