"""Runs all benchmarks, one after another, then writes the page.

Each benchmark stores its records as if it had run alone. If a benchmark fails, the others still run. The failed ones
are listed at the end.

All runs together take at most 75 minutes. Each has a share of them, and may use the time that earlier runs have left. A
run that needs more is ended, and counts as failed.

If `all` is stopped, or if a run failed, the same command continues: it repeats the runs that are not complete. It
begins anew on another commit, and with another results file.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from benchmarks import report
from benchmarks.harness.machine import commit
from benchmarks.harness.process import ROOT

NO_BASELINE = "--representative --rounds 1 --only kinform --only jemalloc --only client-go"
"""Arguments of `peers`: the best client of each compiled language, and none that keeps dicts."""
RUNS: dict[str, float] = {
    "fleet": 0.25,
    "delays --rounds 1": 0.75,
    "threads --rounds 1": 2,
    "variants --rounds 1": 4,
    "memory --rounds 1": 2,
    "speed --save --quick --objects 20000": 5,
    "dropin --rounds 1": 1.5,
    "controllers --rounds 1": 5,
    "parts --rounds 1": 1.75,
    "store --rounds 1": 4.25,
    "scope": 2.25,
    "bounded --rounds 1": 1.25,
    "real --rounds 1": 4,
    "soak --part matrix": 3,
    "soak --part simulator --events 100000": 2,
    "soak --part control-plane --seconds 60": 1.5,
    "scale --kind namespaces --objects 10000 --objects 100000": 2,
    "scale --objects 88000 --objects 300000": 9,
    f"peers --kind namespaces {NO_BASELINE}": 4,
    f"peers --kind events --objects 20000 {NO_BASELINE}": 2.5,
    "peers --rounds 1 --others 2000": 15,
}
"""The commands, and the share of each in minutes.

The longest come last: they may use what the others leave.
"""
STATE = ROOT / "build/benchmarks/all.json"
SECONDS_TO_END = 20.0
"""Seconds in which a run that is ended may end its own processes."""


class State(msgspec.Struct):
    """The runs that a session has completed, for a session that continues it.

    Attributes:
        commit: The commit that it measures.
        results: The results file.
        complete: The runs whose records are in the results file.
    """

    commit: str
    results: str
    complete: list[str]

    @classmethod
    def read(cls, results: Path) -> State:
        """Returns the state of a session that was stopped, or a new one."""
        new = cls(commit=commit().removesuffix("-dirty"), results=str(results.resolve()), complete=[])
        try:
            found = msgspec.json.decode(STATE.read_bytes(), type=cls)
        except (FileNotFoundError, msgspec.MsgspecError):
            return new
        return found if (found.commit, found.results) == (new.commit, new.results) else new

    def write(self) -> None:
        """Writes it to the state file."""
        STATE.parent.mkdir(parents=True, exist_ok=True)
        STATE.write_bytes(msgspec.json.encode(self))


def main(arguments: list[str]) -> int:
    """Runs each benchmark in its own process, which inherits no memory from another."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks all", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=report.RESULTS,
        metavar="FILE",
        help=f"the results file; default: {report.RESULTS.relative_to(ROOT)}",
    )
    parser.add_argument("--json", action="store_true", help="print records instead of tables")
    options = parser.parse_args(arguments)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a background command; the runs would ignore it, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    state = State.read(options.results)
    pending = {run: 60 * minutes for run, minutes in RUNS.items() if run not in state.complete}
    if state.complete:
        _say(f"{len(RUNS) - len(pending)} of {len(RUNS)} runs are complete; to begin anew, remove {STATE}")
    for run, seconds in pending.items():
        _say(f"{seconds / 60:5.1f} min  {run}")
    failed, unused = list[str](), 0.0
    for run in list(pending):
        left, share = sum(pending.values()) + unused, pending.pop(run) + unused
        start = time.monotonic()
        limits = f"at most {share / 60:.1f} min; all: at most {left / 60:.0f} min left"
        _say(f"\n== {len(RUNS) - len(pending)} of {len(RUNS)}: {run}: {limits}\n")
        command = [sys.executable, "-m", "benchmarks", *run.split(), "--results", str(options.results)]
        if why := _failure([*command, *(["--json"] if options.json else [])], share):
            failed.append(f"{run}: {why}")
        else:
            state.complete.append(run)
            state.write()
        unused = max(share - (time.monotonic() - start), 0.0)
    report.main(["--results", str(options.results)])
    for each in failed:
        _say(f"failed: {each}")
    if failed:
        _say("the same command repeats what failed")
        return 1
    STATE.unlink(missing_ok=True)
    return 0


def _failure(command: list[str], seconds: float) -> str | None:
    """Runs a command. Returns why it failed, or None."""
    process = subprocess.Popen(command)
    try:
        code = process.wait(seconds)
        return f"exit code {code}" if code else None
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # as Ctrl-C, so that it ends its servers
        return f"not complete after {seconds / 60:.1f} min"
    finally:
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
