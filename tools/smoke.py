"""Tests an installed wheel with a small program, for `wheels.py`.

Run it where no source tree is on the path. Fails if the installed kinform lacks a part or uses a libzstd of the system.
Prints the time and the memory of the import.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

LAZY = ("aiohttp", "kubernetes_asyncio", "click", "rich")
"""Packages that `import kinform` must not import."""


async def follow() -> None:
    """Follows the pods of a simulator through an update and a deletion."""
    import kinform
    from kinform.testing import Server

    async with Server() as server:
        keys = server.generate("v1/pods", 1_000)
        async with kinform.connect(server.url) as api, kinform.Informer(api, "v1/pods") as pods:
            await pods.synced(timeout=60)
            assert sorted(pods.store) == sorted(keys)
            touched = server.touch("v1/pods", keys[0])
            await pods.wait_for(server.delete("v1/pods", keys[1]), timeout=60)
            assert pods.store[keys[0]]["metadata"]["resourceVersion"] == touched
            assert sorted(pods.store) == sorted({*keys} - {keys[1]})


def libraries(name: str) -> set[Path]:
    """Returns the files of this process whose name begins with `name`."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {path for line in lines if (path := Path(line.split(maxsplit=5)[-1])).name.startswith(name)}


def main() -> None:
    """Runs all checks."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    import kinform

    seconds = time.perf_counter() - start
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert not set(LAZY) & set(sys.modules), "import kinform imports more than it needs"
    package = Path(kinform.__file__).parent
    assert Path(sys.prefix) in package.parents, f"{package} is not the installed package"
    asyncio.run(follow())
    assert {path.parent.name for path in libraries("libzstd")} == {"kinform.libs"}
    program = Path(sys.prefix, "bin", "kinform")
    for arguments in (["--help"], ["audit", "--help"], ["--version"]):
        subprocess.run([program, *arguments], check=True, stdout=subprocess.DEVNULL)
    demo = [program, "demo", "--json", "--pods", "200", "--namespaces", "100", "--updates", "50"]
    assert json.loads(subprocess.run(demo, check=True, capture_output=True).stdout)["same"]
    print(f"kinform {kinform.__version__} works; its import took {seconds * 1000:.0f} ms and {kib / 1024:.1f} MiB")


if __name__ == "__main__":
    main()
