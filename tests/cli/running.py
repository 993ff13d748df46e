"""What tests of the command line share: running it as its users do, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import msgspec


class Ended(msgspec.Struct, frozen=True):
    """A process that has ended."""

    code: int
    out: str
    err: str


class Running:
    """`python -m kinform ...`, running. Its standard output and error are pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        self.out = process.stdout
        self.err = process.stderr

    @classmethod
    async def start(cls, *arguments: str, **environment: str) -> Running:
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "kinform",
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
        """The next line that contains this; EOFError where the stream ends before one does."""
        async with asyncio.timeout(within):
            while line := (await stream.readline()).decode():
                if containing in line:
                    return line.rstrip("\n")
        raise EOFError(containing)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        self._process.send_signal(number)

    def close_output(self) -> None:
        """As `| head` does when it has enough."""
        transport: Any = self._process._transport  # type: ignore[attr-defined]
        transport.get_pipe_transport(1).close()

    async def ended(self, *, within: float = 60.0) -> Ended:
        """Waits for its end; kills it at the deadline."""
        try:
            async with asyncio.timeout(within):
                out, err = await self._process.communicate()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise
        assert self._process.returncode is not None
        return Ended(self._process.returncode, out.decode(), err.decode())


async def run(*arguments: str, within: float = 60.0, **environment: str) -> Ended:
    """Runs the command line to its end."""
    return await (await Running.start(*arguments, **environment)).ended(within=within)
