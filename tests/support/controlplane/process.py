"""One server as a child process: started, stopped by signal, frozen, thawed, and never left behind.

Knows nothing of Kubernetes. Waits for nothing but the end of what it has killed. Whatever is still running
when the interpreter ends is killed then: each server has a guard that holds the reading end of a pipe, and
kills it by pid and removes its folder once nobody holds the other end, however the run came to its end.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

_GUARD = 'read -r line; kill -9 "$1"; sleep 1; rm -rf "$2"'


class Process:
    """A command that can be run more than once; its output is added to one log file.

    Args:
        command: The program and its arguments.
        log: The file that takes stdout and stderr, in the folder that is the process's own.
    """

    def __init__(self, command: Sequence[str | os.PathLike[str]], log: Path) -> None:
        self.command = [os.fspath(part) for part in command]
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The process id, or None when it does not run."""
        return self._child.pid if self.running and self._child is not None else None

    @property
    def running(self) -> bool:
        """Whether the process is there, be it frozen."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Starts the program; it must not be running."""
        assert not self.running, f"{self.command[0]} runs already"
        with open(self.log, "ab") as log:
            self._log_start = log.tell()
            # A session of its own: Ctrl-C in the terminal is for the tests, which then stop their servers.
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
        """Ends the process with SIGKILL, frozen or not, and waits until it is gone; idempotent."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        if self._child is not None:
            self._child.kill()
            self._child.wait(timeout=30)

    def freeze(self) -> None:
        """Stops the process with SIGSTOP: its sockets stay open and nothing answers on them.

        Returns when every thread stands still.
        """
        self._signal(signal.SIGSTOP)
        if self.pid is not None:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Lets a frozen process go on; harmless for one that is not frozen."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.running and self._child is not None:
            self._child.send_signal(number)

    def output(self) -> str:
        """Gives what the present run, or the last, has written to the log."""
        if not self.log.exists():
            return ""
        with open(self.log, "rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def tail(self, lines: int = 15) -> str:
        """Gives the last lines that the present run, or the last, has written."""
        return "\n".join(self.output().splitlines()[-lines:])
