"""`kinform` and `python -m kinform`: the command line, or one line that says what it lacks."""

from __future__ import annotations

import importlib.util
import sys


def main() -> None:
    """Runs the command line and exits with its code; 69 where click or rich is not installed."""
    missing = [name for name in ("click", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"kinform: the command line needs {' and '.join(missing)}: pip install 'kinform[cli]'", file=sys.stderr)
        sys.exit(69)
    from kinform.cli._app import run

    sys.exit(run())


if __name__ == "__main__":
    main()
