"""Runs the command line in a process of its own, as users do."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import msgspec


class Ended(msgspec.Struct, frozen=True):
    """The exit code and the output of a process."""

    code: int
    out: str
    err: str


class Running:
    """A running `python -m kinform ...`. Its standard output and stderr are pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        self.out = process.stdout
        self.err = process.stderr

    @classmethod
    async def start(cls, *arguments: str, program: Sequence[str] = ("-m", "kinform"), **environment: str) -> Running:
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                *program,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "COLUMNS": "100", **environment},
            )
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self, stream: asyncio.StreamReader, containing: str = "", *, within: float = 30.0) -> str:
        """Returns the next line that contains a text.

        Raises:
            EOFError: The stream ended before such a line.
            TimeoutError: The line did not come in `within` seconds.
        """
        async with asyncio.timeout(within):
            while line := (await stream.readline()).decode():
                if containing in line:
                    return line.rstrip("\n")
        raise EOFError(containing)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        self._process.send_signal(number)

    def close_output(self) -> None:
        """Closes the reading end of standard output, as `| head` does."""
        transport: Any = self._process._transport  # type: ignore[attr-defined]
        transport.get_pipe_transport(1).close()

    async def ended(self, *, within: float = 60.0) -> Ended:
        """Waits until the process ends. Kills it after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                out, err = await self._process.communicate()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise
        assert self._process.returncode is not None
        return Ended(self._process.returncode, out.decode(), err.decode())


async def run(*arguments: str, program: Sequence[str] = ("-m", "kinform"), **environment: str) -> Ended:
    """Runs the command line until it ends."""
    return await (await Running.start(*arguments, program=program, **environment)).ended()


class Terminal:
    """A running `python -m kinform ...` on a terminal of 80 columns.

    Attributes:
        lines: The lines that were read, of stdout and stderr.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, output: asyncio.StreamReader, transport: asyncio.ReadTransport
    ) -> None:
        self._process = process
        self._output = output
        self._transport = transport
        self.lines: list[str] = []

    @classmethod
    async def start(cls, *arguments: str) -> Terminal:
        controller, terminal = os.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kinform", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
            env={**os.environ, "COLUMNS": "80", "TERM": "xterm"},
        )
        os.close(terminal)
        output = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(output), io.FileIO(controller))
        return cls(process, output, transport)

    async def line(self, containing: str, *, within: float = 30.0) -> str:
        """Returns the next line that contains a text."""
        async with asyncio.timeout(within):
            while line := (await self._output.readline()).decode():
                self.lines.append(line.rstrip("\r\n"))
                if containing in line:
                    return self.lines[-1]
        raise EOFError(containing)

    async def end(self) -> None:
        """Ends the process by Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        await self._process.wait()
        self._transport.close()
