"""The main program of a child process: calls methods of a part on request.

Requests arrive on stdin, one JSON object per line: `{"call": METHOD, "arguments": {...}}` calls a coroutine method of
the part. Answers go to stdout: `{"result": RESULT, "objects": N}`, or `{"error": MESSAGE, "denied": BOOL}` for an error
of the network or the server. `{"objects": N}` is sent in between. Any other error ends the process with a traceback.

Runs by path as a script (`python -P host.py PART.py OPTIONS`) and imports only the standard library. A part that does
not use kinform therefore has nothing of kinform in its memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
import threading
from typing import Any, Protocol

REPORT_SECONDS = 0.25
DENIED_STATUSES = (401, 403)


class Part(Protocol):
    """The work of one process. The first call is of `open`."""

    @property
    def objects(self) -> int:
        """The number of objects in the part. Read from another thread."""
        ...

    async def close(self) -> None:
        """Releases all resources. Called last, and only if `open` succeeded."""
        ...


_stdout_lock = threading.Lock()


def _send(**message: Any) -> None:
    line = json.dumps(message).encode() + b"\n"
    with _stdout_lock:  # two threads send, and a long line is several writes
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def _report_objects(part: Part, finished: threading.Event) -> None:
    while not finished.wait(REPORT_SECONDS):
        try:
            _send(objects=part.objects)
        except OSError:  # the demo is gone: exit at once, even if the event loop is busy
            os._exit(1)


async def _serve(part: Part) -> None:
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    opened = False
    try:
        while line := await stdin.readline():
            request = json.loads(line)
            try:
                result = await getattr(part, request["call"])(**request["arguments"])
                _send(result=result, objects=part.objects)
                opened = True
            except Exception as error:
                if not _is_external(error):
                    raise
                message = " ".join(f"{type(error).__name__}: {error}".split())
                _send(error=message[:500], denied=getattr(error, "status", None) in DENIED_STATUSES)
    finally:
        if opened:
            await part.close()


def _is_external(error: BaseException) -> bool:
    """Returns whether the network or the server caused the error.

    Compares class names, because the host imports none of the libraries that raise them.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ApiException", "ClientError", "ConfigException", "KinformError", "TimeoutError"})


def main() -> None:
    """Runs the part. The arguments are its file and its options in JSON."""
    part: Part = runpy.run_path(sys.argv[1])["create_part"](**json.loads(sys.argv[2]))
    finished = threading.Event()
    reporter = threading.Thread(target=_report_objects, args=(part, finished))
    reporter.start()
    try:
        asyncio.run(_serve(part))
    finally:
        finished.set()
        reporter.join()


if __name__ == "__main__":
    main()
