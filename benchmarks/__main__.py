"""`python -m benchmarks NAME [--json] ...`: runs one measurement; each says in its docstring what it measures."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks

NOT_ONE = {"__main__", "corpus", "harness"}


def main() -> int:
    names = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name not in NOT_ONE)
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        print(f"usage: python -m benchmarks {{{','.join(names)}}} [--json]", file=sys.stderr)
        return 2
    code: int = importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])
    return code


if __name__ == "__main__":
    sys.exit(main())
