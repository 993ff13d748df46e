"""Background tasks: parts of an informer that the rest can do without."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("kinform.informer")


def start_background(name: str, what: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Starts a task that the rest can do without. Its failure is logged.

    Args:
        name: The name of the collection.
        what: The part of the informer that the task is, in a word.
        work: The task.
    """

    def log_failure(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: the %s failed: %s", name, what, type(error).__name__)

    task = asyncio.create_task(work, name=f"kinform {what} of {name}")
    task.add_done_callback(log_failure)
    return task
