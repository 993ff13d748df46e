"""Programs in processes of their own, which print a line when they are ready."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.harness.process import ROOT


def start(program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts a process that prints a line when it is ready."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def ready(process: subprocess.Popen[str]) -> set[str]:
    """Waits until the process is ready, and returns the words that it printed."""
    assert process.stdout is not None
    first, *words = process.stdout.readline().split() or [""]
    assert first == "ready"
    return set(words)
