"""A process of a measurement's own: started, ordered about, and ended with the block it was started in.

It takes orders as JSON, one a line, on its standard input, `{"do": NAME, "with": {...}}`, and answers each with one
line on its standard output. What it writes to stderr is seen.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.harness.gauge import Gauge

ROOT = Path(__file__).parents[2]
PATIENCE = 600.0
"""Seconds, for an order of which nothing else is said."""


class Died(Exception):
    """The process ended, or was silent for too long."""


class Process:
    """A fresh process that runs one program, with its options in JSON as its last argument.

    Args:
        command: The program: what `python` makes of a file, or a path and its arguments.
        environment: Variables that are set for it besides those of this process.
        options: What it is started with.

    Attributes:
        pid: Its id.
        gauge: What it holds.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, **options: Any) -> None:
        self._name = Path(command[-1]).name
        self._process = subprocess.Popen(
            [*command, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Bytecode is written by whoever runs first, and compiling takes memory.
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_inherited()]), **(environment or {})},
        )
        self.pid = self._process.pid
        self.gauge = Gauge(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(10 if kind is None else 0.5)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            self._process.stdout.close()

    def do(self, order: str, *, patience: float = PATIENCE, **options: Any) -> Any:
        """Orders something, waits until it is done, so many seconds at most, and returns its result.

        Raises:
            Died: It will not be done.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": order, "with": options}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Died(f"{self._name} is dead: it cannot {order}") from None
        if not select.select([self._process.stdout], [], [], patience)[0]:
            raise Died(f"{self._name} did not {order} within {patience:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise Died(f"{self._name} died with exit status {self._process.wait()}; it was to {order}")
        return json.loads(line)


def python(file: str, interpreter: str = sys.executable) -> list[str]:
    """The command that runs a file of this project, by its path from the root."""
    return [interpreter, "-P", str(ROOT / file)]


def _inherited() -> list[str]:
    return [path for path in [os.environ.get("PYTHONPATH")] if path]
