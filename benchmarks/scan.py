"""How fast LIST and WATCH bodies are cut into pruned objects, beside what else one could do with the same bytes.

The bytes are in memory already, in pieces as a socket gives them. What each contender does is not the same, and the
bias is ours to state: kinform splits, checks the grammar, reads the keys and makes one block of pruned bytes, but no
Python objects; json.loads and msgspec make a dict of the whole LIST (of each line of a WATCH), which then would have
to be pruned; memcpy only copies. Every round runs all of them; GB/s are 10**9 bytes of the body a second.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks import corpus
from kinform._paths import compile
from kinform_ext._scan import Batch, Scanner

PRUNED = ("metadata.managedFields",)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks scan", description=__doc__)
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    parser.add_argument("--pods", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--chunk", type=int, default=128 << 10, help="bytes a piece")
    options = parser.parse_args(arguments)
    pods = [corpus.pod(number) for number in range(options.pods)]
    results = {mode: measure(mode, pods, options.rounds, options.chunk) for mode in ("list", "watch")}
    sizes = [len(corpus.dump(pod)) for pod in pods]
    told = {
        "benchmark": "scan",
        "unit": "GB/s",
        "pods": len(pods),
        "bytes_a_pod": round(statistics.mean(sizes)),
        "chunk_bytes": options.chunk,
        "rounds": options.rounds,
        "python": platform.python_version(),
        "msgspec": msgspec.__version__,
        "machine": platform.machine(),
        "results": results,
    }
    print(json.dumps(told, indent=2) if options.json else table(told))
    return 0


def measure(mode: str, pods: list[dict[str, Any]], rounds: int, size: int) -> dict[str, dict[str, float]]:
    lines = body(mode, pods)
    whole = b"".join(lines)
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    documents = [whole] if mode == "list" else lines
    program = compile(PRUNED, (), {})
    check(mode, pods, scan(mode, chunks, program), scan(mode, chunks, None))
    contenders: dict[str, Callable[[], object]] = {
        "kinform, managedFields dropped": lambda: drain(mode, chunks, program),
        "kinform, nothing dropped": lambda: drain(mode, chunks, None),
        "msgspec.json.decode to dict": lambda: [len(msgspec.json.decode(text)) for text in documents],
        "json.loads": lambda: [len(json.loads(text)) for text in documents],
        "memcpy": lambda: [len(bytearray(chunk)) for chunk in chunks],
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            gc.collect()
            gc.disable()  # or the dicts of a whole LIST cost most of their time there
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
            gc.enable()
    speeds = {name: sorted(len(whole) / taken / 1e9 for taken in each) for name, each in times.items()}
    return {name: {"median": statistics.median(each), "min": each[0], "max": each[-1]} for name, each in speeds.items()}


def body(mode: str, pods: list[dict[str, Any]]) -> list[bytes]:
    """The body in pieces that are whole lines of a WATCH; a LIST's only make sense joined."""
    about = {"kind": "Pod", "apiVersion": "v1"}
    if mode == "watch":
        return [corpus.dump({"type": "ADDED", "object": about | pod}) + b"\n" for pod in pods]
    head = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":['
    return [head, b",".join(map(corpus.dump, pods)), b"]}\n"]


def scan(mode: str, chunks: list[bytes], program: Any) -> list[bytes]:
    scanner = Scanner(mode, program)  # type: ignore[arg-type]
    batches = [batch for chunk in chunks for batch in scanner.feed(chunk) if isinstance(batch, Batch)]
    scanner.finish()
    return [batch.raw(i) for batch in batches for i in range(len(batch))]


def drain(mode: str, chunks: list[bytes], program: Any) -> int:
    scanner = Scanner(mode, program)  # type: ignore[arg-type]
    found = 0
    for chunk in chunks:
        for item in scanner.feed(chunk):
            found += len(item)
    scanner.finish()
    return found


def check(mode: str, pods: list[dict[str, Any]], pruned: list[bytes], split: list[bytes]) -> None:
    """Every object, decoded, against a plain deletion of the path."""
    for pod, less, all_ in zip(pods, pruned, split, strict=True):
        whole = {"apiVersion": "v1", "kind": "Pod"} | pod
        metadata = {name: value for name, value in pod["metadata"].items() if name != "managedFields"}
        if json.loads(all_) != whole or json.loads(less) != whole | {"metadata": metadata}:
            raise SystemExit(f"scan: {mode}: a wrong answer for {pod['metadata']['name']}; no time is told")


def table(told: dict[str, Any]) -> str:
    lines = [f"{told['pods']} pods of {told['bytes_a_pod']} B, chunks of {told['chunk_bytes'] >> 10} KiB, GB/s:"]
    for mode, results in told["results"].items():
        base = results["msgspec.json.decode to dict"]["median"]
        lines.append(f"\n{mode.upper():34}{'median':>8}{'min':>8}{'max':>8}   x msgspec")
        for name, each in results.items():
            row = "".join(f"{each[figure]:8.2f}" for figure in ("median", "min", "max"))
            lines.append(f"{name:34}{row}{each['median'] / base:12.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
