"""A server as a child process: started, stopped by signal, frozen, thawed.

Knows nothing of Kubernetes. Waits only for the end of a process that it has killed. Never leaves a process
behind: each server has a guard process that reads from a pipe. When the interpreter ends, in whatever way,
the pipe closes, and the guard kills the server by pid and removes its folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

_GUARD = 'read -r line; kill -9 "$1"; sleep 1; rm -rf "$2"'


class Process:
    """A command that can run more than once and appends its output to a log file.

    Args:
        command: The program and its arguments.
        log: The file for stdout and stderr, in a folder that only this process uses.
    """

    def __init__(self, command: Sequence[str | os.PathLike[str]], log: Path) -> None:
        self.command = [os.fspath(part) for part in command]
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The process id, or None if the process is not running."""
        return self._child.pid if self.running and self._child is not None else None

    @property
    def running(self) -> bool:
        """True if the process exists, also if it is frozen."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Starts the program, which must not be running."""
        assert not self.running, f"{self.command[0]} is already running"
        with open(self.log, "ab") as log:
            self._log_start = os.fstat(log.fileno()).st_size
            # A session of its own: Ctrl-C must reach the tests only, which then stop their servers.
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.log.parent,
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self._child.pid), self.log.parent],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self) -> None:
        """Kills the process (SIGKILL), frozen or not, and waits for its end. Idempotent."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        if self._child is not None:
            self._child.kill()
            self._child.wait(timeout=30)

    def freeze(self) -> None:
        """Freezes the process (SIGSTOP): its sockets stay open and silent.

        Returns when every thread has stopped.
        """
        self._send_signal(signal.SIGSTOP)
        if self.pid is not None:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Ends `freeze`; no effect on a process that is not frozen."""
        self._send_signal(signal.SIGCONT)

    def _send_signal(self, number: signal.Signals) -> None:
        if self.running and self._child is not None:
            self._child.send_signal(number)

    def output(self) -> str:
        """Returns the output of the current run, or of the last."""
        if not self.log.exists():
            return ""
        with open(self.log, "rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def tail(self, lines: int = 15) -> str:
        """Returns the last lines of the output of the current run, or of the last."""
        return "\n".join(self.output().splitlines()[-lines:])
