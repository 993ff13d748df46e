"""The inside of one of the demo's processes: orders come on standard input, answers go to standard output.

A JSON object a line, each way. Orders `{"do": NAME, "with": {...}}` are calls of the part's coroutine methods;
answers are `{"done": RESULT}`, or `{"failed": MESSAGE, "denied": BOOL}` for what the other side of the network
did; in between come `{"objects": N}`. Any other failure ends the process with a traceback, as it would any.

Run by path as a script (`python -P host.py PART.py OPTIONS`) and importing only the standard library, so that
a part that does not use kinform has nothing of it in its memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
import threading
from typing import Any, Protocol

TICK = 0.25
DENIED = (401, 403)


class Part(Protocol):
    """What a process does. Its methods are the orders it takes; `open` is the first of them."""

    @property
    def objects(self) -> int:
        """How many it holds now. Called from another thread."""

    async def close(self) -> None:
        """Called last, if `open` succeeded."""


def _tell(**words: Any) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def _report(part: Part, over: threading.Event) -> None:
    while not over.wait(TICK):
        try:
            _tell(objects=part.objects)
        except OSError:  # whoever started this is gone: even where the loop is busy for long
            os._exit(1)


async def _serve(part: Part) -> None:
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    opened = False
    try:
        while line := await stdin.readline():
            order = json.loads(line)
            try:
                _tell(done=await getattr(part, order["do"])(**order["with"]))
                opened = True
            except Exception as error:
                if not _expected(error):
                    raise
                message = " ".join(f"{type(error).__name__}: {error}".split())
                _tell(failed=message[:500], denied=getattr(error, "status", None) in DENIED)
    finally:
        if opened:
            await part.close()


def _expected(error: BaseException) -> bool:
    """Whether the network or the server is to blame, by the names of several libraries' errors."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ApiException", "ClientError", "ConfigException", "KinformError", "TimeoutError"})


def main() -> None:
    """Runs the part named first on the command line with the options, in JSON, that come second."""
    part: Part = runpy.run_path(sys.argv[1])["make"](**json.loads(sys.argv[2]))
    over = threading.Event()
    reporter = threading.Thread(target=_report, args=(part, over))
    reporter.start()
    try:
        asyncio.run(_serve(part))
    finally:
        over.set()
        reporter.join()


if __name__ == "__main__":
    main()
