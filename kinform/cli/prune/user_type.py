"""A type in a Python file of the user."""

from __future__ import annotations

import importlib.util
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from kinform.cli._exit_codes import USAGE, Failure

_GUARD = 'move the call, such as `asyncio.run(main())`, below `if __name__ == "__main__":`'


def load_type(name: str) -> Any:
    """Returns a type by file and name, such as `"pods.py:Pod"`. Runs the file.

    Called in a running event loop, so that the file cannot start an asyncio program.

    Raises:
        Failure: The file cannot be read or run, or has no such name.
    """
    file, colon, attribute = name.rpartition(":")
    if not colon or not file.endswith(".py") or not attribute.isidentifier():
        raise Failure(f'--for: "{name}" is not valid: expected FILE.py:TYPE, such as pods.py:Pod', USAGE)
    path = Path(file)
    if not path.is_file():
        raise Failure(f"--for: {file} does not exist", USAGE)
    spec = importlib.util.spec_from_file_location(f"kinform_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # types with postponed annotations are looked up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        if isinstance(error, RuntimeError) and "event loop" in str(error):
            _drop_coroutines(error)
            raise Failure(f"--for: {file} starts a program: {_GUARD}", USAGE) from None
        raise Failure(f"--for: {file} raised {type(error).__name__}: {error}", USAGE) from error
    if not hasattr(module, attribute):
        raise Failure(f"--for: {file} has no {attribute}", USAGE)
    return getattr(module, attribute)


def _drop_coroutines(error: Exception) -> None:
    """Releases what the file has not awaited, without the warning: the error says it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        traceback.clear_frames(error.__traceback__)
