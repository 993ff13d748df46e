"""The places of errors in a program: file names and lines, which quote no object."""

from __future__ import annotations

import os
from collections.abc import Callable
from traceback import walk_tb
from typing import Any

_OWN_PACKAGES = ("kinform", "kinform_ext")


def place_of(error: BaseException, function: Callable[..., Any]) -> str:
    """Returns the file name and the line of an error: `"operator.py:41"`.

    It is the innermost frame of the package of the user's function, or of the first one on the way that is not
    kinform's. After a timeout, it is that of the call that was cancelled.

    Args:
        error: The exception.
        function: The function of the user that has raised it.

    Returns:
        The place, or `""` if no frame is of the user.
    """
    frames = _user_frames(error) or (_user_frames(error.__cause__) if error.__cause__ is not None else [])
    if not frames:
        return ""
    packages = [package for package, _ in frames]
    package = _package(getattr(function, "__module__", None))
    if package not in packages:
        package = packages[0]
    return [place for each, place in frames if each == package][-1]


def cause_of(error: BaseException, function: Callable[..., Any]) -> str:
    """Returns the type of an error and its place: `"ValueError at operator.py:41"`."""
    place = place_of(error, function)
    return f"{type(error).__name__} at {place}" if place else type(error).__name__


def _user_frames(error: BaseException) -> list[tuple[str, str]]:
    """Returns package and place of each frame of others, the innermost last."""
    frames = [
        (_package(frame.f_globals.get("__name__")), f"{os.path.basename(frame.f_code.co_filename)}:{line}")
        for frame, line in walk_tb(error.__traceback__)
    ]
    return [each for each in frames if each[0] not in _OWN_PACKAGES]


def _package(module: str | None) -> str:
    return (module or "").partition(".")[0]
