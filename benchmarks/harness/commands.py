"""The loop of a process under measurement that reads commands from standard input.

The other side is `process.Process`, whose docstring has the format. Programs without kinform import this module, so it
imports nothing of kinform.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Protocol


class Program(Protocol):
    """A program whose coroutine methods are commands."""

    async def end(self) -> None:
        """Stops all that was started."""


async def carry_out(program: Program) -> None:
    """Carries out commands until standard input ends, then ends the program.

    A command is the name of a coroutine method of `program`. Its result is the answer.
    """
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    try:
        while line := await commands.readline():
            command = json.loads(line)
            print(json.dumps(await getattr(program, command["do"])(**command["with"])), flush=True)
    finally:
        await program.end()
