"""A process under measurement.

It ends with the block that started it. It reads commands from standard input, one a line: `{"do": NAME, "with":
{...}}`. It answers each with one line of JSON on standard output. Its stderr is inherited.
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

from kinform.cli._process_memory import Gauge

ROOT = Path(__file__).parents[2]
SERVER = "benchmarks/harness/server.py"
"""The program of the server, for `python`."""
TIMEOUT = 600.0
"""Seconds that a command may take by default."""


class ProcessDied(Exception):
    """The process ended, or did not answer in time."""


class Process:
    """A new process that runs one program.

    Args:
        command: The program: a path and its arguments; `python` builds it for a file of this project.
        environment: Variables to set, in addition to those of this process.
        options: The program's options, which are passed as JSON in the last argument.

    Attributes:
        gauge: Reads its memory and CPU time.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, **options: Any) -> None:
        self._name = Path(command[-1]).name
        # Bytecode is cached as usual: compiling would take memory in the measured process.
        self._process = subprocess.Popen(
            [*command, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_inherited()]), **(environment or {})},
        )
        self.gauge = Gauge(self._process.pid)

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

    def do(self, command: str, *, timeout: float = TIMEOUT, **options: Any) -> Any:
        """Sends a command, waits for at most `timeout` seconds, and returns the answer.

        Raises:
            ProcessDied: The process ended or did not answer in time.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": command, "with": options}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ProcessDied(f"{self._name} has ended: it cannot {command}") from None
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            raise ProcessDied(f"{self._name} did not {command} within {timeout:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise ProcessDied(f"{self._name} ended with exit status {self._process.wait()} during {command}")
        return json.loads(line)


def python(file: str, interpreter: str = sys.executable) -> list[str]:
    """Returns the command that runs a file of this project, by its path from the root."""
    return [interpreter, "-P", str(ROOT / file)]


def _inherited() -> list[str]:
    return [path for path in [os.environ.get("PYTHONPATH")] if path]
