"""One of the demo's processes, seen from the demo: started, ordered about, stopped, measured, and cleaned up.

It takes orders as `parts/host.py` has them. One that dies is told with its exit status and the last it said.
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
_LINE_BYTES = 1 << 28  # an answer may name all objects
_LAST_SECONDS = 5.0


class Child:
    """A process, as an async context manager: whatever happens, it does not outlive the block.

    Args:
        name: What messages call it.
        part: The file in `parts` that it runs.
        options: What the part is made with.

    Attributes:
        objects: How many it last said it holds.
        gauge: Its memory.
    """

    def __init__(self, name: str, part: str, **options: Any) -> None:
        self.name = name
        self.objects = 0
        self.gauge: Gauge
        self._command = [sys.executable, "-P", str(_PARTS / "host.py"), str(_PARTS / part), json.dumps(options)]
        self._process: asyncio.subprocess.Process
        self._readers: list[asyncio.Task[None]] = []
        self._answer: asyncio.Future[Any] | None = None
        self._last_words = ""

    async def __aenter__(self) -> Self:
        places = [str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
            # Ctrl-C is the demo's to see, not theirs. And not a session: the kernel wakes and ends stopped
            # processes whose parent dies only within one.
            process_group=0,
        )
        self.gauge = Gauge(self._process.pid)
        self._readers = [asyncio.create_task(self._read_answers()), asyncio.create_task(self._read_stderr())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.close()
            if kind is None:
                self.resume()
                async with asyncio.timeout(_LAST_SECONDS):
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

    async def do(self, order: str, **options: Any) -> Any:
        """Orders something and returns its result.

        Raises:
            Failure: It failed, or the process died.
        """
        self._answer = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": order, "with": options}).encode() + b"\n")
            await self._process.stdin.drain()
        except ConnectionError:
            pass  # it has died, which the reader of its answers finds out
        if self._readers[0].done():
            await self._died()
        try:
            return await self._answer
        finally:
            self._answer = None

    def pause(self) -> None:
        """Stops it: it takes no CPU time until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _read_answers(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            words = json.loads(line)
            if "objects" in words:
                self.objects = words["objects"]
            elif self._answer is not None and not self._answer.done():
                if "failed" in words:
                    code = DENIED if words["denied"] else UNAVAILABLE
                    self._answer.set_exception(Failure(f"{self.name}: {words['failed']}", code))
                else:
                    self._answer.set_result(words["done"])
        await self._died()

    async def _died(self) -> None:
        status = await self._process.wait()
        await asyncio.wait(self._readers[1:], timeout=1.0)
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        words = self._last_words or "and said nothing"
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Failure(f"{self.name} died with {how}: {words}", SOFTWARE))

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self._last_words = line.decode(errors="replace").strip() or self._last_words
