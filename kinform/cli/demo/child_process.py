"""A child process of the demo.

Starts the process, calls methods of its part, pauses it and ends it. Speaks the protocol of `parts/host.py`. If the
process dies, the error names its exit status and its last line on stderr.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kinform.cli._exit_codes import DENIED, SOFTWARE, UNAVAILABLE, Failure
from kinform.cli._process_memory import Gauge

_PARTS = Path(__file__).parent / "parts"
_MAX_LINE_BYTES = 1 << 28  # a result may list all objects
_EXIT_SECONDS = 5.0


class ChildProcess:
    """A child process as an async context manager. It never outlives the block.

    Args:
        name: The name in messages.
        part: The file in `parts` that the process runs.
        options: Arguments of the part's constructor.

    Attributes:
        objects: The number of objects in the part, as last reported.
        gauge: Reads the memory and CPU time of the process.
    """

    def __init__(self, name: str, part: str, **options: Any) -> None:
        self.name = name
        self.objects = 0
        self.gauge: Gauge
        self._command = [sys.executable, "-P", str(_PARTS / "host.py"), str(_PARTS / part), json.dumps(options)]
        self._process: asyncio.subprocess.Process
        self._readers: list[asyncio.Task[None]] = []
        self._result: asyncio.Future[Any] | None = None
        self._last_stderr_line = ""

    async def __aenter__(self) -> Self:
        paths = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_MAX_LINE_BYTES,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            # A process group of its own, so that Ctrl-C reaches only the demo. Not a new session: when the demo dies,
            # the kernel sends SIGHUP and SIGCONT to stopped children only if they share its session.
            process_group=0,
        )
        self.gauge = Gauge(self._process.pid)
        self._readers = [asyncio.create_task(self._read_stdout()), asyncio.create_task(self._read_stderr())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.close()
            if kind is None:
                self.resume()
                async with asyncio.timeout(_EXIT_SECONDS):
                    await self._process.wait()
        except TimeoutError:
            pass
        finally:
            with suppress(ProcessLookupError):
                self._process.kill()
            await asyncio.shield(self._process.wait())
            for reader in self._readers:
                reader.cancel()
            await asyncio.gather(*self._readers, return_exceptions=True)

    async def call(self, method: str, **arguments: Any) -> Any:
        """Calls a method of the part and returns its result.

        Raises:
            Failure: The method failed, or the process died.
        """
        self._result = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"call": method, "arguments": arguments}).encode() + b"\n")
            await self._process.stdin.drain()
        except ConnectionError:
            pass  # the process has died: the reader of its output reports that
        if self._readers[0].done():
            await self._report_death()
        try:
            return await self._result
        finally:
            self._result = None

    def pause(self) -> None:
        """Stops the process (SIGSTOP). It uses no CPU time until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resumes the process (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _read_stdout(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message = json.loads(line)
            if "objects" in message:
                self.objects = message["objects"]
            if self._result is None or self._result.done():
                continue
            if "error" in message:
                code = DENIED if message["denied"] else UNAVAILABLE
                self._result.set_exception(Failure(f"{self.name}: {message['error']}", code))
            elif "result" in message:
                self._result.set_result(message["result"])
        await self._report_death()

    async def _report_death(self) -> None:
        status = await self._process.wait()
        await asyncio.wait(self._readers[1:], timeout=1.0)
        cause = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        details = self._last_stderr_line or "no output on stderr"
        if self._result is not None and not self._result.done():
            self._result.set_exception(Failure(f"{self.name} died with {cause}: {details}", SOFTWARE))

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self._last_stderr_line = line.decode(errors="replace").strip() or self._last_stderr_line
